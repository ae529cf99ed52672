//! The words for a node: its id, its role, and the seconds in which certificates and tokens count time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names a node of a cluster, member or gateway; given once by the log and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a node is in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Holds the replicated log, or is about to.
    Member,
    /// Holds nothing, and asks the members.
    Gateway,
}

impl Role {
    /// The word that certificates, tokens and people use for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Gateway => "gateway",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Role, UnknownRole> {
        match text {
            "member" => Ok(Role::Member),
            "gateway" => Ok(Role::Gateway),
            _ => Err(UnknownRole),
        }
    }
}

/// The text is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is `member` or `gateway`")]
pub struct UnknownRole;

/// A moment in seconds since 1970, as certificates and tokens count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// This moment and `life`; the last representable one when that is beyond it.
    #[must_use]
    pub fn after(self, life: Duration) -> UnixSeconds {
        UnixSeconds(self.0.saturating_add(life.as_secs()))
    }

    /// `earlier` before this moment; 1970 when that is before it.
    #[must_use]
    pub fn before(self, earlier: Duration) -> UnixSeconds {
        UnixSeconds(self.0.saturating_sub(earlier.as_secs()))
    }
}

/// A time before 1970 counts as 1970.
impl From<SystemTime> for UnixSeconds {
    fn from(time: SystemTime) -> UnixSeconds {
        UnixSeconds(
            time.duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        )
    }
}
