//! The words for a node: its id and its role, which are the log's, and the seconds in which certificates and tokens count time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use metadata::{NodeId, NodeRole as Role, UnknownRole};

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
