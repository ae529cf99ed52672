//! What was verified a moment ago, so that it need not be verified again: a bounded table whose keys are HMACs with a key of
//! this process, so that no secret stays in memory and no two inputs can be made to meet. Rule 8.2.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use parking_lot::Mutex;

/// The outcome of verifying something, by what was verified.
pub struct Remembered<T> {
    key: hmac::Key,
    kept: Mutex<Generations<T>>,
    /// The most in each of two generations.
    limit: usize,
}

/// Old and new: when the new one is full, it becomes the old one, and the old one is forgotten.
struct Generations<T> {
    new: HashMap<[u8; 32], Kept<T>, TagHasher>,
    old: HashMap<[u8; 32], Kept<T>, TagHasher>,
}

struct Kept<T> {
    value: T,
    until: Instant,
}

/// The keys are random already.
#[derive(Default, Clone, Copy)]
struct TagHasher;

impl BuildHasher for TagHasher {
    type Hasher = FirstBytes;

    fn build_hasher(&self) -> FirstBytes {
        FirstBytes(0)
    }
}

struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }
}

impl<T: Clone> Remembered<T> {
    /// Remembers about `count` outcomes.
    ///
    /// # Panics
    /// Never: aws-lc ends the process itself when the system has no randomness.
    #[must_use]
    pub fn new(count: usize) -> Remembered<T> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random);
        Remembered {
            key: key.expect("aws-lc ends the process itself when the system has no randomness"),
            kept: Mutex::new(Generations {
                new: HashMap::default(),
                old: HashMap::default(),
            }),
            limit: count.div_ceil(2).max(1),
        }
    }

    fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        tag.as_ref()
            .try_into()
            .expect("an HMAC-SHA256 has 32 bytes")
    }

    /// What came out for these parts, unless it is forgotten.
    #[must_use]
    pub fn get(&self, parts: &[&[u8]]) -> Option<T> {
        let tag = self.tag(parts);
        let kept = self.kept.lock();
        let found = kept.new.get(&tag).or_else(|| kept.old.get(&tag))?;
        (found.until > Instant::now()).then(|| found.value.clone())
    }

    /// Remembers what came out for these parts, for at most `time`.
    pub fn put(&self, parts: &[&[u8]], value: T, time: Duration) {
        let tag = self.tag(parts);
        let until = Instant::now() + time;
        let mut kept = self.kept.lock();
        if kept.new.len() >= self.limit {
            kept.old = std::mem::take(&mut kept.new);
        }
        kept.new.insert(tag, Kept { value, until });
    }

    /// Forgets everything: what was verified may count no more.
    pub fn clear(&self) {
        let mut kept = self.kept.lock();
        kept.new.clear();
        kept.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_was_put_is_found_until_its_time_is_over() {
        let table = Remembered::new(10);
        table.put(&[b"a", b"b"], 1, LONG);
        table.put(&[b"c"], 2, Duration::ZERO);
        assert_eq!(table.get(&[b"a", b"b"]), Some(1));
        assert_eq!(table.get(&[b"c"]), None);
        table.clear();
        assert_eq!(table.get(&[b"a", b"b"]), None);
    }

    #[test]
    fn parts_are_not_run_together() {
        let table = Remembered::new(10);
        table.put(&[b"ab", b"c"], 1, LONG);
        for other in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"c", b""]] {
            assert_eq!(table.get(other), None);
        }
    }

    #[test]
    fn table_is_bounded_and_keeps_what_is_newest() {
        let table = Remembered::new(100);
        for number in 0..10_000_u32 {
            table.put(&[&number.to_be_bytes()], number, LONG);
        }
        let kept = table.kept.lock();
        assert!(kept.new.len() + kept.old.len() <= 100);
        drop(kept);
        assert_eq!(table.get(&[&9_999_u32.to_be_bytes()]), Some(9_999));
        assert_eq!(table.get(&[&0_u32.to_be_bytes()]), None);
    }
}
