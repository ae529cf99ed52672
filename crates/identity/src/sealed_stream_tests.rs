//! Contents of all lengths come back, and nothing that was touched does.

use super::{HEADER_BYTES, PIECE_BYTES, SEALED_PIECE_BYTES, StreamOpener, StreamSealer};
use crate::RecoveryKey;
use crate::sealed::OpenError;

fn key() -> RecoveryKey {
    RecoveryKey::from_bytes([7; 32])
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Seals in bites of `bite` bytes.
fn sealed(name: &str, content: &[u8], bite: usize) -> Vec<u8> {
    let mut sealer = StreamSealer::new(&key(), name);
    let mut sealed = Vec::new();
    for part in content.chunks(bite) {
        sealer.add(part, &mut sealed);
    }
    sealer.finish(&mut sealed);
    sealed
}

fn opened(key: &RecoveryKey, name: &str, sealed: &[u8], bite: usize) -> Result<Vec<u8>, OpenError> {
    let mut opener = StreamOpener::new(key, name);
    let mut content = Vec::new();
    for part in sealed.chunks(bite) {
        opener.add(part, &mut content)?;
    }
    opener.finish(&mut content)?;
    Ok(content)
}

#[test]
fn what_is_sealed_opens_whatever_its_length_and_however_it_comes() {
    for len in [
        0,
        1,
        PIECE_BYTES - 1,
        PIECE_BYTES,
        PIECE_BYTES + 1,
        3 * PIECE_BYTES + 5,
    ] {
        let content = content(len);
        let whole = sealed("a", &content, usize::MAX);
        for bite in [100, 4096, 2 * PIECE_BYTES] {
            assert_eq!(sealed("a", &content, bite), whole, "sealed in {bite}");
            let opened = opened(&key(), "a", &whole, bite);
            assert_eq!(opened.expect("it opens"), content, "{len} in {bite}");
        }
        let pieces = len.div_ceil(PIECE_BYTES).max(1);
        assert_eq!(whole.len(), HEADER_BYTES + len + 16 * pieces);
        let content = &content[..content.len().min(32)];
        assert!(content.len() < 32 || !whole.windows(32).any(|part| part == content));
    }
}

#[test]
fn another_key_and_another_name_do_not_open_it() {
    let whole = sealed("a", &content(100), 100);
    let other = RecoveryKey::from_bytes([8; 32]);
    assert_eq!(opened(&other, "a", &whole, 100), Err(OpenError::OtherKey));
    assert_eq!(opened(&key(), "b", &whole, 100), Err(OpenError::Damaged));
    let mut newer = whole;
    newer[0] = 9;
    assert_eq!(opened(&key(), "a", &newer, 100), Err(OpenError::Version(9)));
}

#[test]
fn what_was_cut_changed_or_reordered_does_not_open() {
    let whole = sealed("a", &content(3 * PIECE_BYTES), PIECE_BYTES);
    let piece = |number: usize| {
        let start = HEADER_BYTES + number * SEALED_PIECE_BYTES;
        whole[start..start + SEALED_PIECE_BYTES].to_vec()
    };
    let mut changed = whole.clone();
    changed[HEADER_BYTES + SEALED_PIECE_BYTES + 3] ^= 1;
    let header = whole[..HEADER_BYTES].to_vec();
    let swapped = [header.clone(), piece(1), piece(0), piece(2)].concat();
    let without_one = [header.clone(), piece(0), piece(2)].concat();
    let twice = [header, piece(0), piece(1), piece(2), piece(2)].concat();
    let cases = [
        ("nothing", Vec::new()),
        ("half a header", whole[..5].to_vec()),
        ("only a header", whole[..HEADER_BYTES].to_vec()),
        ("cut in a piece", whole[..whole.len() - 1].to_vec()),
        (
            "cut between pieces",
            whole[..whole.len() - SEALED_PIECE_BYTES].to_vec(),
        ),
        ("a bit changed", changed),
        ("swapped", swapped),
        ("one missing", without_one),
        ("the last twice", twice),
    ];
    for (what, bytes) in cases {
        assert_eq!(
            opened(&key(), "a", &bytes, 9_000),
            Err(OpenError::Damaged),
            "{what}"
        );
    }
}

#[test]
fn the_format_is_what_it_was() {
    let whole = sealed("cluster/log/name", b"content", 3);
    assert_eq!(
        hex::encode(whole),
        "01e87818b2beee74f8459ec873ef01b5926d642aa3496a3d5ef3e38967ffbe57"
    );
}
