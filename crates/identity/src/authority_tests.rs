//! Tests of what the authority signs and of how it is kept.

use x509_parser::extensions::GeneralName;

use super::*;
use crate::node_key::NodeKey;

const CLUSTER: ClusterId = ClusterId(0xfeed);
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn authority() -> Authority {
    Authority::create(CLUSTER, NOW).unwrap()
}

#[test]
fn authority_loads_what_it_wrote() {
    let authority = authority();
    let loaded = Authority::from_pem(&authority.certificate_pem(), &authority.key_pem()).unwrap();
    assert_eq!(loaded.cluster(), CLUSTER);
    assert_eq!(loaded.certificate(), authority.certificate());
    assert_eq!(loaded.fingerprint(), authority.fingerprint());
    let request = NodeKey::generate().signing_request();
    let signed = loaded
        .sign(
            &request,
            NodeId(1),
            Role::Member,
            NOW,
            CERTIFICATE_LIFE_DEFAULT,
        )
        .unwrap();
    let signed = certificate::parse(&signed).unwrap();
    let signer = certificate::parse(authority.certificate()).unwrap();
    signed.verify_signature(Some(signer.public_key())).unwrap();
}

#[test]
fn parts_of_two_authorities_make_none() {
    let (one, two) = (authority(), authority());
    let mixed = Authority::from_pem(&one.certificate_pem(), &two.key_pem());
    assert!(matches!(mixed, Err(AuthorityError::KeyOfAnother)));
    let key = Authority::from_pem(&one.certificate_pem(), &one.certificate_pem());
    assert!(matches!(key, Err(AuthorityError::Key)));
    let certificate = Authority::from_pem("", &one.key_pem());
    assert!(matches!(certificate, Err(AuthorityError::Certificate(_))));
}

#[test]
fn certificate_of_a_node_is_no_authority() {
    let key = NodeKey::generate();
    let signed = authority()
        .sign(
            &key.signing_request(),
            NodeId(1),
            Role::Member,
            NOW,
            CERTIFICATE_LIFE_DEFAULT,
        )
        .unwrap();
    let loaded = Authority::from_pem(&certificate::to_pem(&signed), &key.to_pem());
    assert!(matches!(loaded, Err(AuthorityError::Certificate(_))));
}

#[test]
fn certificate_says_who_for_what_and_how_long() {
    let request = NodeKey::generate().signing_request();
    let life = Duration::from_secs(600);
    let signed = authority()
        .sign(&request, NodeId(42), Role::Gateway, NOW, life)
        .unwrap();
    let parsed = certificate::parse(&signed).unwrap();
    let names = &parsed
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    let expected = [
        GeneralName::URI("holdfast://0000000000000000000000000000feed/node/42?role=gateway"),
        GeneralName::DNSName("node-42.0000000000000000000000000000feed.holdfast"),
    ];
    assert_eq!(names[..], expected);
    let subject = parsed.subject().to_string();
    assert_eq!(
        subject,
        "O=Holdfast cluster 0000000000000000000000000000feed, CN=gateway 42"
    );
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any);
    assert!(!parsed.is_ca());
    assert_eq!(
        certificate::validity(&parsed),
        (NOW.before(Duration::from_secs(300)), NOW.after(life))
    );
}

#[test]
fn two_certificates_of_one_key_have_two_serial_numbers() {
    let request = NodeKey::generate().signing_request();
    let authority = authority();
    let serial = || {
        let signed = authority
            .sign(
                &request,
                NodeId(1),
                Role::Member,
                NOW,
                CERTIFICATE_LIFE_DEFAULT,
            )
            .unwrap();
        certificate::parse(&signed).unwrap().raw_serial().to_vec()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn time_beyond_the_calendar_is_refused() {
    let error = Authority::create(CLUSTER, UnixSeconds(u64::MAX)).unwrap_err();
    assert!(matches!(error, AuthorityError::Time));
}

#[test]
fn debug_shows_no_key() {
    let authority = authority();
    let shown = format!("{authority:?}");
    assert!(shown.contains("fingerprint"));
    assert!(!shown.contains("key"), "{shown}");
}
