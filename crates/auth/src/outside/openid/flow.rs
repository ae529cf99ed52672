//! The authorization code flow with PKCE: what a browser is sent away with, and what it must come back with. Pure but for the
//! random draws.
//!
//! Spec: OpenID Connect Core 1.0 section 3.1; RFC 7636; RFC 9207.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use url::Url;

use super::OpenIdError;

/// How long somebody may take to log in.
const TIME_MAX: Duration = Duration::from_secs(600);
/// The longest code that is passed on.
const CODE_BYTES_MAX: usize = 4096;
/// Of what a provider calls its refusal.
const REFUSAL_BYTES_MAX: usize = 64;

/// A login that was begun. It is kept where only the browser that began it leads to, and used once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What the browser comes back with.
    pub state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
    pub(super) redirect_uri: String,
    started_s: u64,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(..)")
    }
}

/// With what the browser comes back: the query of the redirect.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Callback {
    /// The code that is exchanged.
    #[serde(default)]
    pub code: Option<String>,
    /// See [`Pending::state`].
    #[serde(default)]
    pub state: Option<String>,
    /// The provider, of those that say it.
    #[serde(default)]
    pub iss: Option<String>,
    /// Why there is no code.
    #[serde(default)]
    pub error: Option<String>,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback(..)")
    }
}

fn draw() -> String {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .expect("aws-lc ends the process itself when the system has no randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Pending {
    /// Begins a login whose browser comes back to `redirect_uri`.
    pub(super) fn draw(redirect_uri: &str, now: SystemTime) -> Pending {
        Pending {
            state: draw(),
            nonce: draw(),
            verifier: draw(),
            redirect_uri: redirect_uri.to_owned(),
            started_s: seconds(now),
        }
    }

    /// What of the verifier the provider sees first.
    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.verifier.as_bytes()))
    }

    /// Where the browser is sent.
    pub(super) fn address(&self, endpoint: &Url, client_id: &str, scopes: &[String]) -> Url {
        let mut address = endpoint.clone();
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &with_openid(scopes).join(" "))
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("code_challenge", &self.challenge())
            .append_pair("code_challenge_method", "S256");
        address
    }

    /// The code with which the browser came back, if it is this login's.
    pub(super) fn code<'c>(
        &self,
        callback: &'c Callback,
        issuer: &str,
        answers_name_issuer: bool,
        now: SystemTime,
    ) -> Result<&'c str, OpenIdError> {
        let state = callback.state.as_deref().unwrap_or_default();
        constant_time::verify_slices_are_equal(state.as_bytes(), self.state.as_bytes())
            .map_err(|_| OpenIdError::State)?;
        match &callback.iss {
            Some(said) if said != issuer => return Err(OpenIdError::State),
            None if answers_name_issuer => return Err(OpenIdError::State),
            _ => {}
        }
        let now = seconds(now);
        let last = self.started_s.saturating_add(TIME_MAX.as_secs());
        if now > last {
            return Err(OpenIdError::TooLate);
        }
        if let Some(error) = &callback.error {
            return Err(OpenIdError::Refused(refusal(error)));
        }
        let code = callback.code.as_deref().unwrap_or_default();
        match (1..=CODE_BYTES_MAX).contains(&code.len()) {
            true => Ok(code),
            false => Err(OpenIdError::State),
        }
    }

    /// The form with which a code is exchanged, without what proves the client.
    pub(super) fn exchange(&self, code: &str) -> Vec<(&'static str, String)> {
        vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", self.redirect_uri.clone()),
            ("code_verifier", self.verifier.clone()),
        ]
    }
}

/// Without `openid` there is no ID token.
fn with_openid(scopes: &[String]) -> Vec<&str> {
    let mut all: Vec<&str> = scopes.iter().map(String::as_str).collect();
    if !all.contains(&"openid") {
        all.insert(0, "openid");
    }
    all
}

/// What may be shown of what somebody else calls a refusal.
pub(super) fn refusal(text: &str) -> String {
    let is_good = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    text.chars()
        .filter(is_good)
        .take(REFUSAL_BYTES_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn callback(pending: &Pending) -> Callback {
        Callback {
            code: Some("c0de".to_owned()),
            state: Some(pending.state.clone()),
            ..Callback::default()
        }
    }

    fn code(pending: &Pending, callback: &Callback) -> Result<String, String> {
        let code = pending.code(callback, "https://id", false, NOW);
        code.map(str::to_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn challenge_is_that_of_rfc_7636() {
        let mut pending = Pending::draw("https://r/back", NOW);
        // Appendix B.
        pending.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        assert_eq!(
            pending.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn browser_is_sent_away_with_all_that_binds_the_login() {
        let pending = Pending::draw("https://r/back?x=1", NOW);
        let endpoint = Url::parse("https://id/auth?tenant=7").unwrap();
        let address = pending.address(&endpoint, "holdfast", &["groups".to_owned()]);
        let query: std::collections::BTreeMap<_, _> = address.query_pairs().into_owned().collect();
        assert_eq!(query["tenant"], "7");
        assert_eq!(query["scope"], "openid groups");
        assert_eq!(query["redirect_uri"], "https://r/back?x=1");
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["state"], pending.state);
        assert_eq!(query["nonce"], pending.nonce);
        assert!(!address.as_str().contains(&pending.verifier));
        let other = Pending::draw("https://r/back", NOW);
        assert!(other.state != pending.state && other.verifier != pending.verifier);
    }

    #[test]
    fn only_the_answer_to_this_login_counts() {
        let pending = Pending::draw("https://r/back", NOW);
        assert_eq!(code(&pending, &callback(&pending)).unwrap(), "c0de");
        let of_other = callback(&Pending::draw("https://r/back", NOW));
        let without = Callback {
            state: None,
            ..callback(&pending)
        };
        let of_other_provider = Callback {
            iss: Some("https://evil".to_owned()),
            ..callback(&pending)
        };
        let without_code = Callback {
            code: None,
            ..callback(&pending)
        };
        for wrong in [of_other, without, of_other_provider, without_code] {
            assert_eq!(code(&pending, &wrong), Err(OpenIdError::State.to_string()));
        }
        let unnamed = pending
            .code(&callback(&pending), "https://id", true, NOW)
            .map(drop);
        assert!(matches!(unnamed, Err(OpenIdError::State)));
        let late = NOW + TIME_MAX + Duration::from_secs(1);
        let late = callback_at(&pending, late);
        assert!(matches!(late, Err(OpenIdError::TooLate)));
    }

    fn callback_at(pending: &Pending, now: SystemTime) -> Result<(), OpenIdError> {
        let callback = callback(pending);
        pending.code(&callback, "https://id", false, now).map(drop)
    }

    #[test]
    fn refusal_of_the_provider_is_shown_without_tricks() {
        let pending = Pending::draw("https://r/back", NOW);
        let refused = Callback {
            error: Some("access_denied<script>\n".to_owned()),
            ..callback(&pending)
        };
        let said = code(&pending, &refused).unwrap_err();
        assert!(said.ends_with("refused: access_deniedscript"), "{said}");
    }

    #[test]
    fn what_is_secret_does_not_show() {
        let pending = Pending::draw("https://r/back", NOW);
        let shown = format!("{pending:?} {:?}", callback(&pending));
        assert_eq!(shown, "Pending(..) Callback(..)");
    }
}
