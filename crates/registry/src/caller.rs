//! Who asks, and how answers are marked.

use std::sync::Arc;

use metadata::access::Asker;
use metadata::{Command, PrincipalName, Query};
use ports::Deadline;

/// On whose behalf something is done, and by when. Every command and query of a use-case goes to the log with it, so that the
/// log decides whether they may (decision 19).
#[derive(Debug, Clone)]
pub struct Caller {
    by: By,
    /// Whether they may push to the repository of this request, as far as their proof tells: only then does looking at a blob
    /// renew its grace.
    pub may_push: bool,
    /// By when metadata calls are to answer. Bodies that stream have idle timeouts instead.
    pub deadline: Deadline,
}

#[derive(Debug, Clone)]
enum By {
    Asker(Arc<Asker>),
    /// The node itself, for its own work, with whom the log is to remember.
    Node(PrincipalName),
}

impl Caller {
    /// Somebody who asks this node for something.
    #[must_use]
    pub fn asking(asker: Asker, may_push: bool, deadline: Deadline) -> Caller {
        Caller {
            by: By::Asker(Arc::new(asker)),
            may_push,
            deadline,
        }
    }

    /// The node, for its own work: nobody asks whether it may.
    pub(crate) fn itself(deadline: Deadline) -> Caller {
        Caller::finishing_for(PrincipalName::anonymous(), deadline)
    }

    /// The node, as it ends what somebody else has begun.
    pub(crate) fn finishing_for(principal: PrincipalName, deadline: Deadline) -> Caller {
        Caller {
            by: By::Node(principal),
            may_push: true,
            deadline,
        }
    }

    /// The same with another deadline.
    pub(crate) fn until(&self, deadline: Deadline) -> Caller {
        Caller {
            deadline,
            ..self.clone()
        }
    }

    fn asker(&self) -> Option<&Asker> {
        match &self.by {
            By::Asker(asker) => Some(asker),
            By::Node(_) => None,
        }
    }

    /// The query, as the caller asks it.
    pub(crate) fn asks(&self, query: Query) -> Query {
        match self.asker() {
            Some(asker) => query.asked_by(asker.clone()),
            None => query,
        }
    }

    /// The command, as the caller asks for it.
    pub(crate) fn asks_for(&self, command: Command) -> Command {
        match self.asker() {
            Some(asker) => command.asked_by(asker.clone()),
            None => command,
        }
    }

    /// As the log remembers them.
    #[must_use]
    pub fn principal(&self) -> PrincipalName {
        match &self.by {
            By::Asker(asker) => asker.principal(),
            By::Node(principal) => principal.clone(),
        }
    }
}

/// An answer, and what is known of its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served<T> {
    /// The answer.
    pub value: T,
    /// Given without a confirmation that nothing newer exists: the client is told so by `Warning: 299`.
    pub stale: bool,
}
