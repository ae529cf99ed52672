//! Ends uploads that nobody has written to for long: clients die, and few of them cancel.
//!
//! Effects, for each upload: a sealed one is completed and finished, as its client wanted; of any other the entry
//! `CancelUpload` hands the objects to the delete queue. If the node dies in between, the next pass goes on. A client that
//! comes back in the very moment finds its upload unknown and begins anew, as it would a moment later.

use metadata::{Answer, Page, Query, UploadListed};
use oci::UploadId;

use crate::log_clock::Now;
use crate::{Caller, Error, Registry, metric};

/// How many uploads are looked at in one step.
const PAGE: usize = 500;

impl Registry {
    /// Ends the idle ones of a page of uploads, and tells after which one to go on; `None` at the end.
    pub(crate) async fn expire_page(
        &self,
        after: Option<UploadId>,
        now: &Now,
    ) -> Result<Option<UploadId>, Error> {
        let query = Query::Uploads(Page { after, limit: PAGE });
        let (uploads, more) = match self.read(&self.itself(), query).await? {
            Answer::Uploads { uploads, more } => (uploads, more),
            other => return Err(Error::unexpected_answer(&other)),
        };
        let last = uploads.last().map(|listed| listed.upload);
        let expiry = self.settings().upload_expiry;
        for listed in uploads {
            if !listed.finished && now.has_passed(listed.last_activity, expiry) {
                self.expire(&listed).await?;
            }
        }
        Ok(last.filter(|_| more))
    }

    pub(crate) async fn expire(&self, listed: &UploadListed) -> Result<(), Error> {
        let (upload, repository) = (listed.upload, &listed.repository);
        let caller = Caller::finishing_for(listed.by.clone(), self.deadline_from_now());
        let view = self.upload_view(&caller, repository, upload).await;
        let ended = match view {
            Ok(view) => match view.sealed {
                Some(sealed) => self
                    .complete_sealed(&caller, repository, upload, &sealed)
                    .await
                    .map(|_| ()),
                None => self.cancel_upload(&caller, repository, upload).await,
            },
            Err(error) => Err(error),
        };
        match ended {
            // Its client, or another node, was quicker.
            Err(Error::UploadUnknown) => Ok(()),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => {
                tracing::warn!(%upload, %error, "an idle upload could not be ended");
                Ok(())
            }
            Ok(()) => {
                metric::upload_expired();
                Ok(())
            }
        }
    }
}
