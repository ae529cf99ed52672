//! Lists a repository's tags. Reads only: nothing to be harmed by a crash.
//!
//! Spec: distribution-spec 1.1, "Listing tags".

use metadata::{Answer, Page, Query};
use oci::{RepositoryName, Tag};

use crate::read_for_pull::Pulled;
use crate::{Caller, Error, Listed, Registry, Served};

impl Registry {
    /// The tags of a repository, in order. May be repeated, and dropped at any time.
    ///
    /// # Errors
    /// [`Error::NameUnknown`]; [`Error::Unavailable`] when the log does not answer before the caller's deadline, or no such repository is
    /// known and nobody confirms that.
    pub async fn tags(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        page: Page<Tag>,
    ) -> Result<Served<Listed<Tag>>, Error> {
        let query = Query::Tags {
            repository: repository.clone(),
            page,
        };
        let answered = self.read_for_pull(caller, Pulled::Changing, query).await?;
        match answered.value {
            Answer::Tags { tags, more } => {
                let items = tags.into_iter().map(|view| view.tag).collect();
                Ok(Served {
                    value: Listed { items, more },
                    stale: answered.stale,
                })
            }
            Answer::RepositoryUnknown => Err(Error::NameUnknown),
            other => Err(Error::unexpected_answer(&other)),
        }
    }
}
