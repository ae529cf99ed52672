//! A table that holds a bounded number of things and forgets those that were used longest ago.
//!
//! It never grows beyond its limit, whatever clients send, and never looks at more than one thing per call.

use std::collections::HashMap;
use std::hash::Hash;

/// Two generations: when the new one is full, it becomes the old one, and the old one is forgotten. What is used moves to
/// the new one.
pub struct Bounded<K, V> {
    new: HashMap<K, V>,
    old: HashMap<K, V>,
    /// The most in each generation.
    limit: usize,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    /// With room for `count` things, of which at least the half that was used last is there.
    pub fn new(count: usize) -> Bounded<K, V> {
        Bounded {
            new: HashMap::new(),
            old: HashMap::new(),
            limit: count.div_ceil(2).max(1),
        }
    }

    /// What is kept under `key`; it counts as used.
    pub fn get(&mut self, key: &K) -> Option<&mut V> {
        if !self.new.contains_key(key) {
            let value = self.old.remove(key)?;
            self.insert(key.clone(), value);
        }
        self.new.get_mut(key)
    }

    /// What is kept under `key`, or what `make` makes.
    pub fn get_or(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        if !self.new.contains_key(key) {
            let value = self.old.remove(key).unwrap_or_else(make);
            self.insert(key.clone(), value);
        }
        self.new.get_mut(key).expect("it was inserted just now")
    }

    /// Keeps it.
    pub fn insert(&mut self, key: K, value: V) {
        if self.new.len() >= self.limit && !self.new.contains_key(&key) {
            self.old = std::mem::take(&mut self.new);
        }
        self.old.remove(&key);
        self.new.insert(key, value);
    }

    /// Forgets it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.new.remove(key);
        value.or_else(|| self.old.remove(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let mut table = Bounded::new(100);
        for number in 0..10_000 {
            table.insert(number, number);
            assert!(table.get(&0).is_some(), "used each time");
        }
        assert!(table.new.len() + table.old.len() <= 100);
        assert_eq!(table.get(&9_999).copied(), Some(9_999));
        assert_eq!(table.get(&1), None);
        assert_eq!(table.remove(&9_999), Some(9_999));
        assert_eq!(table.get(&9_999), None);
    }

    #[test]
    fn what_is_replaced_is_there_once() {
        let mut table = Bounded::new(2);
        table.insert('a', 1);
        table.insert('b', 2);
        table.insert('a', 3);
        assert_eq!(table.remove(&'a'), Some(3));
        assert_eq!(table.remove(&'a'), None);
        assert_eq!(*table.get_or(&'b', || 9), 2);
        assert_eq!(*table.get_or(&'c', || 9), 9);
    }
}
