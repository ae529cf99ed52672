//! What a gateway has a member prove and sign is read as it was written, and shows no secret.

use metadata::access::{AccountName, TokenId};
use wire::peer::PeerMessage;
use wire::proofs::{ProveReply, ProveRequest, ProvenAccount, SignReply, SignRequest, TokenPurpose};

fn same<T: PeerMessage + PartialEq + std::fmt::Debug>(message: T) {
    let bytes = message.encode();
    let read = T::decode(&bytes).expect("what was written");
    assert_eq!(read, message);
    for cut in 1..bytes.len() {
        // Half a message is refused, or another one: never a panic.
        drop(T::decode(&bytes[..cut]));
    }
}

fn ann(token: Option<TokenId>) -> ProvenAccount {
    ProvenAccount {
        name: AccountName::user("ann").expect("a good name"),
        generation: u64::MAX,
        token,
    }
}

fn prove() -> ProveRequest {
    ProveRequest {
        name: ann(None).name,
        secret: "known secret 7".to_owned().into(),
        patience_ms: 700,
        may_be_stale: true,
    }
}

#[test]
fn messages_are_read_as_they_were_written() {
    same(prove());
    same(ProveReply::Proved(ann(Some(TokenId(7)))));
    same(ProveReply::Proved(ann(None)));
    same(ProveReply::Wrong);
    same(ProveReply::Busy);
    same(ProveReply::Unavailable("it is late".to_owned()));
    for (purpose, account) in [
        (TokenPurpose::Access, None),
        (TokenPurpose::Refresh, Some(ann(None))),
    ] {
        same(SignRequest {
            purpose,
            account,
            scopes: vec!["repository:team/app:pull,push".to_owned()],
            life_ms: 300_000,
            service: "registry.example".to_owned(),
            patience_ms: 700,
            may_be_stale: false,
        });
    }
    same(SignReply::Signed("a.b.c".to_owned()));
    same(SignReply::Unavailable("no key".to_owned()));
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?} {:?}", prove(), SignReply::Signed("a.b.c".to_owned()));
    assert!(
        !shown.contains("known secret") && !shown.contains("a.b.c"),
        "{shown}"
    );
}

#[test]
fn nonsense_is_refused() {
    assert!(ProveReply::decode(b"").is_err());
    assert!(SignRequest::decode(b"").is_err());
    assert!(ProveRequest::decode(b"").is_err());
}
