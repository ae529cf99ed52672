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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use metadata::access::AccountName;
    use parking_lot::Mutex;
    use ports::metadata_store::memory::MemoryMetadataStore;
    use ports::{LoginOutcome, LoginTicket, PullAnswer, PullLimit, PullSource};
    use zeroize::Zeroizing;

    use super::*;
    use crate::{ProofFailure, Proved, Prover, TokenIssuer};

    /// Who knows one password, of one account, and cannot look at those of another.
    struct Knows;

    #[async_trait]
    impl Prover for Knows {
        async fn prove(
            &self,
            name: &AccountName,
            secret: Zeroizing<String>,
            _: Deadline,
        ) -> Result<Option<Proved>, ProofFailure> {
            let proved = Proved {
                name: name.clone(),
                generation: 1,
                token: None,
            };
            match name.as_str() {
                "away" => Err(ProofFailure::Busy),
                _ => Ok((*secret == "right").then_some(proved)),
            }
        }
    }

    /// Hears how each attempt ended, and lets only three begin.
    #[derive(Default)]
    struct Hearing(Arc<Mutex<Vec<(String, LoginOutcome)>>>);

    impl PullGate for Hearing {
        fn take_pull(&self, _: &PullSource, _: PullLimit) -> PullAnswer {
            unreachable!("nothing is pulled")
        }

        fn look_at_pulls(&self, _: &PullSource, _: PullLimit) -> PullAnswer {
            unreachable!("nothing is pulled")
        }

        fn begin_login_now(&self, account: &str, _: IpAddr) -> Result<LoginTicket, Duration> {
            if self.0.lock().len() == 3 {
                return Err(Duration::from_secs(7));
            }
            let (heard, account) = (Arc::clone(&self.0), account.to_owned());
            Ok(LoginTicket::new(move |outcome| {
                heard.lock().push((account, outcome));
            }))
        }
    }

    #[tokio::test]
    async fn gate_hears_how_each_secret_was_and_of_nothing_else() {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let keys = TokenKeys::new(Arc::new(MemoryMetadataStore::new()));
        let names = TokenIssuer {
            issuer: "holdfast".to_owned(),
            service: "registry.test".to_owned(),
        };
        let door = Doorkeeper::new(Arc::new(Knows), keys, names, 100);
        let gate = Hearing::default();
        let show = async |shown: Option<String>| {
            let from = [203, 0, 113, 1].into();
            let soon = Deadline::now() + Duration::from_secs(10);
            door.admit_at(Gate::Now(&gate), from, shown.as_deref(), soon)
                .await
        };
        let basic = |text: &str| Some(format!("Basic {}", STANDARD.encode(text)));
        assert!(show(basic("ann:right")).await.is_ok());
        assert_eq!(show(basic("../x:right")).await, Err(NotAdmitted::Wrong));
        let busy = show(basic("away:right")).await;
        assert_eq!(busy, Err(NotAdmitted::Unknown(ProofFailure::Busy)));
        let heard = gate.0.lock().clone();
        let expected = [
            ("ann", LoginOutcome::Succeeded),
            ("", LoginOutcome::Failed),
            ("away", LoginOutcome::Undecided),
        ];
        assert_eq!(heard, expected.map(|(name, how)| (name.to_owned(), how)));
        // What is remembered, tokens, nonsense and nothing pass by.
        assert!(show(basic("ann:right")).await.is_ok());
        assert!(show(None).await.is_ok());
        for other in ["Bearer a.b.c", "Basic !", "Basi", ""] {
            let refused = show(Some(other.to_owned())).await;
            assert!(
                !matches!(refused, Err(NotAdmitted::Throttled { .. })),
                "{other}"
            );
        }
        let retry_after = Duration::from_secs(7);
        let held = show(basic("ann:wrong")).await;
        assert_eq!(held, Err(NotAdmitted::Throttled { retry_after }));
    }
}
