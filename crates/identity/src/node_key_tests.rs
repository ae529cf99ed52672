//! Tests of requests that prove their key, and of keys that wait for their certificate.

use super::*;

#[test]
fn request_proves_its_key_and_names_nobody() {
    let key = NodeKey::generate();
    let sent = key.signing_request().as_der().to_vec();
    let request = SigningRequest::from_der(sent).unwrap();
    let info = request.public_key().subject_public_key_info();
    assert_eq!(info, key.public_key_info());
    // Another signature, the same key.
    let again = key.signing_request();
    assert_ne!(again.as_der(), request.as_der());
    assert_eq!(again.public_key_hash(), request.public_key_hash());
}

#[test]
fn changed_request_is_refused_or_still_of_the_same_key() {
    let request = NodeKey::generate().signing_request();
    let sent = request.as_der().to_vec();
    let mut refused = 0;
    for at in 0..sent.len() {
        let mut changed = sent.clone();
        changed[at] ^= 1;
        match SigningRequest::from_der(changed) {
            Err(_) => refused += 1,
            // The reader forgives some bytes around the signed part.
            Ok(read) => assert_eq!(read.public_key_hash(), request.public_key_hash(), "{at}"),
        }
    }
    assert!(refused > sent.len() - 5, "{refused} of {}", sent.len());
}

#[test]
fn garbage_large_requests_and_other_keys_are_refused() {
    let refused = |der: Vec<u8>| SigningRequest::from_der(der).unwrap_err();
    assert_eq!(refused(b"garbage".to_vec()), SigningRequestError::Malformed);
    let large = vec![0; SIGNING_REQUEST_BYTES_MAX + 1];
    assert_eq!(refused(large), SigningRequestError::TooLarge);
    let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let request = CertificateParams::default()
        .serialize_request(&other)
        .unwrap();
    let der = request.der().to_vec();
    assert_eq!(refused(der), SigningRequestError::Algorithm);
}

#[test]
fn pending_key_is_the_same_until_it_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let public = || NodeKey::pending(folder.path()).unwrap().public_key_info();
    let first = public();
    assert_eq!(public(), first);
    NodeKey::forget_pending(folder.path()).unwrap();
    assert_ne!(public(), first);
}

#[test]
fn damaged_pending_key_says_which_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(PENDING_FILE);
    durable_file::write_secret(&path, b"garbage").unwrap();
    let message = NodeKey::pending(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("node-pending.key: it holds no private key"),
        "{message}"
    );
    assert!(message.contains("remove the file"), "{message}");
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", NodeKey::generate()), "NodeKey(..)");
}
