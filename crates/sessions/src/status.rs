//! What is said about the shared store: in `/readyz?verbose`, and once per change in the log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How it stands with what nodes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Everything is in this process' memory, because no Redis is configured.
    InMemory,
    /// Redis answers.
    Shared,
    /// Redis is away. Pulls, pushes and logins by token go on.
    Away(Away),
}

/// Since when Redis is away, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// For how long.
    pub lasted: Duration,
    /// What it said, or did not say, last.
    pub why: Arc<str>,
}

/// What stops while Redis is away.
pub const STOPPED: &str =
    "web and command-line sessions stop; failed logins and pulls are counted by each node alone";

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::InMemory => f.write_str("sessions: in this node's memory"),
            Status::Shared => f.write_str("sessions: Redis answers"),
            Status::Away(Away { lasted, why }) => {
                let seconds = lasted.as_secs();
                write!(
                    f,
                    "sessions: Redis is away for {seconds} s ({why}): {STOPPED}"
                )
            }
        }
    }
}

impl Status {
    /// The same for anybody who asks: without the cause, which may name hosts.
    #[must_use]
    pub fn without_cause(&self) -> String {
        match self {
            Status::Away(Away { lasted, .. }) => {
                format!("Redis is away for {} s: {STOPPED}", lasted.as_secs())
            }
            Status::Shared => "Redis answers".to_owned(),
            Status::InMemory => "in this node's memory".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_stops() {
        let away = Status::Away(Away {
            lasted: Duration::from_millis(12_300),
            why: "no answer in 50ms".into(),
        });
        assert_eq!(
            away.to_string(),
            format!("sessions: Redis is away for 12 s (no answer in 50ms): {STOPPED}")
        );
        let public = away.without_cause();
        assert!(public.contains("12 s") && public.contains(STOPPED));
        assert!(!public.contains("no answer"));
    }
}
