//! How fast this crate hashes from memory: `cargo run --release -p hashing --example throughput sha256`.
//!
//! Measure it from outside, by processor time, beside `openssl speed -bytes 65536 -evp sha256`.

use std::time::Instant;

use hashing::Hasher;
use oci::{Algorithm, AlgorithmError};

fn main() -> Result<(), AlgorithmError> {
    const PIECE_BYTES: usize = 64 * 1024;
    const PIECES: usize = 64 * 1024;
    let algorithm = std::env::args()
        .nth(1)
        .map_or(Ok(Algorithm::Sha256), |name| name.parse())?;
    let piece = vec![0x5a; PIECE_BYTES];
    let mut hasher = Hasher::new(algorithm);
    let begin = Instant::now();
    for _ in 0..PIECES {
        hasher.update(&piece);
    }
    let bytes = hasher.len();
    let digest = hasher.finish();
    let rate = bytes as f64 / begin.elapsed().as_secs_f64() / 1e9;
    println!("{rate:.2} GB/s: {bytes} bytes, {digest}");
    Ok(())
}
