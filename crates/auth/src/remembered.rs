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

/// Under what an outcome is kept: nothing of what was verified can be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag([u8; 32]);

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

    /// What these parts are kept under.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let tag = tag.as_ref().try_into();
        Tag(tag.expect("an HMAC-SHA256 has 32 bytes"))
    }

    /// What came out, unless it is forgotten.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<T> {
        let kept = self.kept.lock();
        let found = kept.new.get(&tag.0).or_else(|| kept.old.get(&tag.0))?;
        (found.until > Instant::now()).then(|| found.value.clone())
    }

    /// Remembers what came out, for at most `time`.
    pub fn put(&self, tag: Tag, value: T, time: Duration) {
        let until = Instant::now() + time;
        let mut kept = self.kept.lock();
        if kept.new.len() >= self.limit {
            kept.old = std::mem::take(&mut kept.new);
        }
        kept.new.insert(tag.0, Kept { value, until });
    }

    /// Forgets what came out: it counts no more.
    pub fn forget(&self, tag: Tag) {
        let mut kept = self.kept.lock();
        kept.new.remove(&tag.0);
        kept.old.remove(&tag.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_was_put_is_found_until_its_time_is_over() {
        let table = Remembered::new(10);
        let (one, other) = (table.tag(&[b"a", b"b"]), table.tag(&[b"c"]));
        table.put(one, 1, LONG);
        table.put(other, 2, Duration::ZERO);
        assert_eq!(table.get(one), Some(1));
        assert_eq!(table.get(other), None);
        table.forget(one);
        assert_eq!(table.get(one), None);
    }

    #[test]
    fn parts_are_not_run_together() {
        let table = Remembered::<()>::new(10);
        let tag = table.tag(&[b"ab", b"c"]);
        for other in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"c", b""]] {
            assert_ne!(table.tag(other), tag);
        }
        let another_process = Remembered::<()>::new(10);
        assert_ne!(another_process.tag(&[b"ab", b"c"]), tag);
    }

    #[test]
    fn table_is_bounded_and_keeps_what_is_newest() {
        let table = Remembered::new(100);
        let tag = |number: u32| table.tag(&[&number.to_be_bytes()]);
        for number in 0..10_000_u32 {
            table.put(tag(number), number, LONG);
        }
        let kept = table.kept.lock();
        assert!(kept.new.len() + kept.old.len() <= 100);
        drop(kept);
        assert_eq!(table.get(tag(9_999)), Some(9_999));
        assert_eq!(table.get(tag(0)), None);
    }
}
