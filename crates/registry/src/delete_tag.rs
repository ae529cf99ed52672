//! Deletes a tag. The manifest that it pointed at stays: its link holds it.
//!
//! One effect, the entry `DeleteTag`: before it nothing happened, after it everything has. Sent again, it finds no tag,
//! which is the truth.
//!
//! Spec: distribution-spec 1.1, "Deleting tags".

use metadata::{Command, Precondition, Reply};
use oci::{RepositoryName, Tag};

use crate::{Caller, Error, Registry, steps};

impl Registry {
    /// Removes `tag` if `precondition` holds. If the future is dropped, the tag may still go.
    ///
    /// # Errors
    /// [`Error::NameUnknown`], [`Error::TagUnknown`], [`Error::PreconditionFailed`]; [`Error::Unavailable`] or
    /// [`Error::OutcomeUnknown`] when the log does not answer.
    pub async fn delete_tag(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Option<Precondition>,
    ) -> Result<(), Error> {
        let command = Command::DeleteTag {
            repository: repository.clone(),
            tag: tag.clone(),
            precondition,
            principal: caller.principal(),
        };
        steps::reach(steps::DELETE_TAG_BEFORE_ENTRY);
        let reply = self.propose(caller, command).await?;
        steps::reach(steps::DELETE_TAG_AFTER_ENTRY);
        match reply {
            Reply::Done => Ok(()),
            other => Err(Error::unexpected_reply(other)),
        }
    }
}
