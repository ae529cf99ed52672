//! The order of keys is the order of what they are made from, and keys are read back as they were made.

use metadata::keys::{self, Key};
use metadata::{
    ClusterId, CommandId, Epoch, JoinTokenId, LogIndex, LogTime, NodeId, ObjectKey, PrincipalName,
    TableId,
};
use oci::{Algorithm, Digest, RepositoryName, Tag, UploadId};
use proptest::prelude::*;

fn name() -> impl Strategy<Value = RepositoryName> {
    "[a-c]{1,2}((\\.|_|-{1,2}|/)[a-c0]{1,2}){0,2}"
        .prop_map(|text| RepositoryName::parse(&text).expect("of the grammar"))
}

fn tag() -> impl Strategy<Value = Tag> {
    "[a-bA_0][a-b0._-]{0,3}".prop_map(|text| Tag::parse(&text).expect("of the grammar"))
}

fn digest() -> impl Strategy<Value = Digest> {
    (any::<bool>(), prop::sample::select(vec![0_u8, 1, 254, 255])).prop_map(|(long, byte)| {
        match long {
            true => Digest::Sha512([byte; 64]),
            false => Digest::of(Algorithm::Sha256, &[byte]),
        }
    })
}

fn object() -> impl Strategy<Value = ObjectKey> {
    (any::<u128>(), any::<u32>(), 0..3_u8, any::<u64>()).prop_map(|(id, epoch, kind, offset)| {
        let upload = UploadId::from_u128(id);
        match kind {
            0 => ObjectKey::data(ClusterId(7), upload, Epoch(epoch)),
            1 => ObjectKey::tail(ClusterId(7), upload, Epoch(epoch), offset),
            _ => ObjectKey::manifest(ClusterId(7), id),
        }
    })
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, any::<u64>()]
}

/// The order of two keys is that of the values, and each is read back.
fn check<T: Ord + std::fmt::Debug, R>(
    a: T,
    b: T,
    make: impl Fn(&T) -> Key<R>,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(), TestCaseError> {
    let (key_a, key_b) = (make(&a), make(&b));
    prop_assert_eq!(key_a.bytes().cmp(key_b.bytes()), a.cmp(&b));
    let read_back = read(key_a.bytes());
    prop_assert_eq!(read_back, Some(a));
    let mut torn = key_b.bytes().to_vec();
    torn.pop();
    let _ = read(&torn);
    Ok(())
}

proptest! {
    #[test]
    fn names_and_tags((a, b) in (name(), name()), (s, t) in (tag(), tag())) {
        check(a.clone(), b.clone(), keys::repository, keys::read_repository)?;
        check((a.clone(), s.clone()), (b, t.clone()), |k| keys::tag(&k.0, &k.1), keys::read_tag)?;
        check((a.clone(), s), (a, t), |k| keys::tag(&k.0, &k.1), keys::read_tag)?;
    }

    #[test]
    fn digests_in_repositories((a, b) in (name(), name()), (d, e) in (digest(), digest()), (s, t) in (tag(), tag())) {
        check(d, e, keys::manifest, keys::read_digest)?;
        check(d, e, keys::blob, keys::read_digest)?;
        let (x, y) = ((a.clone(), d), (b.clone(), e));
        check(x.clone(), y.clone(), |k| keys::manifest_link(&k.0, &k.1), keys::read_in_repository)?;
        check(x.clone(), y.clone(), |k| keys::blob_link(&k.0, &k.1), keys::read_in_repository)?;
        check(x, y, |k| keys::awaited_blob(&k.0, &k.1), keys::read_in_repository)?;
        let (x, y) = ((a.clone(), d, s), (b.clone(), e, t));
        check(x, y, |k| keys::manifest_tag(&k.0, &k.1, &k.2), keys::read_manifest_tag)?;
        let (x, y) = ((a.clone(), d, e), (b.clone(), e, d));
        check(x.clone(), y.clone(), |k| keys::referrer(&k.0, &k.1, &k.2), keys::read_pair)?;
        check(x, y, |k| keys::parent(&k.0, &k.1, &k.2), keys::read_pair)?;
        check((d, a.clone()), (e, b.clone()), |k| keys::blob_holder(&k.0, &k.1), keys::read_blob_holder)?;
        let (x, y) = ((a.project().to_owned(), d), (b.project().to_owned(), e));
        check(x, y, |k| keys::project_count(&k.0, &k.1), keys::read_project_count)?;
    }

    #[test]
    fn numbers((a, b) in (any::<u128>(), any::<u128>()), (m, n) in (number(), number()), (p, q) in (any::<u32>(), any::<u32>())) {
        let (u, v) = (UploadId::from_u128(a), UploadId::from_u128(b));
        check(u, v, |k| keys::upload(*k), keys::read_upload)?;
        check((u, p), (u, q), |k| keys::upload_part(k.0, k.1), keys::read_upload_part)?;
        let (x, y) = ((LogTime(m), u), (LogTime(n), v));
        check(x, y, |k| keys::finished_upload(k.0, k.1), keys::read_finished_upload)?;
        let id = |incarnation, sequence| CommandId { incarnation, sequence };
        check(id(a, m), id(b, n), |k| keys::reply(*k), keys::read_reply)?;
        check(LogIndex(m), LogIndex(n), |k| keys::reply_order(*k), keys::read_reply_order)?;
        check(NodeId(m), NodeId(n), |k| keys::node(*k), keys::read_node)?;
        check(JoinTokenId(a), JoinTokenId(b), |k| keys::join_token(*k), keys::read_join_token)?;
        check(p, q, |k| keys::authority(*k), keys::read_authority)?;
    }

    #[test]
    fn objects_and_answers((m, n) in (number(), number()), (a, b) in (object(), object()), key in "[a-z]{1,4}", d in digest()) {
        let (x, y) = ((LogTime(m), a), (LogTime(n), b));
        check(x, y, |k| keys::deletion(k.0, &k.1), keys::read_deletion)?;
        let named = |key: &str| (PrincipalName("ann".into()), key.to_owned());
        check(named(&key), named("k"), |k| keys::idempotency_key(&k.0, &k.1), keys::read_idempotency_key)?;
        for answer in [keys::recent_put(&d), keys::idempotency_key(&PrincipalName("ann".into()), &key)] {
            let order = keys::first_answer_order(LogTime(m), &answer);
            let (time, read) = keys::read_first_answer_order(order.bytes()).expect("as it was made");
            prop_assert_eq!(time, LogTime(m));
            prop_assert_eq!((read.table(), read.bytes()), (answer.table(), answer.bytes()));
        }
    }

    #[test]
    fn a_prefix_ends_behind_all_that_begin_with_it(prefix in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 254, 255]), 0..4), rest in prop::collection::vec(any::<u8>(), 0..4), other in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 254, 255]), 0..5)) {
        let end = keys::prefix_end(&prefix);
        let within = |key: &[u8]| key >= prefix.as_slice() && end.as_deref().is_none_or(|end| key < end);
        prop_assert!(within(&[prefix.clone(), rest].concat()));
        prop_assert_eq!(within(&other), other.starts_with(&prefix));
    }
}

#[test]
fn a_list_of_one_repository_holds_no_other() {
    let (a, b) = ("app", "app-1");
    let parse = |text| RepositoryName::parse(text).expect("a name");
    let range = keys::tags(&parse(a));
    let foreign = keys::tag(&parse(b), &Tag::parse("v").expect("a tag"));
    assert_eq!(range.table, TableId::Tag);
    assert!(range.to.is_some_and(|to| foreign.bytes() >= to.as_slice()));
}
