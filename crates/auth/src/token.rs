//! JSON Web Tokens: given to who proved who they are, and shown with each request.
//!
//! A token says who it is for and what it was asked for; it gives no right. It is bound to the account's generation, or to a
//! personal access token, whose end ends it. Only ES256 is taken, whatever the token's header says.
//!
//! Spec: RFC 7519; RFC 8725 (best current practices); "Token Authentication Implementation" of the distribution project.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use metadata::access::{AccountName, TokenId, Who};
use serde::{Deserialize, Serialize};

use crate::key::{SigningKey, VerifyingKeys};
use crate::scope::{AccessClaim, Scope};

/// The longest token that is looked at: one of [`crate::SCOPES_MAX`] scopes of the longest names is shorter.
const BYTES_MAX: usize = 64 * 1024;

/// How long a token of access counts: a request that it began may last longer.
pub const ACCESS_LIFE: Duration = Duration::from_secs(300);

/// How long a refresh token counts, the longest of all tokens: a key is kept so long after the last that it signed.
pub const REFRESH_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How far the clocks of two nodes may be apart.
const LEEWAY: Duration = Duration::from_secs(60);

/// What a token may be used for. One cannot stand for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Shown with each request to the registry.
    Access,
    /// Exchanged for tokens of access, as docker's "identity token".
    Refresh,
}

impl Purpose {
    fn typ(self) -> &'static str {
        match self {
            Purpose::Access => "JWT",
            Purpose::Refresh => "refresh+JWT",
        }
    }
}

/// What stands in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who it is for; `None`: whoever did not say.
    pub account: Option<Proved>,
    /// What it is good for.
    pub scopes: Vec<Scope>,
}

/// An account, and what proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// Which.
    pub name: AccountName,
    /// Its generation then.
    pub generation: u64,
    /// The personal access token that was shown, if it was one.
    pub token: Option<TokenId>,
}

impl Proved {
    /// Who that is, as the log checks it. They showed no signed token.
    #[must_use]
    pub fn who(&self) -> Who {
        self.by_key(None)
    }

    fn by_key(&self, key: Option<u32>) -> Who {
        Who::Account {
            name: self.name.clone(),
            generation: self.generation,
            token: self.token,
            key,
        }
    }
}

impl Claims {
    /// Who it is for, as the log checks it, when the key of this number has signed it. A token for nobody gives nothing, and the
    /// log is not asked about its key.
    #[must_use]
    pub fn who(&self, key: u32) -> Who {
        let account = self.account.as_ref();
        account.map_or(Who::Anonymous, |proved| proved.by_key(Some(key)))
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    access: Vec<AccessClaim>,
    /// The account's generation.
    #[serde(rename = "gen", default, skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    /// The personal access token, in hexadecimal.
    #[serde(rename = "pat", default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// Why a token does not count. None of these tells what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is none, of another algorithm, of another kind, or too long.
    #[error("this is no token of this registry")]
    Malformed,
    /// Its key is none of those that count.
    #[error("the token's key counts no more, or never did")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// It is of another issuer or for another service.
    #[error("the token is not for this registry")]
    ForOthers,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    TooEarly,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// A token that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What stands in it.
    pub claims: Claims,
    /// The number of the key that signed it.
    pub key: u32,
    /// Until when, by this node's clock.
    pub until: SystemTime,
}

impl Verified {
    /// Who shows it, as the log checks it.
    #[must_use]
    pub fn who(&self) -> Who {
        self.claims.who(self.key)
    }
}

/// The names that stand in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIssuer {
    /// Who gives them.
    pub issuer: String,
    /// For which service.
    pub service: String,
}

impl TokenIssuer {
    /// A cluster's own tokens for `service`.
    #[must_use]
    pub fn of_service(service: &str) -> TokenIssuer {
        TokenIssuer {
            issuer: "holdfast".to_owned(),
            service: service.to_owned(),
        }
    }

