//! Random choices that follow from the seed. Each part of the world has dice of its own, so that one more choice in one part
//! changes nothing in the others.

use std::ops::Range;
use std::time::Duration;

use parking_lot::Mutex;

use crate::machine::mix;

/// A sequence of choices.
#[derive(Debug)]
pub struct Dice(Mutex<u64>);

impl Dice {
    /// The choices of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(Mutex::new(mix(seed)))
    }

    /// Other choices, that depend on the seed and on this label only.
    #[must_use]
    pub fn of(seed: u64, label: &str) -> Dice {
        let hash = |hash: u64, byte: u8| mix(hash ^ u64::from(byte));
        Dice::new(label.bytes().fold(mix(seed), hash))
    }

    /// Any number.
    pub fn number(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*state)
    }

    /// 128 bits.
    pub fn wide(&self) -> u128 {
        u128::from(self.number()) << 64 | u128::from(self.number())
    }

    /// A number of a range, which is not empty.
    pub fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start)
    }

    /// True `per_mille` times in a thousand.
    pub fn hits(&self, per_mille: u64) -> bool {
        self.number() % 1000 < per_mille
    }

    /// A time of a range of milliseconds.
    pub fn ms(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// Which of these weights is hit. One of them is not zero.
    pub fn weighted(&self, weights: &[u64]) -> usize {
        let mut at = self.within(0..weights.iter().sum());
        let hit = weights.iter().position(|weight| {
            let is_hit = at < *weight;
            at = at.saturating_sub(*weight);
            is_hit
        });
        hit.unwrap_or(0)
    }

    /// Weights of a seed's own: each of these is left out, halved, kept or made much larger. The first stays.
    pub fn own_weights<const N: usize>(&self, weights: [u64; N]) -> [u64; N] {
        let mut own = weights.map(|weight| weight * self.pick(&[0, 1, 2, 2, 2, 8]));
        own[0] = weights[0] * 2;
        own
    }

    /// One of these, which are not none.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.within(0..of.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_say_how_often_each_is_hit() {
        let dice = Dice::new(1);
        let mut hits = [0; 4];
        for _ in 0..1_000 {
            hits[dice.weighted(&[1, 0, 7, 2])] += 1;
        }
        assert_eq!(hits[1], 0);
        assert!((50..200).contains(&hits[0]) && (600..800).contains(&hits[2]));
    }

    #[test]
    fn the_same_seed_gives_the_same_choices() {
        let choices = |seed, label| {
            let dice = Dice::of(seed, label);
            (0..64).map(|_| dice.number()).collect::<Vec<_>>()
        };
        assert_eq!(choices(1, "a"), choices(1, "a"));
        assert_ne!(choices(1, "a"), choices(1, "b"));
        assert_ne!(choices(1, "a"), choices(2, "a"));
    }
}
