//! Tests of envelopes: they open for their key and their place, and for nothing else.

use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> RecoveryKey {
    RecoveryKey::from_bytes([byte; 32])
}

proptest! {
    #[test]
    fn what_was_sealed_opens(plaintext in any::<Vec<u8>>(), place in any::<Vec<u8>>()) {
        let envelope = seal(&key(1), &place, &plaintext);
        let opened = open(&key(1), &place, &envelope).unwrap();
        prop_assert_eq!(&*opened, &plaintext);
    }

    #[test]
    fn no_bytes_make_it_panic(envelope in any::<Vec<u8>>()) {
        let _ = open(&key(1), b"", &envelope);
    }
}

#[test]
fn every_changed_or_missing_byte_is_found() {
    let envelope = seal(&key(1), b"place", b"secret");
    for at in 0..envelope.len() {
        let mut changed = envelope.clone();
        changed[at] ^= 1;
        let expected = match at {
            0 => OpenError::Version(0),
            1..HEADER_BYTES => OpenError::OtherKey,
            _ => OpenError::Damaged,
        };
        assert_eq!(
            open(&key(1), b"place", &changed).unwrap_err(),
            expected,
            "{at}"
        );
        assert_eq!(
            open(&key(1), b"place", &envelope[..at]).unwrap_err(),
            OpenError::Damaged,
            "{at}"
        );
    }
}

#[test]
fn other_place_and_other_key_do_not_open() {
    let envelope = seal(&key(1), b"authority", b"secret");
    assert_eq!(
        open(&key(1), b"webhook", &envelope).unwrap_err(),
        OpenError::Damaged
    );
    assert_eq!(
        open(&key(2), b"authority", &envelope).unwrap_err(),
        OpenError::OtherKey
    );
}

#[test]
fn one_secret_sealed_twice_looks_different() {
    assert_ne!(seal(&key(1), b"", b"secret"), seal(&key(1), b"", b"secret"));
}
