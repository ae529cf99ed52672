//! High-water marks of queues and buffers, for the tests of promise P7: how much there was at once, and how much there may be.
//!
//! Whoever adds to a queue notes how long it is then, with the bound that the code relies on. Without the cargo feature `marks`,
//! and so in everything that ships, nothing is kept and nothing costs. Must never change what the noted code does.

/// A queue or buffer, as high as it ever was in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub name: &'static str,
    /// The most that was in it.
    pub highest: u64,
    /// The bound when it was highest.
    pub bound: u64,
    /// How often it was noted.
    pub noted: u64,
    /// Whether it ever held more than it might.
    pub overflowed: bool,
}

/// Notes that `held` things are in a queue which may hold `bound`.
#[cfg(not(feature = "marks"))]
#[inline(always)]
pub const fn note(_name: &'static str, _held: usize, _bound: usize) {}

#[cfg(feature = "marks")]
mod kept {
    use std::sync::Mutex;
    use std::sync::PoisonError;

    use super::Mark;

    static MARKS: Mutex<Vec<Mark>> = Mutex::new(Vec::new());

    /// Notes that `held` things are in a queue which may hold `bound`.
    pub fn note(name: &'static str, held: usize, bound: usize) {
        let (held, bound) = (held as u64, bound as u64);
        let marks = &mut *MARKS.lock().unwrap_or_else(PoisonError::into_inner);
        let at = marks.iter().position(|mark| mark.name == name);
        let at = at.unwrap_or_else(|| {
            marks.push(Mark {
                name,
                highest: 0,
                bound,
                noted: 0,
                overflowed: false,
            });
            marks.len() - 1
        });
        let mark = &mut marks[at];
        mark.noted += 1;
        mark.overflowed |= held > bound;
        if held > mark.highest {
            (mark.highest, mark.bound) = (held, bound);
        }
    }

    /// Every mark so far, in the order in which they were first noted.
    #[must_use]
    pub fn all() -> Vec<Mark> {
        MARKS.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(feature = "marks")]
pub use kept::{all, note};

#[cfg(all(test, feature = "marks"))]
mod tests {
    use super::*;

    #[test]
    fn the_highest_is_kept_and_an_overflow_is_never_forgotten() {
        let mark = || all().into_iter().find(|mark| mark.name == "of a test");
        assert_eq!(mark(), None);
        note("of a test", 3, 4);
        note("of a test", 2, 1);
        note("of a test", 1, 9);
        let wanted = Mark {
            name: "of a test",
            highest: 3,
            bound: 4,
            noted: 3,
            overflowed: true,
        };
        assert_eq!(mark(), Some(wanted));
    }
}
