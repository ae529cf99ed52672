//! The ports to what nodes count together: failed logins and pulls.
//!
//! There are two sides. [`SharedCounts`] is what a store does; its answers take as long as a network takes, and sometimes do
//! not come. [`PullGate`] is all that a request for a pull or a push is given: none of its calls is `async`, so that waiting
//! for the store cannot be written there. [`LoginGate`] may wait a little, and serves logins. Rule 8.3.

pub mod suite;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use metadata::access::AccountName;

use crate::{Degraded, IdSource};

/// Counters that all nodes share. Every call may be repeated, and may be dropped at any time.
#[async_trait]
pub trait SharedCounts: Send + Sync + 'static {
    /// Whether this attempt may go on to the password; else how long to wait. An attempt that goes on is under way until it
    /// is ended, or [`ATTEMPT_MAX`] has passed. Repeated with the same attempt, the answer is the same.
    async fn begin_login(
        &self,
        attempt: &LoginAttempt,
        policy: &ThrottlePolicy,
    ) -> Result<Option<Duration>, Degraded>;

    /// Says how an attempt ended; how long the next one for this account from this address has to wait. One that is not
    /// under way counts for nothing.
    async fn end_login(
        &self,
        attempt: &LoginAttempt,
        succeeded: bool,
        policy: &ThrottlePolicy,
    ) -> Result<Option<Duration>, Degraded>;

    /// Tells what a node has pulled, and asks what it may pull next. The whole of what a node holds is told each time, so
    /// that telling it again changes nothing.
    async fn settle_pulls(
        &self,
        source: &PullSource,
        report: &PullReport,
        limit: PullLimit,
    ) -> Result<PullSettlement, Degraded>;
}

/// What serving a pull or a push may ask. Nothing here waits, by construction: no call is `async`, and implementations
/// answer from memory and settle in the background.
pub trait PullGate: Send + Sync + 'static {
    /// Counts a pull, unless there is none left.
    fn take_pull(&self, source: &PullSource, limit: PullLimit) -> PullAnswer;

    /// What is left, without counting anything.
    fn look_at_pulls(&self, source: &PullSource, limit: PullLimit) -> PullAnswer;

    /// Whether a password that came with a request may be looked at, as this node knows it; else how long to wait.
    fn begin_login_now(&self, account: &str, address: IpAddr) -> Result<LoginTicket, Duration>;
}

/// What a login asks: it may wait for what other nodes have counted, by a deadline that is a small part of what checking a
/// password costs.
#[async_trait]
pub trait LoginGate: Send + Sync + 'static {
    /// Whether the password may be looked at; else how long to wait. When the shared counts are away, what this node has
    /// counted decides.
    async fn begin_login(&self, account: &str, address: IpAddr) -> Result<LoginTicket, Duration>;
}

/// How an attempt to log in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The password was right.
    Succeeded,
    /// It was wrong, or nobody waited for the answer.
    Failed,
    /// Nobody could look at it.
    Undecided,
}

/// The right to look at one password. Dropped without a word, it counts as a failure.
pub struct LoginTicket {
    end: Option<Box<dyn FnOnce(LoginOutcome) + Send>>,
}

impl LoginTicket {
    /// One whose outcome is told to `end`, once.
    pub fn new(end: impl FnOnce(LoginOutcome) + Send + 'static) -> LoginTicket {
        LoginTicket {
            end: Some(Box::new(end)),
        }
    }

    /// The password was right.
    pub fn succeeded(self) {
        self.ended(LoginOutcome::Succeeded);
    }

    /// Nobody could look at the password: it counts for nothing.
    pub fn undecided(self) {
        self.ended(LoginOutcome::Undecided);
    }

    fn ended(mut self, outcome: LoginOutcome) {
        if let Some(end) = self.end.take() {
            end(outcome);
        }
    }
}

impl Drop for LoginTicket {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end(LoginOutcome::Failed);
        }
    }
}

impl fmt::Debug for LoginTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginTicket")
    }
}

/// An attempt that was begun and not ended counts as under way for so long.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// How many attempts from one address may be under way.
pub const ATTEMPTS_UNDER_WAY_MAX: u32 = 64;

/// One attempt to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginAttempt {
    /// From where.
    pub from: AddressPrefix,
    /// For which account, if there is one of this name.
    pub account: AccountMark,
    /// By which it is known again.
    pub nonce: u128,
}

impl LoginAttempt {
    /// A new one.
    #[must_use]
    pub fn new(account: &str, address: IpAddr, ids: &dyn IdSource) -> LoginAttempt {
        LoginAttempt {
            from: AddressPrefix::of(address),
            account: AccountMark::of(account),
            nonce: ids.fresh(),
        }
    }
}

/// What stands for the name of an account that somebody gave. The name itself is never kept: people type passwords there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountMark(pub u128);

impl AccountMark {
    /// Of a name as it was given. Upper and lower case are one, so that changing them brings no new tries.
    #[must_use]
    pub fn of(name: &str) -> AccountMark {
        let hash = digest::digest(&digest::SHA256, name.to_lowercase().as_bytes());
        let first = hash.as_ref().first_chunk();
        AccountMark(u128::from_be_bytes(
            *first.expect("a SHA-256 has more than 16 bytes"),
        ))
    }
}

/// What one client can be expected to have of the address space: an IPv4 address, or a /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressPrefix(IpAddr);

