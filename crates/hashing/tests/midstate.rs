//! The stored form of hashes in progress: golden bytes, and agreement with another library state by state.

use hashing::{CONTENT_BYTES_MAX, Hasher, Midstate, MidstateError};
use oci::{Algorithm, Digest};
use proptest::prelude::*;
use sha2::digest::Update;
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Sha256, Sha512};

/// Bytes that repeat at no block boundary.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn hasher_of(algorithm: Algorithm, content: &[u8]) -> Hasher {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(content);
    hasher
}

/// The canonical form, made from the state of the `sha2` crate alone.
fn canonical_by_sha2(algorithm: Algorithm, content: &[u8]) -> Vec<u8> {
    let (state, word_len, blocks_len) = match algorithm {
        Algorithm::Sha256 => (Sha256::default().chain(content).serialize().to_vec(), 4, 8),
        Algorithm::Sha512 => (Sha512::default().chain(content).serialize().to_vec(), 8, 16),
    };
    let (words, rest) = state.split_at(8 * word_len);
    let (pending_len, pending) = rest[blocks_len..]
        .split_first()
        .expect("a position in front of the block");
    let mut bytes = vec![1, if algorithm == Algorithm::Sha256 { 1 } else { 2 }];
    for word in words.chunks(word_len) {
        bytes.extend(word.iter().rev());
    }
    bytes.extend((content.len() as u64).to_be_bytes());
    bytes.extend(&pending[..usize::from(*pending_len)]);
    bytes
}

/// Goes on with the `sha2` crate from canonical bytes.
fn finish_by_sha2(canonical: &[u8], rest: &[u8]) -> Digest {
    let (word_len, block_len) = if canonical[1] == 1 { (4, 64) } else { (8, 128) };
    let (words, tail) = canonical[2..].split_at(8 * word_len);
    let (len, pending) = tail.split_at(8);
    let blocks = u64::from_be_bytes(len.try_into().expect("8 bytes")) / block_len as u64;
    let mut state: Vec<u8> = words
        .chunks(word_len)
        .flat_map(|word| word.iter().rev().copied())
        .collect();
    match word_len {
        4 => state.extend(blocks.to_le_bytes()),
        _ => state.extend(u128::from(blocks).to_le_bytes()),
    }
    state.push(pending.len() as u8);
    state.extend(pending);
    if word_len == 4 {
        state.resize(104, 0);
        let state = state.as_slice().try_into().expect("104 bytes");
        let hasher = Sha256::deserialize(state).expect("a state of sha2");
        Digest::Sha256(sha2::Digest::finalize(hasher.chain(rest)).into())
    } else {
        state.resize(208, 0);
        let state = state.as_slice().try_into().expect("208 bytes");
        let hasher = Sha512::deserialize(state).expect("a state of sha2");
        Digest::Sha512(sha2::Digest::finalize(hasher.chain(rest)).into())
    }
}

#[test]
fn known_answers_of_fips_180() {
    let cases = [
        (
            Algorithm::Sha256,
            "",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            Algorithm::Sha256,
            "abc",
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            Algorithm::Sha512,
            "abc",
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d\
             4423643ce80e2a9ac94fa54ca49f",
        ),
    ];
    for (algorithm, text, digest) in cases {
        assert_eq!(
            hasher_of(algorithm, text.as_bytes()).finish().to_string(),
            digest
        );
    }
}

/// These bytes are in logs. They may never change.
#[test]
fn golden_midstates_load_and_finish() {
    let cases = [
        (
            Algorithm::Sha256,
            3,
            "01016a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd190000000000000003000102",
        ),
        (Algorithm::Sha256, 64, GOLDEN_SHA256_64),
        (Algorithm::Sha256, 1000, GOLDEN_SHA256_1000),
        (Algorithm::Sha512, 1000, GOLDEN_SHA512_1000),
    ];
    for (algorithm, len, golden) in cases {
        let all = content(3000);
        let bytes = hex::decode(golden).expect("golden bytes are hexadecimal");
        assert_eq!(
            hex::encode(hasher_of(algorithm, &all[..len]).midstate().as_bytes()),
            golden,
            "{algorithm} {len}"
        );
        let midstate = Midstate::from_bytes(&bytes).expect("golden bytes are a midstate");
        assert_eq!(
            (midstate.algorithm(), midstate.content_len()),
            (algorithm, len as u64)
        );
        let mut resumed = Hasher::resume(&midstate).expect("golden bytes are resumed");
        resumed.update(&all[len..]);
        assert_eq!(resumed.len(), 3000);
        assert_eq!(resumed.finish(), Digest::of(algorithm, &all));
    }
}

const GOLDEN_SHA256_64: &str =
    "0101fc99a2df88f42a7a7bb9d18033cdc6a20256755f9d5b9a5044a9cc315abe84a70000000000000040";
const GOLDEN_SHA256_1000: &str = "0101564d89b6ddf8329125e2817c294791dff133c8c58c9ef3a1b7fbf2a1a85cd25100000000000003e8cfd0d1d2d3d4d5d6\
     d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6";
