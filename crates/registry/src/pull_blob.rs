//! Serves a blob, and renews the grace of one that no manifest names when someone who may push looks at it.
//!
//! A client that is about to push asks whether a blob is there and then names it in a manifest: what it was told must
//! stay true for a while. So one effect, the entry `RenewBlob`, at most once in a quarter of the grace. In the last
//! quarter the answer waits for that entry, and is "no such blob" without it; before that the renewal is a courtesy.
//!
//! Spec: distribution-spec 1.1, "Pulling blobs"; design, "What holds a manifest, and what holds a blob".

use futures::StreamExt;
use metadata::access::{AccessAnswer, AccessQuery, Need, Right};
use metadata::{Answer, BlobView, Command, ObjectKey, Query, Reply};
use oci::{Digest, RepositoryName};
use ports::{ByteSpan, ByteStream};

use crate::read_for_pull::Pulled;
use crate::{Caller, Error, Registry, Served, metric};

/// A blob that may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFound {
    /// Its digest.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Where they are.
    pub key: ObjectKey,
}

/// What is to be done about a blob's grace before it is answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewal {
    /// Nothing: a manifest names it, or it was renewed lately.
    No,
    /// It would be good to.
    Courtesy,
    /// The answer depends on it.
    Required,
}

impl Registry {
    /// The blob, if this repository may see it. May be repeated, and dropped at any time.
    ///
    /// # Errors
    /// [`Error::NameUnknown`], [`Error::BlobUnknown`]; [`Error::Unavailable`] when the log does not answer.
    pub async fn blob(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Served<BlobFound>, Error> {
        let query = Query::Blob {
            repository: repository.clone(),
            digest: *digest,
        };
        let answered = self.read_for_pull(caller, Pulled::ByDigest, query).await?;
        let view = match answered.value {
            Answer::Blob(view) => view,
            Answer::RepositoryUnknown => return Err(Error::NameUnknown),
            Answer::Absent => return Err(Error::BlobUnknown),
            other => return Err(Error::unexpected_answer(&other)),
        };
        if caller.may_push {
            match self.renewal(&view) {
                Renewal::No => {}
                // A stale answer comes when nothing can be written, so there is nothing to wait for.
                Renewal::Courtesy if answered.stale => {}
                Renewal::Required if answered.stale => return Err(self.not_renewed()),
                renewal => self.renew(caller, repository, digest, renewal).await?,
            }
        }
        let found = BlobFound {
            digest: *digest,
            size: view.size,
            key: view.key,
        };
        Ok(Served {
            value: found,
            stale: answered.stale,
        })
    }

    /// Streams `span` of a blob, which lies within it. The stream fails rather than end early.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer; [`Error::Internal`] when it lost the object.
    pub async fn read_blob(&self, found: &BlobFound, span: ByteSpan) -> Result<ByteStream, Error> {
        let stream = self.blobs().read(&found.key, span).await?;
        let counted = stream.inspect(|bytes| {
            if let Ok(bytes) = bytes {
                metric::blob_bytes_pulled(bytes.len());
            }
        });
        Ok(counted.boxed())
    }

    /// Like any "no" of a state that nobody confirms.
    fn not_renewed(&self) -> Error {
        Error::Unavailable {
            retry_after: self.settings().retry_after,
            reason: "the blob's grace is nearly over and cannot be renewed".to_owned(),
        }
    }

    fn renewal(&self, view: &BlobView) -> Renewal {
        let Some(since) = view.unreferenced_since else {
            return Renewal::No;
        };
        let grace_ms = u64::try_from(self.settings().grace.as_millis()).unwrap_or(u64::MAX);
        let age_ms = view.now.0.saturating_sub(since.0);
        if age_ms >= grace_ms - grace_ms / 4 {
            Renewal::Required
        } else if age_ms >= grace_ms / 4 {
            Renewal::Courtesy
        } else {
            Renewal::No
        }
    }

    /// Whether the caller may push, which a proof alone does not always tell.
    async fn may_push(&self, caller: &Caller, repository: &RepositoryName) -> Result<bool, Error> {
        let need = Need::Repository(repository.clone(), Right::Push);
        let query = AccessQuery::Rights { needs: vec![need] };
        match self.ask_access(caller, query).await? {
            Some(AccessAnswer::Rights(rights)) => Ok(rights == [true]),
            other => Err(Error::internal(format!(
                "no answer about rights: {other:?}"
            ))),
        }
    }

    async fn renew(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: &Digest,
        renewal: Renewal,
    ) -> Result<(), Error> {
        let command = Command::RenewBlob {
            repository: repository.clone(),
            digest: *digest,
        };
        match self.may_push(caller, repository).await {
            // Who cannot push makes no use of the grace.
            Ok(false) => return Ok(()),
            Err(_) if renewal == Renewal::Required => return Err(self.not_renewed()),
            Ok(true) | Err(_) => {}
        }
        match (self.propose(caller, command).await, renewal) {
            (Ok(Reply::Done), _) => Ok(()),
            // It went between the look-up and the entry.
            (Ok(Reply::Refused(_)), _) | (Err(_), Renewal::Required) => Err(Error::BlobUnknown),
            (Ok(other), _) => Err(Error::unexpected_reply(other)),
            (Err(error), _) => {
                tracing::warn!(%digest, %error, "a blob's grace was not renewed; there is time to");
                Ok(())
            }
        }
    }
}
