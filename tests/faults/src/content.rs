//! Bytes and choices that a seed determines, so that gigabytes need not be kept and a failure can be repeated.

use harness::client::sha256;

/// Bytes that a seed and a length determine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    seed: u64,
    size: usize,
}

impl Content {
    /// So many bytes of this seed.
    pub fn new(seed: u64, size: usize) -> Self {
        Self { seed, size }
    }

    /// How many bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut dice = Dice::new(self.seed);
        let mut bytes = Vec::with_capacity(self.size + 8);
        while bytes.len() < self.size {
            bytes.extend_from_slice(&dice.next().to_le_bytes());
        }
        bytes.truncate(self.size);
        bytes
    }

    /// Their digest.
    pub fn digest(&self) -> String {
        sha256(&self.bytes())
    }
}

/// Random numbers by splitmix64: the same on every machine for ever.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        let below = self.next() % u64::try_from(bound.max(1)).expect("a usize has at most 64 bits");
        usize::try_from(below).expect("it is below a usize")
    }

    /// One of them.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_the_same_each_time() {
        let content = Content::new(7, 1001);
        assert_eq!(content.bytes(), content.bytes());
        assert_eq!(content.bytes().len(), 1001);
        assert_ne!(content.bytes(), Content::new(8, 1001).bytes());
        assert_eq!(Content::new(7, 500).bytes(), content.bytes()[..500]);
    }
}
