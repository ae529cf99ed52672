//! The port to login sessions: what a browser or a command line holds after somebody has logged in.
//!
//! Everything here may be lost at any time, and then people log in again. Nothing that serves a pull or a push may ask this
//! port: what those may use never waits, and is in [`shared_counts`](crate::shared_counts). Rules 8.1 and 8.3.

pub mod suite;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use metadata::LogTime;
use metadata::access::AccountName;

use crate::IdSource;

/// A store of sessions that all nodes share. Every call may be repeated, and may be dropped at any time.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Keeps a session for its life. An account has [`SESSIONS_PER_ACCOUNT_MAX`] at most; those that would end first go.
    async fn put(
        &self,
        key: &SessionKey,
        session: &Session,
        life: SessionLife,
    ) -> Result<(), Degraded>;

    /// The session, if it lives. Asking renews its idle time, never its total time.
    async fn get(&self, key: &SessionKey) -> Result<Option<Session>, Degraded>;

    /// Ends a session. One that does not live is no error.
    async fn remove(&self, key: &SessionKey) -> Result<(), Degraded>;

    /// The sessions of an account that live, in no order. Asking renews none of them.
    async fn list(&self, account: &AccountName) -> Result<Vec<(SessionKey, Session)>, Degraded>;

    /// Ends all sessions of an account, but for those that are put meanwhile; says how many lived.
    async fn end_all(&self, account: &AccountName) -> Result<usize, Degraded>;
}

/// How many sessions of one account are kept.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 100;

/// What is shared between nodes does not answer, or refuses to write. It may be asked again; what an unanswered call did is
/// unknown, and does not matter, since every call may be repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what nodes share is away: {why}")]
pub struct Degraded {
    /// For the log. Names no secret.
    pub why: Arc<str>,
}

impl Degraded {
    /// Of a reason.
    pub fn because(why: impl Into<Arc<str>>) -> Degraded {
        Degraded { why: why.into() }
    }
}

/// What the holder of a session shows. Nobody else ever has it: stores know its [`SessionKey`] only.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// One that nobody can guess.
    #[must_use]
    pub fn fresh(ids: &dyn IdSource) -> SessionId {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&ids.fresh().to_be_bytes());
        bytes[16..].copy_from_slice(&ids.fresh().to_be_bytes());
        SessionId(bytes)
    }

    /// Reads what [`reveal`](SessionId::reveal) wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<SessionId> {
        from_hex(text).map(SessionId)
    }

    /// Its text, for its holder.
    #[must_use]
    pub fn reveal(&self) -> String {
        to_hex(&self.0)
    }

    /// Under which stores keep the session: its SHA-256, from which it cannot be found.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        let hash = digest::digest(&digest::SHA256, &self.0);
        SessionKey(hash.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(hidden)")
    }
}

/// Under which a session is kept. It may be shown, and names a session to end; it lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// Reads 64 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<SessionKey> {
        from_hex(text).map(SessionKey)
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// Who logged in, from where, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub account: AccountName,
    /// The account's generation when it began. Whoever uses the session compares it with the log's.
    pub generation: u64,
    /// What holds it.
    pub kind: SessionKind,
    /// When it began.
    pub began: LogTime,
    /// From which address.
    pub address: IpAddr,
    /// What the client called itself; at most [`AGENT_BYTES_MAX`], see [`agent`].
    pub agent: String,
}

/// What holds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// A browser.
    Web,
    /// The command line.
    CommandLine,
}

/// The most bytes of [`Session::agent`].
pub const AGENT_BYTES_MAX: usize = 200;

/// What a client calls itself, as a session keeps it: cut, and without what a terminal could take for a command.
#[must_use]
pub fn agent(said: &str) -> String {
    let mut kept = String::new();
    for letter in said.chars().filter(|letter| !letter.is_control()) {
        if kept.len() + letter.len_utf8() > AGENT_BYTES_MAX {
            break;
        }
        kept.push(letter);
    }
    kept
}

/// How long a session is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLife {
    /// Without being asked for.
    pub idle: Duration,
    /// In all.
    pub total: Duration,
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 64 || !text.bytes().all(is_digit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RandomIds;

    #[test]
    fn an_id_is_read_back_and_shown_to_its_holder_only() {
        let id = SessionId::fresh(&RandomIds);
        assert_eq!(SessionId::parse(&id.reveal()), Some(id.clone()));
        assert!(!format!("{id:?}").contains(&id.reveal()[..8]));
        assert_ne!(id.reveal(), id.key().to_string());
        assert_eq!(SessionKey::parse(&id.key().to_string()), Some(id.key()));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let right = "ab".repeat(32);
        assert!(SessionId::parse(&right).is_some());
        for wrong in [
            "",
            "ab",
            &right.to_uppercase(),
            &format!("{right}0"),
            &"é".repeat(32),
        ] {
            assert_eq!(SessionId::parse(wrong), None);
        }
    }

    #[test]
    fn an_agent_is_cut_between_letters() {
        assert_eq!(agent("curl/8\u{1b}[2J\n"), "curl/8[2J");
        let long = agent(&"é".repeat(300));
        assert!(long.len() <= AGENT_BYTES_MAX && long.len() > AGENT_BYTES_MAX - 2);
    }
}
