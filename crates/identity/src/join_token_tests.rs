//! Tests of join tokens: every good one comes back, and no damaged one does.

use proptest::prelude::*;

use super::*;

fn token() -> JoinToken {
    JoinToken {
        cluster: ClusterId(0x1234),
        authority: AuthorityFingerprint([7; 32]),
        id: TokenId(0x5678),
        secret: TokenSecret([9; 32]),
        role: Role::Gateway,
        expires: UnixSeconds(1_800_000_000),
    }
}

fn any_token() -> impl Strategy<Value = JoinToken> {
    let fields = (
        any::<u128>(),
        any::<[u8; 32]>(),
        any::<u128>(),
        any::<[u8; 32]>(),
        prop_oneof![Just(Role::Member), Just(Role::Gateway)],
        any::<u64>(),
    );
    fields.prop_map(
        |(cluster, authority, id, secret, role, expires)| JoinToken {
            cluster: ClusterId(cluster),
            authority: AuthorityFingerprint(authority),
            id: TokenId(id),
            secret: TokenSecret(secret),
            role,
            expires: UnixSeconds(expires),
        },
    )
}

fn read(text: &str) -> Result<JoinToken, TokenError> {
    text.parse()
}

proptest! {
    #[test]
    fn every_token_comes_back(token in any_token()) {
        let text = token.to_string();
        prop_assert_eq!(text.len(), TEXT_CHARS);
        let back = read(&format!(" {text}\n")).unwrap();
        prop_assert_eq!(back.cluster(), token.cluster());
        prop_assert_eq!(back.authority(), token.authority());
        prop_assert_eq!(back.id(), token.id());
        prop_assert_eq!(back.secret().as_bytes(), token.secret().as_bytes());
        prop_assert_eq!(back.role(), token.role());
        prop_assert_eq!(back.expires(), token.expires());
    }

    #[test]
    fn token_with_another_character_is_refused(
        token in any_token(), at in 0..TEXT_CHARS, other in "[ -~]"
    ) {
        let mut text = token.to_string();
        prop_assume!(text[at..=at] != other);
        text.replace_range(at..=at, &other);
        prop_assert!(read(&text).is_err());
    }

    #[test]
    fn token_with_two_characters_swapped_is_refused(
        token in any_token(), one in 0..TEXT_CHARS, two in 0..TEXT_CHARS
    ) {
        let mut text = token.to_string().into_bytes();
        prop_assume!(text[one] != text[two]);
        text.swap(one, two);
        prop_assert!(read(&String::from_utf8(text).unwrap()).is_err());
    }

    #[test]
    fn token_that_is_cut_or_grows_is_refused(token in any_token(), at in 0..TEXT_CHARS, more in "[A-Za-z0-9_-]{1,9}") {
        let text = token.to_string();
        prop_assert!(read(&text[..at]).is_err());
        let grown = [text.as_str(), &more].concat();
        prop_assert!(read(&grown).is_err());
        let stuffed = [&text[..at], &more, &text[at..]].concat();
        prop_assert!(read(&stuffed).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        let _ = read(&text);
        let _ = read(&format!("{PREFIX}{text}"));
    }
}

#[test]
fn each_character_of_a_token_counts() {
    let text = token().to_string();
    for at in 0..text.len() {
        for other in ["A", "B", "_", "="] {
            let mut changed = text.clone();
            changed.replace_range(at..=at, other);
            assert!(changed == text || read(&changed).is_err(), "{at} {other}");
        }
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let text = token().to_string();
    assert_eq!(read("").unwrap_err(), TokenError::Prefix);
    assert_eq!(read(&text[1..]).unwrap_err(), TokenError::Prefix);
    let cut = read(&text[..text.len() - 3]).unwrap_err();
    assert_eq!(cut, TokenError::Short { missing: 3 });
    assert_eq!(read(&format!("{text}A")).unwrap_err(), TokenError::Damaged);
    let swapped = text.replace("BQ", "QB").replace("CQ", "QC");
    assert_eq!(read(&swapped).unwrap_err(), TokenError::Damaged);
}

#[test]
fn token_of_a_newer_build_asks_for_an_upgrade() {
    let resummed = |at: usize, value: u8| {
        let mut bytes = token().to_bytes().to_vec();
        bytes[at] = value;
        let sum = checksum(&bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&sum);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    };
    let role_at = BODY_BYTES - 9;
    assert!(read(&resummed(role_at, 1)).is_ok());
    assert_eq!(read(&resummed(0, 2)).unwrap_err(), TokenError::Newer);
    assert_eq!(read(&resummed(role_at, 3)).unwrap_err(), TokenError::Newer);
}

#[test]
fn token_is_for_one_role_and_one_time() {
    let token = token();
    let last = UnixSeconds(1_799_999_999);
    assert_eq!(token.check(Role::Gateway, last), Ok(()));
    assert_eq!(
        token.check(Role::Gateway, UnixSeconds(1_800_000_000)),
        Err(TokenRefusal::Expired { seconds: 0 })
    );
    let other = token.check(Role::Member, last).unwrap_err();
    assert_eq!(
        other.to_string(),
        "the join token is for a gateway, and this node is started as a member"
    );
}

#[test]
fn hash_recognises_its_secret_and_no_other() {
    let (one, two) = (
        token(),
        JoinToken::create(
            ClusterId(1),
            AuthorityFingerprint([0; 32]),
            Role::Member,
            UnixSeconds(0),
        ),
    );
    assert!(one.hash().matches(one.secret()));
    assert!(one.hash().matches(&TokenSecret::from_bytes([9; 32])));
    assert!(!one.hash().matches(two.secret()));
    // It is the plain SHA-256, so that any build can check it.
    assert_eq!(one.hash().0, sha256(&[9; 32]));
}

#[test]
fn no_two_tokens_are_alike() {
    let make = || {
        JoinToken::create(
            ClusterId(1),
            AuthorityFingerprint([0; 32]),
            Role::Member,
            UnixSeconds(0),
        )
    };
    let (one, two) = (make(), make());
    assert_ne!(one.id(), two.id());
    assert!(!one.hash().matches(two.secret()));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", token());
    assert!(shown.contains("TokenSecret(..)"), "{shown}");
    assert!(!shown.contains("9, 9"), "{shown}");
}
