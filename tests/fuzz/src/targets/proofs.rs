//! What strangers show to prove who they are: headers, tokens of this registry and of others, and what such others are known by.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use auth::outside::OutsideKeys;
use auth::outside::issuer::{Issuer, IssuerSettings, OutsideProof};
use auth::{
    Doorkeeper, NotAdmitted, ProofFailure, Proved, Prover, Purpose, SCOPES_MAX, TokenIssuer,
    TokenKeys, Verified, VerifyingKeys, covers, parse_scopes, verify,
};
use bytes::Bytes;
use metadata::Command;
use metadata::access::{AccessCommand, AccountName, GroupName, RepositoryPattern, Right, Who};
use oci::RepositoryName;
use ports::Deadline;
use ports::metadata_store::memory::MemoryMetadataStore;
use zeroize::Zeroizing;

use super::signed::{KEY_SET, OUTSIDE, PEM, PUBLIC, REFRESH, TOKENS};
use super::{in_runtime, nothing_to_forget, texts};
use crate::target::{Shape, Target, Verdict};

const TOKEN_WORDS: &[&str] = &[
    ".",
    "eyJ",
    "eyJhbGciOiJub25lIn0",
    "eyJhbGciOiJIUzI1NiJ9",
    "=",
    "-_",
    "AAAA",
    "e30",
];

fn names() -> TokenIssuer {
    TokenIssuer {
        issuer: "holdfast".to_owned(),
        service: "holdfast".to_owned(),
    }
}

fn public() -> Vec<u8> {
    let digits = PUBLIC.as_bytes().chunks_exact(2);
    let text = digits.map(|pair| std::str::from_utf8(pair).expect("digits"));
    text.map(|pair| u8::from_str_radix(pair, 16).expect("digits"))
        .collect()
}

/// When what was signed counts.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

fn verified(purpose: Purpose, token: &str) -> Result<Verified, auth::TokenError> {
    static KEYS: LazyLock<VerifyingKeys> =
        LazyLock::new(|| VerifyingKeys::new([(1, &*public())]).expect("a key"));
    verify(&KEYS, &names(), purpose, token, now())
}

/// A token of this registry: what is taken was signed.
pub static TOKEN: Target = Target {
    name: "token",
    seeds: || [&texts(TOKENS)[..], &texts([REFRESH])].concat(),
    generate: None,
    shape: Shape::Text(TOKEN_WORDS),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(token) = std::str::from_utf8(input) else {
            return Verdict::refused("no text");
        };
        let exchanged = verified(Purpose::Refresh, token);
        match (verified(Purpose::Access, token), exchanged) {
            (Ok(_), Ok(_)) => panic!("one token is for two things"),
            (Ok(told), Err(_)) => {
                let known = TOKENS.map(|known| verified(Purpose::Access, known));
                assert!(known.contains(&Ok(told)), "nobody signed this");
                Verdict::accepted()
            }
            (Err(_), Ok(told)) => {
                assert_eq!(Ok(told), verified(Purpose::Refresh, REFRESH));
                Verdict::accepted()
            }
            (Err(error), Err(_)) => Verdict::refused(&error.to_string()),
        }
    },
};

/// Everybody's secret is wrong.
struct Nobody;

#[async_trait]
impl Prover for Nobody {
    async fn prove(
        &self,
        _: &AccountName,
        _: Zeroizing<String>,
        _: Deadline,
    ) -> Result<Option<Proved>, ProofFailure> {
        Ok(None)
    }
}

fn doorkeeper() -> Doorkeeper {
    let log = MemoryMetadataStore::new();
    let command = AccessCommand::AddTokenKey {
        after: None,
        public: public().into(),
        sealed: Bytes::from_static(b"sealed"),
    };
    log.commit(Command::Access(Box::new(command)));
    Doorkeeper::new(Arc::new(Nobody), TokenKeys::new(Arc::new(log)), names(), 64)
}

