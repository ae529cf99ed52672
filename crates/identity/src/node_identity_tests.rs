//! Tests of identities: what makes one, and what comes back from its file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::authority::Authority;

const CLUSTER: ClusterId = ClusterId(3);
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LIFE: Duration = Duration::from_secs(86_400);

fn authority() -> Authority {
    Authority::create(CLUSTER, NOW).unwrap()
}

fn signed(authority: &Authority, key: &NodeKey) -> CertificateDer<'static> {
    authority
        .sign(&key.signing_request(), NodeId(5), Role::Member, NOW, LIFE)
        .unwrap()
}

fn identity(authority: &Authority) -> NodeIdentity {
    let key = NodeKey::generate();
    let certificate = signed(authority, &key);
    NodeIdentity::new(key, certificate, vec![authority.certificate().clone()]).unwrap()
}

#[test]
fn identity_comes_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(NodeIdentity::load(folder.path()).unwrap().is_none());
    let (old, new) = (authority(), authority());
    let both = vec![new.certificate().clone(), old.certificate().clone()];
    let identity = identity(&old).believing(both).unwrap();
    identity.save(folder.path()).unwrap();

    let loaded = NodeIdentity::load(folder.path()).unwrap().unwrap();
    assert_eq!(loaded.certificate(), identity.certificate());
    assert_eq!(loaded.authorities(), identity.authorities());
    assert_eq!(
        loaded.key().public_key_info(),
        identity.key().public_key_info()
    );
    assert_eq!((loaded.node(), loaded.role()), (NodeId(5), Role::Member));
    let mode = fs::metadata(NodeIdentity::path(folder.path()))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn authority_that_signed_comes_first() {
    let (old, new) = (authority(), authority());
    let both = vec![new.certificate().clone(), old.certificate().clone()];
    let identity = identity(&old).believing(both).unwrap();
    assert_eq!(identity.authorities()[0], *old.certificate());
    assert_eq!(identity.authorities()[1], *new.certificate());
    assert_eq!(identity.authority_fingerprint(), old.fingerprint());
}

#[test]
fn saving_forgets_the_key_that_waited() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let key = NodeKey::pending(folder.path()).unwrap();
    let waited = key.public_key_info();
    let certificate = signed(&authority, &key);
    let authorities = vec![authority.certificate().clone()];
    let identity = NodeIdentity::new(key, certificate, authorities).unwrap();
    identity.save(folder.path()).unwrap();
    let next = NodeKey::pending(folder.path()).unwrap();
    assert_ne!(next.public_key_info(), waited);
}

#[test]
fn parts_that_do_not_belong_together_make_no_identity() {
    let (ours, other) = (authority(), authority());
    let foreign = Authority::create(ClusterId(4), NOW).unwrap();
    let key = NodeKey::generate();
    let certificate = signed(&ours, &key);
    let with =
        |key: &NodeKey, certificate: &CertificateDer<'static>, authorities: &[&Authority]| {
            let authorities = authorities
                .iter()
                .map(|one| one.certificate().clone())
                .collect();
            NodeIdentity::new(key.clone(), certificate.clone(), authorities).unwrap_err()
        };
    let stranger = NodeKey::generate();
    assert_eq!(
        with(&stranger, &certificate, &[&ours]),
        IdentityError::KeyOfAnother
    );
    assert_eq!(
        with(&key, &certificate, &[&other]),
        IdentityError::NotSigned
    );
    assert_eq!(with(&key, &certificate, &[]), IdentityError::NotSigned);
    assert_eq!(
        with(&key, &certificate, &[&ours, &foreign]),
        IdentityError::NotAnAuthority
    );
    assert_eq!(
        with(&key, &certificate, &[&ours, &ours, &other, &other]),
        IdentityError::TooManyAuthorities
    );
    assert_eq!(
        with(&key, ours.certificate(), &[&ours]),
        IdentityError::NotANodesCertificate
    );
}

#[test]
fn damaged_file_says_which_it_is_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = NodeIdentity::path(folder.path());
    let (one, two) = (
        identity(&authority()).to_pem(),
        identity(&authority()).to_pem(),
    );
    let end_of_key = |text: &str| text.find("-----BEGIN CERT").unwrap();
    let mixed = [&one[..end_of_key(&one)], &two[end_of_key(&two)..]].concat();
    let without_key = one[end_of_key(&one)..].to_owned();
    let cut = one[..one.len() / 2].to_owned();
    for (content, what) in [
        (mixed, "the private key does not belong to the certificate"),
        (without_key, "it holds no private key"),
        (cut, "it is not a key and certificates in PEM"),
        (String::new(), "it holds no private key"),
    ] {
        durable_file::write_secret(&path, content.as_bytes()).unwrap();
        let message = NodeIdentity::load(folder.path()).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{}: {what}", path.display())),
            "{message}"
        );
        assert!(message.ends_with(REJOIN), "{message}");
    }
}

#[test]
fn certificate_is_renewed_when_two_thirds_of_its_life_are_over() {
    let identity = identity(&authority());
    assert_eq!(identity.valid_until(), NOW.after(LIFE));
    // It is valid from five minutes before it was signed.
    let third = Duration::from_secs((86_400 + 300) / 3);
    assert_eq!(identity.renew_at(), NOW.after(LIFE).before(third));
}

#[test]
fn debug_shows_no_key() {
    let identity = identity(&authority());
    assert!(format!("{identity:?}").contains("key: NodeKey(..)"));
}