impl AddressPrefix {
    /// The one that holds an address.
    #[must_use]
    pub fn of(address: IpAddr) -> AddressPrefix {
        AddressPrefix(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 => v4,
        })
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// How failed logins are answered. They are counted for each account *from* each address, and for each address; never for an
/// account alone, so that nobody can lock out somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottlePolicy {
    /// How many failures for an account from an address cost nothing.
    pub free_failures: u32,
    /// How long to wait after the next; each further one doubles it.
    pub wait_first: Duration,
    /// The longest wait; no longer than `window`.
    pub wait_max: Duration,
    /// How long failures are remembered.
    pub window: Duration,
    /// How many failures an address has in one window, for all accounts together.
    pub address_failures_max: u32,
}

impl Default for ThrottlePolicy {
    fn default() -> ThrottlePolicy {
        ThrottlePolicy {
            free_failures: 5,
            wait_first: Duration::from_secs(1),
            wait_max: Duration::from_secs(300),
            window: Duration::from_secs(900),
            address_failures_max: 100,
        }
    }
}

impl ThrottlePolicy {
    /// How long to wait after so many failures.
    #[must_use]
    pub fn wait_after(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.free_failures + 1) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.wait_first.saturating_mul(factor).min(self.wait_max)
    }
}

/// Whose pulls are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PullSource {
    /// Those of an account, from everywhere.
    Account(AccountName),
    /// Those of nobody in particular, from an address.
    Address(AddressPrefix),
}

impl fmt::Display for PullSource {
    /// As `docker-ratelimit-source` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PullSource::Account(account) => f.write_str(account.as_str()),
            PullSource::Address(prefix) => prefix.fmt(f),
        }
    }
}

/// How much may be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullLimit {
    /// So many pulls
    pub pulls: u32,
    /// in so long, from the first one on.
    pub window: Duration,
}

/// What a gate says about a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullAnswer {
    /// Whether it may go on.
    pub allowed: bool,
    /// The limit that it was counted against.
    pub limit: PullLimit,
    /// How many are left after it, as far as this node knows.
    pub remaining: u32,
    /// When the count begins again.
    pub retry_after: Duration,
    /// For `docker-ratelimit-source`.
    pub source: Arc<str>,
}

impl PullAnswer {
    /// The headers that Docker Hub sends, and its clients show.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 3] {
        let seconds = self.limit.window.as_secs();
        [
            (
                "ratelimit-limit",
                format!("{};w={seconds}", self.limit.pulls),
            ),
            (
                "ratelimit-remaining",
                format!("{};w={seconds}", self.remaining),
            ),
            ("docker-ratelimit-source", self.source.to_string()),
        ]
    }
}

/// What a node tells of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullReport {
    /// The node's count of this source: a number that no other count has.
    pub counter: u64,
    /// In which window the count was begun; 0 when the node does not know.
    pub window: u64,
    /// How many the node has pulled in this window.
    pub spent: u64,
    /// How many it would like to hold, beyond those.
    pub hold: u32,
}

/// What a store answers to a [`PullReport`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullSettlement {
    /// How many the node holds from now on.
    pub held: u32,
    /// How many all others have pulled or hold.
    pub others: u64,
    /// Which window this is; never 0.
    pub window: u64,
    /// How long it lasts from now on.
    pub left: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_what_one_client_has() {
        let shown = |text: &str| AddressPrefix::of(text.parse().unwrap()).to_string();
        assert_eq!(shown("203.0.113.9"), "203.0.113.9");
        assert_eq!(shown("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = ThrottlePolicy::default();
        let seconds = |failures| policy.wait_after(failures).as_secs();
        assert_eq!(
            [0, 5, 6, 7, 8, 14, 15, 40, u32::MAX].map(seconds),
            [0, 0, 1, 2, 4, 256, 300, 300, 300]
        );
    }

    #[test]
    fn names_are_marked_without_their_case() {
        assert_eq!(AccountMark::of("Admin"), AccountMark::of("admin"));
        assert_ne!(AccountMark::of("admin"), AccountMark::of("admin2"));
    }

    #[test]
    fn a_ticket_that_is_dropped_is_a_failure() {
        let (said, heard) = std::sync::mpsc::channel();
        let ticket = || {
            let said = said.clone();
            LoginTicket::new(move |outcome| said.send(outcome).unwrap())
        };
        drop(ticket());
        ticket().succeeded();
        ticket().undecided();
        drop(said);
        assert_eq!(
            heard.iter().collect::<Vec<_>>(),
            [
                LoginOutcome::Failed,
                LoginOutcome::Succeeded,
                LoginOutcome::Undecided
            ]
        );
    }

    #[test]
    fn headers_are_those_of_docker_hub() {
        let answer = PullAnswer {
            allowed: true,
            limit: PullLimit {
                pulls: 100,
                window: Duration::from_secs(21_600),
            },
            remaining: 76,
            retry_after: Duration::ZERO,
            source: "203.0.113.9".into(),
        };
        let [limit, remaining, source] = answer.headers();
        assert_eq!(limit, ("ratelimit-limit", "100;w=21600".to_owned()));
        assert_eq!(remaining, ("ratelimit-remaining", "76;w=21600".to_owned()));
        assert_eq!(
            source,
            ("docker-ratelimit-source", "203.0.113.9".to_owned())
        );
    }
}
