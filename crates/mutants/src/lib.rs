//! Bugs that can be switched on, to prove that the tests find them.
//!
//! A mutant is one guarded line of the product: `if mutants::active!("name") { … }`. Without the cargo feature `mutants` it
//! is `false` at compile time and costs nothing, and so it is in everything that ships. With the feature, which only builds
//! of tests have, at most one mutant is on in a process: the one that [`choose`] or the variable `HOLDFAST_MUTANT` named.
//!
//! [`ALL`] is the list of them. A guarded line whose name is not in the list panics when it is reached with the feature.

mod list;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use list::{ALL, By, Mutant};

/// The environment variable that names the mutant of a process.
pub const VARIABLE: &str = "HOLDFAST_MUTANT";

/// Whether the mutant of this name, a literal, is on.
#[macro_export]
macro_rules! active {
    ($name:literal) => {
        $crate::is_active($name)
    };
}

/// See [`active!`].
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn is_active(_name: &str) -> bool {
    false
}

#[cfg(feature = "mutants")]
mod chosen {
    use std::sync::OnceLock;

    use super::{ALL, VARIABLE};

    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();

    /// See [`crate::active!`].
    ///
    /// # Panics
    /// When there is no such mutant: a line that can never be switched on proves nothing.
    #[must_use]
    pub fn is_active(name: &str) -> bool {
        debug_assert!(
            ALL.iter().any(|mutant| mutant.name == name),
            "`{name}` is not in the list of mutants"
        );
        let chosen = CHOSEN.get_or_init(|| std::env::var(VARIABLE).ok());
        chosen.as_deref() == Some(name)
    }

    /// Switches a mutant on for the rest of the process.
    ///
    /// # Errors
    /// When there is no such mutant, or one was chosen or looked for before.
    pub fn choose(name: &str) -> Result<(), String> {
        if !ALL.iter().any(|mutant| mutant.name == name) {
            return Err(format!("no mutant is called `{name}`"));
        }
        let already = |_| "a mutant was chosen, or looked for, before".to_owned();
        CHOSEN.set(Some(name.to_owned())).map_err(already)
    }
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, is_active};

/// Counts in the process, which no mutant may be forgiven: another process has another count.
#[must_use]
pub fn count() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    COUNT.fetch_add(1, Relaxed)
}

/// The clock of this machine, in milliseconds since the epoch.
#[must_use]
pub fn clock_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// One of these, in an order that is another one each time.
#[must_use]
pub fn first_by_hash<T: std::hash::Hash + Eq>(all: Vec<T>) -> Option<T> {
    let all: std::collections::HashSet<T> = all.into_iter().collect();
    all.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_its_own_name_and_a_promise() {
        let mut names: Vec<_> = ALL.iter().map(|mutant| mutant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for mutant in ALL {
            assert!((1..=8).contains(&mutant.promise), "{}", mutant.name);
        }
    }
}
