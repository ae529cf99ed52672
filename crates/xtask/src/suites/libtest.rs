//! What Rust's test programs say at their end, as numbers.

use std::str::FromStr;

use serde::Serialize;

/// How many tests did what. A test that was filtered out by its own program counts as skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Tests that did run.
    pub fn ran(self) -> u64 {
        self.passed + self.failed
    }
}

/// Reads `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
pub fn result_line(line: &str) -> Option<Counts> {
    let (_verdict, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| {
        let part = numbers
            .split("; ")
            .find_map(|part| part.strip_suffix(what))?;
        u64::from_str(part.trim()).ok()
    };
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("ignored")? + number("filtered out")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let ok = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s";
        assert_eq!(
            result_line(ok),
            Some(Counts {
                passed: 5,
                failed: 0,
                skipped: 3
            })
        );
        let failed = "test result: FAILED. 0 passed; 12 failed; 0 ignored; 0 measured; 0 filtered out; finished in 3.10s";
        assert_eq!(
            result_line(failed),
            Some(Counts {
                passed: 0,
                failed: 12,
                skipped: 0
            })
        );
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "",
            "running 5 tests",
            "test a::b ... ok",
            "test result: odd",
            "test result: ok. x passed; ",
        ] {
            assert_eq!(result_line(line), None, "{line}");
        }
    }
}
