//! What stands in an `Authorization` header.
//!
//! Spec: RFC 9110 section 11.4, RFC 7617 (Basic), RFC 6750 section 2.1 (Bearer).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metadata::access::AccountName;
use zeroize::Zeroizing;

use crate::PASSWORD_BYTES_MAX;

/// The longest name of an account and password, with the colon between them, in Base64.
const BASIC_BYTES_MAX: usize = (PASSWORD_BYTES_MAX + 1024).div_ceil(3) * 4;

/// What somebody shows to prove who they are.
pub(super) enum Credentials {
    /// A name and a secret; `None`: no account can have this name.
    Basic(Option<AccountName>, Zeroizing<String>),
    /// A token.
    Bearer(Zeroizing<String>),
}

impl Credentials {
    /// Reads a header; `None` when it is not as one of the two schemes has it.
    pub(super) fn parse(header: &str) -> Option<Credentials> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Credentials::Bearer(Zeroizing::new(rest.to_owned())));
        }
        if !scheme.eq_ignore_ascii_case("basic") || rest.len() > BASIC_BYTES_MAX {
            return None;
        }
        let bytes = Zeroizing::new(STANDARD.decode(rest).ok()?);
        let text = std::str::from_utf8(&bytes).ok()?;
        let (name, secret) = text.split_once(':')?;
        let secret = Zeroizing::new(secret.to_owned());
        Some(Credentials::Basic(AccountName::parse(name).ok(), secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> Option<Credentials> {
        Credentials::parse(&format!("Basic {}", STANDARD.encode(text)))
    }

    #[test]
    fn both_schemes_are_read_in_any_case() {
        let Some(Credentials::Basic(Some(name), secret)) = basic("alice:a:b c") else {
            panic!("a name and a secret");
        };
        assert_eq!((name.as_str(), &**secret), ("alice", "a:b c"));
        let header = format!("bASIC  {} ", STANDARD.encode("alice:"));
        assert!(matches!(
            Credentials::parse(&header),
            Some(Credentials::Basic(Some(_), secret)) if secret.is_empty()
        ));
        assert!(matches!(
            Credentials::parse("bearer abc.def"),
            Some(Credentials::Bearer(token)) if *token == "abc.def"
        ));
    }

    #[test]
    fn name_that_nobody_can_have_is_still_somebody_who_shows_a_secret() {
        for name in ["", "../x", "a\nb", "<token>"] {
            let read = basic(&format!("{name}:secret"));
            assert!(
                matches!(read, Some(Credentials::Basic(None, _))),
                "{name:?}"
            );
        }
    }

    #[test]
    fn anything_else_is_nothing() {
        let long = format!("Basic {}", STANDARD.encode(vec![b'a'; 64 * 1024]));
        for header in [
            "",
            "Basic",
            "Basic !",
            "Basic YQ==",
            "Digest a=b",
            "Basic /w==",
            &long,
        ] {
            assert!(Credentials::parse(header).is_none(), "{header:.40}");
        }
    }
}
