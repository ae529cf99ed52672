//! Makes an input that fails as small and plain as it gets while it fails in the same way.
//!
//! Delta debugging (Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input", 2002), then plainer bytes.

use std::time::{Duration, Instant};

use crate::target::Shape;

/// It may take so long.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The smallest input that was found for which `fails` still holds.
pub fn minimise(input: &[u8], shape: Shape, mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut best = input.to_vec();
    let end = Instant::now() + TIME_MAX;
    let mut still = |candidate: &[u8]| Instant::now() < end && fails(candidate);
    let unit = match shape {
        Shape::Records(len) => len,
        Shape::Text(_) | Shape::Fields(_) | Shape::Bytes => 1,
    };
    let mut chunk = (best.len() / 2).next_multiple_of(unit).max(unit);
    loop {
        let mut at = 0;
        let mut shrank = false;
        while at < best.len() {
            let end = (at + chunk).min(best.len());
            let candidate = [&best[..at], &best[end..]].concat();
            if still(&candidate) {
                best = candidate;
                shrank = true;
            } else {
                at += chunk;
            }
        }
        if chunk > unit {
            chunk = (chunk / 2).next_multiple_of(unit).max(unit);
        } else if !shrank {
            break;
        }
    }
    let plain = match shape {
        Shape::Text(_) => b'a',
        Shape::Fields(_) | Shape::Bytes | Shape::Records(_) => 0,
    };
    for at in 0..best.len() {
        let before = std::mem::replace(&mut best[at], plain);
        if before != plain && !still(&best) {
            best[at] = before;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_goes() {
        let input = b"many words, among them a needle, and more words";
        let fails = |text: &[u8]| text.windows(6).any(|part| part == b"needle");
        assert_eq!(minimise(input, Shape::Text(&[]), fails), b"needle");
    }

    #[test]
    fn records_go_as_a_whole() {
        let input: Vec<u8> = (0..80).collect();
        let fails =
            |bytes: &[u8]| bytes.len().is_multiple_of(8) && bytes.chunks(8).any(|r| r[0] == 24);
        let smallest = minimise(&input, Shape::Records(8), fails);
        assert_eq!(smallest, [24, 0, 0, 0, 0, 0, 0, 0]);
    }
}
