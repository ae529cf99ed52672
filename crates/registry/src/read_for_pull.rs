//! What a pull reads of the log: confirmed if possible; else from the last state, where the settings let it, marked.
//!
//! It must never be used by what writes, and never gives a stale "no": what this node has not heard of may exist.
//! PROTOCOLS, "Reads", rule 2.

use metadata::access::Denial;
use metadata::{Answer, Query};

use crate::{Caller, Error, Registry, Served, StaleReads};

/// What is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// Named by digest: only whether it is still there, and may be seen, can be out of date.
    ByDigest,
    /// Named by tag, or a list: may have changed.
    Changing,
}

impl Registry {
    /// An answer to a pull.
    pub(crate) async fn read_for_pull(
        &self,
        caller: &Caller,
        pulled: Pulled,
        query: Query,
    ) -> Result<Served<Answer>, Error> {
        let may_be_stale = match self.settings().stale_reads {
            StaleReads::All => true,
            StaleReads::Digest => pulled == Pulled::ByDigest,
            StaleReads::Never => false,
        };
        if !may_be_stale {
            let value = self.read(caller, query).await?;
            return Ok(Served {
                value,
                stale: false,
            });
        }
        let (query, deadline) = (caller.asks(query), caller.deadline);
        let answered = self.metadata().read_even_stale(query, deadline).await;
        let answered = answered.map_err(|failure| self.unanswered(failure))?;
        match answered.answer {
            // Who has not said who they are is asked to all the same. A proof may be newer than what this node knows.
            Answer::Absent
            | Answer::RepositoryUnknown
            | Answer::Denied(Denial::NotAllowed | Denial::ProofEnded)
                if answered.stale =>
            {
                Err(Error::Unavailable {
                    retry_after: self.settings().retry_after,
                    reason: "nobody confirms that it is absent, or closed to them".to_owned(),
                })
            }
            value => Ok(Served {
                value,
                stale: answered.stale,
            }),
        }
    }
}