const GOLDEN_SHA512_1000: &str = "0102b93708b8318aa1a88431e69d1c4aff371652f5207e0ea43765f2c80203a245e4d503eb9139aaf4d6815c04972798d5c2\
     99bc1599af52e345be769761c5dfb4ed00000000000003e88f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8\
     a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9da\
     dbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6";

#[test]
fn every_boundary_of_two_blocks_resumes() {
    for algorithm in Algorithm::ALL {
        let all = content(300);
        let whole = Digest::of(algorithm, &all);
        for cut in 0..=260 {
            let midstate = hasher_of(algorithm, &all[..cut]).midstate();
            assert_eq!(
                midstate.as_bytes(),
                canonical_by_sha2(algorithm, &all[..cut]),
                "{algorithm} at {cut}"
            );
            assert_eq!(
                finish_by_sha2(midstate.as_bytes(), &all[cut..]),
                whole,
                "{algorithm} at {cut}"
            );
            let mut resumed = Hasher::resume(&midstate).expect("made by this build");
            assert_eq!(resumed.midstate(), midstate);
            resumed.update(&all[cut..]);
            assert_eq!(resumed.finish(), whole, "{algorithm} at {cut}");
        }
    }
}

/// The bit counters of SHA-256 are two words of 32 bits; no test hashes as much as fills the lower one.
#[test]
fn lengths_beyond_32_bits_count_as_in_sha2() {
    for algorithm in Algorithm::ALL {
        for len in [
            (1_u64 << 29) - 1,
            1 << 29,
            (1 << 32) + 5,
            (1 << 40) + 77,
            CONTENT_BYTES_MAX - 200,
        ] {
            let pending = (len
                % if algorithm == Algorithm::Sha256 {
                    64
                } else {
                    128
                }) as usize;
            let mut bytes = Hasher::new(algorithm).midstate().as_bytes().to_vec();
            let at = bytes.len() - 8;
            bytes[at..].copy_from_slice(&len.to_be_bytes());
            bytes.extend(content(pending));
            let mut resumed = Hasher::resume(&Midstate::from_bytes(&bytes).expect("well-formed"))
                .expect("readable");
            resumed.update(&content(150));
            assert_eq!(
                resumed.clone().finish(),
                finish_by_sha2(&bytes, &content(150)),
                "{algorithm} {len}"
            );
            assert_eq!(resumed.midstate().content_len(), len + 150);
        }
    }
}

#[test]
fn a_midstate_does_not_disturb_the_hash() {
    let all = content(10_000);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for piece in all.chunks(97) {
        hasher.update(piece);
        let _ = hasher.midstate();
    }
    assert_eq!(hasher.finish(), Digest::of(Algorithm::Sha256, &all));
}

#[test]
fn damaged_bytes_are_refused() {
    let good = hasher_of(Algorithm::Sha256, &content(70)).midstate();
    let good = good.as_bytes();
    assert_eq!(Midstate::from_bytes(&[]), Err(MidstateError::WrongLength));
    for len in 1..good.len() {
        assert_eq!(
            Midstate::from_bytes(&good[..len]),
            Err(MidstateError::WrongLength),
            "cut to {len}"
        );
    }
    assert_eq!(
        Midstate::from_bytes(&[good, &[0]].concat()),
        Err(MidstateError::WrongLength)
    );
    let with = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Midstate::from_bytes(&bytes)
    };
    assert_eq!(with(0, 2), Err(MidstateError::UnknownVersion(2)));
    assert_eq!(with(1, 0), Err(MidstateError::UnknownAlgorithm(0)));
    assert_eq!(with(1, 2), Err(MidstateError::WrongLength));
    assert_eq!(
        with(34, 0x20),
        Err(MidstateError::WrongLength),
        "a length beyond the bit counter"
    );
    assert_eq!(
        with(41, 71),
        Err(MidstateError::WrongLength),
        "a length that the pending bytes contradict"
    );
}

proptest! {
    #[test]
    fn any_pieces_and_any_cut_give_the_digest_of_the_whole(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..12),
        sha512 in any::<bool>(),
    ) {
        let algorithm = if sha512 { Algorithm::Sha512 } else { Algorithm::Sha256 };
        let all = pieces.concat();
        let mut hasher = Hasher::new(algorithm);
        let mut done = 0;
        for piece in &pieces {
            hasher.update(piece);
            done += piece.len();
            let stored = hasher.midstate();
            prop_assert_eq!(stored.as_bytes(), canonical_by_sha2(algorithm, &all[..done]));
            prop_assert_eq!(finish_by_sha2(stored.as_bytes(), &all[done..]), Digest::of(algorithm, &all));
            let read = Midstate::from_bytes(stored.as_bytes()).expect("as stored");
            hasher = Hasher::resume(&read).expect("as stored");
            prop_assert_eq!(hasher.len(), done as u64);
        }
        prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &all));
    }

    #[test]
    fn any_bytes_are_refused_or_kept_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..220), format in 0_u8..4) {
        let bytes = [&[1, format][..], &bytes].concat();
        if let Ok(midstate) = Midstate::from_bytes(&bytes) {
            prop_assert_eq!(midstate.as_bytes(), &bytes[..]);
            let hasher = Hasher::resume(&midstate).expect("as read");
            prop_assert_eq!(hasher.midstate(), midstate);
        }
    }
}
