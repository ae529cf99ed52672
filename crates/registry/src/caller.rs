//! Who asks, and how answers are marked.

use metadata::PrincipalName;
use ports::Deadline;

/// Who asks, after authorization.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As the log remembers them.
    pub principal: PrincipalName,
    /// Whether they may push to the repository of this request: only then does looking at a blob renew its grace.
    pub may_push: bool,
    /// By when metadata calls are to answer. Bodies that stream have idle timeouts instead.
    pub deadline: Deadline,
}

impl Caller {
    /// The node, for its own work.
    pub(crate) fn itself(deadline: Deadline) -> Caller {
        Caller {
            principal: PrincipalName::anonymous(),
            may_push: true,
            deadline,
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
