//! Secrets that are looked at only as often as a gate lets them be, and tokens that are exchanged for others.
//!
//! What failed is told to the node's log and counted, never to the replicated one: a flood of wrong passwords costs it
//! nothing. People type passwords where names belong, so that a name which proved nothing is told by its mark alone. What was
//! proved a moment ago, and tokens, pass by the gate: there is nothing to guess. Rules 8.2 and 8.5.

use std::net::IpAddr;
use std::time::SystemTime;

use metadata::access::Who;
use metrics::{counter, describe_counter};
use ports::{AccountMark, Deadline, LoginGate, PullGate};

use super::credentials::Credentials;
use super::{Admitted, Doorkeeper, NotAdmitted, TokenKeys};
use crate::{Purpose, TokenError};

const LOGINS: &str = "holdfast_logins_total";

/// Tells the recorder what the metrics mean. Called once, after the recorder was installed.
pub fn describe_metrics() {
    describe_counter!(
        LOGINS,
        "Names with secrets that had to be looked at, by `outcome`: `succeeded`, `failed`, `throttled` (not looked at, after too many failures), `undecided` (nobody could look)."
    );
}

/// What says how often a secret may be tried.
#[derive(Clone, Copy)]
pub enum Gate<'a> {
    /// It may ask other nodes: for logins.
    Waiting(&'a dyn LoginGate),
    /// It knows at once: for pulls and pushes.
    Now(&'a dyn PullGate),
}

impl Doorkeeper {
    /// As [`Doorkeeper::admit`], for a client at this address, whose secret is looked at only if the gate lets it.
    ///
    /// # Errors
    /// See [`NotAdmitted`]. May be repeated.
    pub async fn admit_at(
        &self,
        gate: Gate<'_>,
        from: IpAddr,
        authorization: Option<&str>,
        deadline: Deadline,
    ) -> Result<Admitted, NotAdmitted> {
        let Some(name) = authorization.and_then(|header| self.unproved(header)) else {
            return self.admit(authorization, deadline).await;
        };
        let begun = match gate {
            Gate::Waiting(gate) => gate.begin_login(&name, from).await,
            Gate::Now(gate) => gate.begin_login_now(&name, from),
        };
        let ticket = match begun {
            Ok(ticket) => ticket,
            Err(retry_after) => {
                counter!(LOGINS, "outcome" => "throttled").increment(1);
                return Err(NotAdmitted::Throttled { retry_after });
            }
        };
        let admitted = self.admit(authorization, deadline).await;
        let outcome = match &admitted {
            Ok(_) => {
                ticket.succeeded();
                "succeeded"
            }
            Err(NotAdmitted::Unknown(_)) => {
                ticket.undecided();
                "undecided"
            }
            Err(_) => {
                drop(ticket);
                let account = format!("{:032x}", AccountMark::of(&name).0);
                tracing::info!(%from, account, "a login failed");
                "failed"
            }
        };
        counter!(LOGINS, "outcome" => outcome).increment(1);
        admitted
    }

    /// Whose secret this is, if it has to be looked at.
    fn unproved(&self, header: &str) -> Option<String> {
        let scheme = header.trim_start().get(..5)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let tag = self.seen.tag(&[header.as_bytes()]);
        if self.seen.get(tag).is_some() {
            return None;
        }
        match Credentials::parse(header)? {
            // All names that nobody can have are one.
            Credentials::Basic(name, _) => Some(name.map_or_else(String::new, |n| n.to_string())),
            Credentials::Bearer(_) => None,
        }
    }

    /// Who shows this refresh token. Whether it still counts for the log is asked with what it is exchanged for.
    ///
    /// # Errors
    /// See [`NotAdmitted`]. May be repeated.
    pub async fn refreshed(
        &self,
        token: &str,
        deadline: Deadline,
    ) -> Result<Admitted, NotAdmitted> {
        let now = SystemTime::now();
        let seen = self.verified(token, Purpose::Refresh, now, deadline);
        let mut admitted = seen.await?.admitted;
        match admitted.who {
            Who::Account { .. } => {
                admitted.scopes = None;
                Ok(admitted)
            }
            Who::Anonymous | Who::Outside(_) => Err(TokenError::Malformed.into()),
        }
    }

    /// The keys whose tokens count.
    #[must_use]
    pub fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// The service that tokens are for.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.names.service
    }
}
