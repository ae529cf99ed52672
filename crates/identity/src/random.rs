//! Random bytes for keys, ids and nonces, from the system by aws-lc; there is no other source in this crate.

/// `N` random bytes fit for a key.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .expect("aws-lc ends the process itself when the system has no randomness");
    bytes
}
