//! The identifiers and quantities of the log, each a type of its own so that no two can be swapped.

use std::fmt;
use std::sync::Arc;

/// A position in the replicated log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogIndex(pub u64);

/// Milliseconds since the Unix epoch as the leader stamped them: the only time that the state machine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogTime(pub u64);

impl LogTime {
    /// The time `ms` milliseconds before this one, at least the epoch.
    #[must_use]
    pub fn minus_ms(self, ms: u64) -> LogTime {
        LogTime(self.0.saturating_sub(ms))
    }

    /// The time `ms` milliseconds after this one.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> LogTime {
        LogTime(self.0.saturating_add(ms))
    }
}

/// Names a command for ever: a retry carries the same id and gets the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId {
    /// Which start of which node sent it; never used again.
    pub incarnation: u128,
    /// Counts up within the incarnation.
    pub sequence: u64,
}

/// Fences the writers of an upload: each request that writes takes the next one, and older ones are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u32);

/// The name that the object store gave to a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MultipartId(pub Arc<str>);

/// Who did something, as the log remembers it (`anonymous` where access is open).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalName(pub Arc<str>);

impl PrincipalName {
    /// The name of whoever did not say who they are.
    #[must_use]
    pub fn anonymous() -> PrincipalName {
        PrincipalName(Arc::from("anonymous"))
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for MultipartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