/// The value of `Authorization`: nobody is believed but who shows a token that was signed.
pub static AUTHORIZATION: Target = Target {
    name: "authorization",
    seeds: || {
        let mut seeds = texts([
            "Basic YWxpY2U6c2VjcmV0",
            "basic cm9ib3QkdGVhbStjaTpzZWNyZXQ=",
            "Basic Og==",
            "Digest username=\"a\"",
        ]);
        seeds.extend(TOKENS.map(|token| format!("Bearer {token}").into_bytes()));
        seeds
    },
    generate: None,
    shape: Shape::Text(&[
        "Basic ", "Bearer ", "bearer  ", "YTpi", "Og==", "=", ".", "eyJ", "\0", " ",
    ]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(header) = std::str::from_utf8(input) else {
            return Verdict::refused("no text");
        };
        let admitted = in_runtime(async {
            let deadline = Deadline::now() + Duration::from_secs(5);
            doorkeeper().admit(Some(header), deadline).await
        });
        match admitted {
            Ok(admitted) => {
                let token = header.trim().split_once(' ').map(|(_, token)| token.trim());
                let told = verified(Purpose::Access, token.unwrap_or_default());
                assert_eq!(told.map(|told| told.who()), Ok(admitted.who));
                Verdict::accepted()
            }
            Err(NotAdmitted::Unknown(failure)) => panic!("{failure}"),
            Err(other) => Verdict::refused(&other.to_string()),
        }
    },
};

/// The scopes that somebody asks a token for.
pub static SCOPES: Target = Target {
    name: "scopes",
    seeds: || {
        texts([
            "repository:team/app:pull,push",
            "repository:app:* registry:catalog:*",
            "repository(plugin):a/b:delete repository:host.example:5000/a:pull",
        ])
    },
    generate: None,
    shape: Shape::Text(&[
        "repository:",
        "registry:catalog:*",
        ":pull",
        ":push,pull",
        "delete",
        "*",
        "..",
        " ",
        "(class)",
        ",",
        "team/app",
    ]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return Verdict::refused("no text");
        };
        match parse_scopes([text]) {
            Ok(scopes) => {
                assert!(scopes.len() <= SCOPES_MAX);
                let other = RepositoryName::parse("no/such/name/is/asked/for").expect("a name");
                assert!(!covers(&scopes, &other, Right::Delete) || text.contains(other.as_str()));
                Verdict::accepted()
            }
            Err(error) => Verdict::refused(&error.to_string()),
        }
    },
};

fn issuer() -> &'static Issuer {
    static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
        let name = format!("holdfast-fuzz-{}-keys.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, KEY_SET).expect("a temporary file");
        let issuer = Issuer::open(IssuerSettings {
            realm: "https://gitlab.example/jwt/auth".to_owned(),
            service: "holdfast".to_owned(),
            issuer: "gitlab".to_owned(),
            certificates: Vec::new(),
            key_sets: vec![path.clone()],
        });
        let _ = std::fs::remove_file(&path);
        issuer.expect("a set of keys")
    });
    &ISSUER
}

/// A token of an outside issuer: what is taken was signed, and nobody of it has an account's name.
pub static OUTSIDE_TOKEN: Target = Target {
    name: "outside-token",
    seeds: || [&texts(OUTSIDE)[..], &texts([TOKENS[0]])].concat(),
    generate: None,
    shape: Shape::Text(TOKEN_WORDS),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(token) = std::str::from_utf8(input) else {
            return Verdict::refused("no text");
        };
        match issuer().verify(token, now()) {
            Ok(OutsideProof { who, scopes, until }) => {
                let is_known = |known: &&str| {
                    let known = issuer().verify(known, now());
                    known.is_ok_and(|known| known.scopes == scopes && known.until == until)
                };
                assert!(OUTSIDE.iter().any(is_known), "nobody signed this");
                assert!(matches!(&who, Who::Outside(name) if name.0.starts_with("gitlab:")));
                Verdict::accepted()
            }
            Err(error) => Verdict::refused(&error.to_string()),
        }
    },
};

/// The keys of an outside issuer or provider, as a set (JWK) or a file (PEM).
pub static OUTSIDE_KEYS: Target = Target {
    name: "outside-keys",
    seeds: || {
        let mut seeds = texts([KEY_SET, PEM]);
        seeds.push(
            br#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"RS256"},{"kty":"OKP","crv":"Ed25519","x":"AA"},{"kty":"oct","k":"AA"}]}"#.to_vec(),
        );
        seeds
    },
    generate: None,
    shape: Shape::Text(&[
        "{\"keys\":[",
        "]}",
        "\"kty\":",
        "\"EC\"",
        "\"RSA\"",
        "\"x5c\":[",
        "\"crv\":\"P-384\"",
        "\"alg\":\"none\"",
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----\n",
        "-----BEGIN PUBLIC KEY-----\n",
        "-----END PUBLIC KEY-----\n",
        "MFkw",
    ]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let read = match std::str::from_utf8(input) {
            Ok(text) if !text.trim_start().starts_with('{') => OutsideKeys::from_pem(text),
            _ => OutsideKeys::from_jwk_set(input),
        };
        match read {
            Ok(_) => Verdict::accepted(),
            Err(error) => Verdict::refused(&error.to_string()),
        }
    },
};

