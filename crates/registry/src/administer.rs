//! Accounts, groups, projects, roles, robots, tokens and the audit: what the log decides about access, as the caller asks for it.
//!
//! One effect each, an entry. What one entry cannot end ([`Reply::DeletionContinues`]) is asked for again by the caller.

use metadata::access::{AccessAnswer, AccessCommand, AccessQuery};
use metadata::{Answer, Command, Query, Reply};

use crate::read_for_pull::Pulled;
use crate::{Caller, Error, Registry};

impl Registry {
    /// Has the log decide a change. May be repeated: what is so already is not made so again, or refused with what there is.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Unavailable`] or [`Error::OutcomeUnknown`] when the log does not answer. Refusals of other
    /// kinds are replies.
    pub async fn administer(
        &self,
        caller: &Caller,
        command: AccessCommand,
    ) -> Result<Reply, Error> {
        let command = Command::Access(Box::new(command));
        match self.propose(caller, command).await? {
            Reply::Refused(metadata::Refusal::Denied(denial)) => Err(Error::Denied(denial)),
            reply => Ok(reply),
        }
    }

    /// Asks about access; `None` when what is asked about does not exist. May be repeated, and dropped at any time.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Unavailable`] when the log does not answer.
    pub async fn ask_access(
        &self,
        caller: &Caller,
        query: AccessQuery,
    ) -> Result<Option<AccessAnswer>, Error> {
        // Whoever pulls asks this first: it is told without a quorum as what they pull is.
        let is_for_pull = query == AccessQuery::Access;
        let query = Query::Access(Box::new(query));
        let answer = match is_for_pull {
            true => {
                let answered = self.read_for_pull(caller, Pulled::ByDigest, query);
                answered.await?.value
            }
            false => self.read(caller, query).await?,
        };
        match answer {
            Answer::Access(answer) => Ok(Some(*answer)),
            Answer::Absent => Ok(None),
            other => Err(Error::unexpected_answer(&other)),
        }
    }
}