    /// Signs a token that counts from `now` on for `life`. `id` is never used again.
    ///
    /// # Panics
    /// Never: claims can be written as JSON, and the key was checked when it was made.
    #[must_use]
    pub fn issue(
        &self,
        key: &SigningKey,
        purpose: Purpose,
        claims: &Claims,
        now: SystemTime,
        life: Duration,
        id: u128,
    ) -> String {
        let issued = seconds(now);
        let account = claims.account.as_ref();
        let body = Body {
            iss: self.issuer.clone(),
            aud: self.service.clone(),
            sub: account.map_or_else(String::new, |proved| proved.name.to_string()),
            iat: issued,
            nbf: issued,
            exp: issued.saturating_add(life.as_secs()),
            jti: format!("{id:032x}"),
            access: claims.scopes.iter().map(AccessClaim::from).collect(),
            generation: account.map(|proved| proved.generation),
            token: account
                .and_then(|proved| proved.token)
                .map(|token| format!("{:032x}", token.0)),
        };
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(purpose.typ().to_owned());
        header.kid = Some(key.kid.clone());
        encode(&header, &body, &key.key).expect("checked claims are signed by a checked key")
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Checks a token that was shown for `purpose` at `now`.
///
/// # Errors
/// See [`TokenError`].
pub fn verify(
    keys: &VerifyingKeys,
    names: &TokenIssuer,
    purpose: Purpose,
    token: &str,
    now: SystemTime,
) -> Result<Verified, TokenError> {
    if token.len() > BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
    if header.alg != Algorithm::ES256 || header.typ.as_deref() != Some(purpose.typ()) {
        return Err(TokenError::Malformed);
    }
    let kid = header.kid.ok_or(TokenError::Malformed)?;
    let (number, key) = keys.find(&kid).ok_or(TokenError::UnknownKey)?;
    let body = decode::<Body>(token, key, &signature_only()).map_err(|error| {
        use jsonwebtoken::errors::ErrorKind::InvalidSignature;
        match error.kind() {
            InvalidSignature => TokenError::Signature,
            _ => TokenError::Malformed,
        }
    })?;
    let body = body.claims;
    if body.iss != names.issuer || body.aud != names.service {
        return Err(TokenError::ForOthers);
    }
    let (now, leeway) = (seconds(now), LEEWAY.as_secs());
    if body.nbf > now.saturating_add(leeway) {
        return Err(TokenError::TooEarly);
    }
    let until = body.exp.saturating_add(leeway);
    if until <= now {
        return Err(TokenError::Expired);
    }
    let until = UNIX_EPOCH.checked_add(Duration::from_secs(until));
    Ok(Verified {
        claims: claims(&body).ok_or(TokenError::Malformed)?,
        key: number,
        until: until.ok_or(TokenError::Malformed)?,
    })
}

/// Names and times are checked by [`verify`], against its own `now`.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn claims(body: &Body) -> Option<Claims> {
    let account = match (&*body.sub, body.generation) {
        ("", None) => None,
        (name, Some(generation)) => Some(Proved {
            name: AccountName::parse(name).ok()?,
            generation,
            token: match &body.token {
                None => None,
                Some(text) => Some(TokenId(u128::from_str_radix(text, 16).ok()?)),
            },
        }),
        _ => return None,
    };
    Some(Claims {
        account,
        scopes: body.access.iter().filter_map(AccessClaim::scope).collect(),
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;
    use crate::key::NewKey;
    use crate::scope::parse_scopes;

    const NUMBER: u32 = 7;
    const LIFE: Duration = Duration::from_secs(300);

    struct Issuer {
        names: TokenIssuer,
        key: SigningKey,
        keys: VerifyingKeys,
        now: SystemTime,
    }

    impl Issuer {
        fn new() -> Issuer {
            let key = NewKey::draw();
            Issuer {
                names: TokenIssuer {
                    issuer: "holdfast".to_owned(),
                    service: "registry.example.org".to_owned(),
                },
                keys: VerifyingKeys::new([(NUMBER, &*key.public)]).unwrap(),
                key: SigningKey::new(&key.public, &key.private).unwrap(),
                now: UNIX_EPOCH + Duration::from_secs(1_900_000_000),
            }
        }

        fn issue(&self, purpose: Purpose, claims: &Claims) -> String {
            self.names
                .issue(&self.key, purpose, claims, self.now, LIFE, 7)
        }

        fn check(&self, token: &str) -> Result<Claims, TokenError> {
            self.check_at(token, self.now)
        }

        fn check_at(&self, token: &str, now: SystemTime) -> Result<Claims, TokenError> {
            let verified = verify(&self.keys, &self.names, Purpose::Access, token, now);
            verified.map(|verified| verified.claims)
        }
    }

    fn anns() -> Claims {
        Claims {
            account: Some(Proved {
                name: AccountName::parse("ann").unwrap(),
                generation: 3,
                token: Some(TokenId(0xabc)),
            }),
            scopes: parse_scopes(["repository:team/app:pull,push registry:catalog:*"]).unwrap(),
        }
    }

    #[test]
    fn token_says_what_it_was_given_for() {
        let issuer = Issuer::new();
        let nobodys = Claims {
            account: None,
            scopes: Vec::new(),
        };
        for claims in [anns(), nobodys] {
            let token = issuer.issue(Purpose::Access, &claims);
            assert_eq!(issuer.check(&token), Ok(claims));
        }
    }

    #[test]
    fn log_is_told_which_key_has_signed() {
        let issuer = Issuer::new();
        let token = issuer.issue(Purpose::Access, &anns());
        let names = &issuer.names;
        let verified = verify(&issuer.keys, names, Purpose::Access, &token, issuer.now);
        let who = verified.map(|verified| verified.who());
        assert!(matches!(
            who,
            Ok(Who::Account {
                key: Some(NUMBER),
                ..
            })
        ));
        let proved = anns().account.map(|proved| proved.who());
        assert!(matches!(proved, Some(Who::Account { key: None, .. })));
    }

    #[test]
    fn token_counts_in_its_time_only() {
        let issuer = Issuer::new();
        let token = issuer.issue(Purpose::Access, &anns());
        for (at, expected) in [
            (-61, Err(TokenError::TooEarly)),
            (-59, Ok(())),
            (300 + 59, Ok(())),
            (300 + 60, Err(TokenError::Expired)),
            (1_000_000, Err(TokenError::Expired)),
        ] {
            let seconds = Duration::from_secs(i64::unsigned_abs(at));
            let now = match at < 0 {
                true => issuer.now - seconds,
                false => issuer.now + seconds,
            };
            assert_eq!(issuer.check_at(&token, now).map(drop), expected, "{at}");
        }
    }

    #[test]
    fn token_of_others_does_not_count() {
        let (issuer, other) = (Issuer::new(), Issuer::new());
        let token = other.issue(Purpose::Access, &anns());
        assert_eq!(issuer.check(&token), Err(TokenError::UnknownKey));
        for names in [
            TokenIssuer {
                issuer: "else".to_owned(),
                ..issuer.names.clone()
            },
            TokenIssuer {
                service: "else".to_owned(),
                ..issuer.names.clone()
            },
        ] {
            let token = names.issue(&issuer.key, Purpose::Access, &anns(), issuer.now, LIFE, 7);
            assert_eq!(issuer.check(&token), Err(TokenError::ForOthers));
        }
    }

    #[test]
    fn refresh_token_is_no_access_token_nor_the_other_way_round() {
        let issuer = Issuer::new();
        let refresh = issuer.issue(Purpose::Refresh, &anns());
        assert_eq!(issuer.check(&refresh), Err(TokenError::Malformed));
        let access = issuer.issue(Purpose::Access, &anns());
        let verified = verify(
            &issuer.keys,
            &issuer.names,
            Purpose::Refresh,
            &access,
            issuer.now,
        );
        assert_eq!(verified, Err(TokenError::Malformed));
    }

    /// A token with another header and the same body and signature.
    fn with_header(token: &str, change: impl FnOnce(&mut Value)) -> String {
        let (header, rest) = token.split_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(header).unwrap();
        let mut header: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut header);
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    }

    #[test]
    fn header_chooses_no_algorithm_and_no_key() {
        let issuer = Issuer::new();
        let token = issuer.issue(Purpose::Access, &anns());
        for algorithm in ["none", "None", "HS256", "RS256", "ES384", "EdDSA"] {
            let forged = with_header(&token, |header| header["alg"] = json!(algorithm));
            assert_eq!(
                issuer.check(&forged),
                Err(TokenError::Malformed),
                "{algorithm}"
            );
            let (signed, _) = forged.rsplit_once('.').unwrap();
            let unsigned = format!("{signed}.");
            assert_eq!(
                issuer.check(&unsigned),
                Err(TokenError::Malformed),
                "{algorithm}"
            );
        }
        let without = with_header(&token, |header| {
            header.as_object_mut().unwrap().remove("kid");
        });
        assert_eq!(issuer.check(&without), Err(TokenError::Malformed));
        let extra = with_header(&token, |header| header["x5c"] = json!(["AAAA"]));
        assert_eq!(issuer.check(&extra), Err(TokenError::Signature));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let issuer = Issuer::new();
        let token = issuer.issue(Purpose::Access, &anns());
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(issuer.check(&changed).is_err(), "{at}");
        }
    }

    #[test]
    fn garbage_is_no_token() {
        let issuer = Issuer::new();
        let long = "a".repeat(BYTES_MAX + 1);
        for bad in ["", ".", "..", "a.b.c", "a.b.c.d", "\0", &long] {
            assert_eq!(issuer.check(bad), Err(TokenError::Malformed));
        }
    }
}