/// What users type and directories answer: a name as it is typed, a zero byte, an entry's name.
pub static LDAP_NAMES: Target = Target {
    name: "ldap-names",
    seeds: || {
        texts([
            "ann\0cn=dev,ou=groups,dc=example",
            "*)(uid=*\0cn=a\\2Cb+sn=x,dc=example",
            "a\\b\0CN = \\41\\,b , DC=Example",
            "{user}\0#04024869",
        ])
    },
    generate: None,
    shape: Shape::Text(&[
        "\0",
        "cn=",
        "dc=example",
        ",",
        "\\",
        "\\2C",
        "+",
        "#",
        "(",
        ")",
        "*",
        "{user}",
        "=",
        " ",
    ]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return Verdict::refused("no text");
        };
        let (typed, dn) = text.split_once('\0').unwrap_or((text, ""));
        let filter = auth::parsers::ldap_filter("(uid={user})", "user", typed);
        let inside = filter
            .strip_prefix("(uid=")
            .and_then(|rest| rest.strip_suffix(')'));
        let inside = inside.expect("what is typed stays in its place");
        assert!(!inside.contains(['(', ')', '*', '\0']), "{filter}");
        assert!(
            inside.split('\\').skip(1).all(|escaped| {
                let digits = escaped.as_bytes().get(..2);
                digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }),
            "{filter}"
        );
        assert!(!auth::parsers::ldap_is_below(dn, dn), "{dn}");
        let below = format!("cn=x,{dn}");
        assert!(auth::parsers::ldap_is_below(&below, dn), "{dn}");
        match auth::parsers::ldap_first_value(dn) {
            Some(_) => Verdict::accepted(),
            None => Verdict::refused("no value"),
        }
    },
};

/// A file of bcrypt hashes.
pub static HTPASSWD: Target = Target {
    name: "htpasswd",
    seeds: || {
        texts([
            "ann:$2y$05$abcdefghijklmnopqrstuu5s2lAvYHBTr0gYzQhWQYNvjc7MdY0Pe\n# a comment\n\nbob:$2b$10$abcdefghijklmnopqrstuu5s2lAvYHBTr0gYzQhWQYNvjc7MdY0Pe\n",
            "ann:$apr1$x$y\n",
        ])
    },
    generate: None,
    shape: Shape::Text(&[
        "ann:", "$2y$05$", "$2b$", "$2a$31$", "\n", "#", ":", "\r\n", " ",
    ]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return Verdict::refused("no text");
        };
        match auth::parsers::htpasswd(text) {
            Ok(entries) => {
                for (name, hash) in entries {
                    assert!(!name.contains([':', '\n']) && hash.starts_with("$2"));
                }
                Verdict::accepted()
            }
            Err(line) => {
                assert!((1..=text.lines().count()).contains(&line));
                Verdict::refused("a line is none")
            }
        }
    },
};

/// Names of accounts and groups, and patterns of repositories.
pub static ACCOUNT_NAME: Target = Target {
    name: "account-name",
    seeds: || {
        texts([
            "ann",
            "a.b_c@d+e-f",
            "robot$ci",
            "robot$team+ci",
            "team/dev:x",
            "team/*/app",
            "**",
        ])
    },
    generate: None,
    shape: Shape::Text(&["robot$", "+", "*", "**", "/", "admin", "system", "..", "@"]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return Verdict::refused("no text");
        };
        if let Ok(group) = GroupName::parse(text) {
            assert_eq!(group.as_str(), text);
        }
        if let Ok(pattern) = RepositoryPattern::parse(text) {
            assert_eq!(pattern.as_str(), text);
            let name = RepositoryName::parse("team/sub/app").expect("a name");
            let _ = pattern.matches(&name);
        }
        match AccountName::parse(text) {
            Ok(name) => {
                assert_eq!(name.as_str(), text);
                assert_eq!(name.is_robot(), AccountName::user(text).is_err());
                assert!(!text.contains(':') && !text.contains(char::is_whitespace));
                Verdict::accepted()
            }
            Err(error) => Verdict::refused(&error.to_string()),
        }
    },
};
