//! Small sets and multisets of small numbers.

/// A set, as a key. Equal sets are equal values: no word at the end is zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn contains(&self, number: usize) -> bool {
        let word = self.0.get(number / 64).copied().unwrap_or(0);
        word >> (number % 64) & 1 == 1
    }

    pub(crate) fn insert(&mut self, number: usize) {
        if self.0.len() <= number / 64 {
            self.0.resize(number / 64 + 1, 0);
        }
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(crate) fn remove(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

/// How often each of some numbers was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counts(Vec<u32>);

impl Counts {
    pub(crate) fn of(&self, number: usize) -> usize {
        self.0.get(number).copied().unwrap_or(0) as usize
    }

    pub(crate) fn add(&mut self, number: usize) {
        if self.0.len() <= number {
            self.0.resize(number + 1, 0);
        }
        self.0[number] += 1;
    }

    pub(crate) fn sum(&self) -> usize {
        self.0.iter().map(|count| *count as usize).sum()
    }

    /// Whether `other` has each at least as often.
    pub(crate) fn is_within(&self, other: &Counts) -> bool {
        let mut counts = self.0.iter().enumerate();
        counts.all(|(number, count)| *count as usize <= other.of(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_equal_values() {
        let mut set = Bits::default();
        set.insert(3);
        let small = set.clone();
        set.insert(130);
        assert!(set.contains(3) && set.contains(130) && !set.contains(66));
        set.remove(130);
        assert_eq!(set, small);
        set.remove(3);
        set.remove(700);
        assert_eq!(set, Bits::default());
    }

    #[test]
    fn fewer_are_within_more() {
        let (mut few, mut many) = (Counts::default(), Counts::default());
        few.add(1);
        many.add(1);
        many.add(0);
        assert!(few.is_within(&many) && !many.is_within(&few));
        few.add(1);
        assert!(!few.is_within(&many));
        assert_eq!((few.of(1), few.of(9), many.sum()), (2, 0, 2));
    }
}
