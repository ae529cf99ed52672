//! `cargo xtask tidy`: the rules of the house that no compiler knows, as one table.
//!
//! Each rule is a pure function from the tree's text to the places that break it, so that its tests are text too. A rule
//! must never read the disk itself, and must say in its breach what to do instead.

mod arrows;
mod code;
mod manifests;
mod sources;
mod tree;

use std::fmt;
use std::path::Path;

use anyhow::bail;

pub use tree::{File, Tree};

/// One rule: what it is called, what it says to a reader, and who checks it.
struct Rule {
    name: &'static str,
    says: &'static str,
    check: fn(&Tree) -> Vec<Breach>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "arrows",
        says: "crates use only the crates that the architecture allows",
        check: arrows::between_crates,
    },
    Rule {
        name: "owners",
        says: "some libraries are known to one crate only",
        check: arrows::owners_of_libraries,
    },
    Rule {
        name: "versions",
        says: "versions stand in the root Cargo.toml only",
        check: manifests::versions_in_root,
    },
    Rule {
        name: "lints",
        says: "every crate inherits the workspace's lints",
        check: manifests::lints_inherited,
    },
    Rule {
        name: "unsafe",
        says: "of what ships only `hashing` contains unsafe code",
        check: sources::no_unsafe,
    },
    Rule {
        name: "header",
        says: "a file opens with a sentence on its duty",
        check: sources::header,
    },
    Rule {
        name: "length",
        says: "a file has at most 600 lines",
        check: sources::length,
    },
    Rule {
        name: "unfinished",
        says: "nothing is left to do in the code",
        check: sources::unfinished,
    },
    Rule {
        name: "outside",
        says: "no file points outside the repository",
        check: tree::nothing_outside,
    },
    Rule {
        name: "top",
        says: "the top level holds what the README's map shows",
        check: tree::top_level,
    },
];

/// A place that breaks a rule. `line` counts from 1; 0 stands for the whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    path: String,
    line: usize,
    what: String,
}

impl Breach {
    fn in_file(path: &str, what: impl Into<String>) -> Self {
        Self::at(path, 0, what)
    }

    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Reads the tree and applies the table; prints every breach, and fails when there is one.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let tree = Tree::read(root)?;
    let mut count = 0;
    for rule in RULES {
        for breach in (rule.check)(&tree) {
            println!("{breach} [{}: {}]", rule.name, rule.says);
            count += 1;
        }
    }
    if count > 0 {
        bail!("tidy found {count} breaches");
    }
    Ok(())
}

/// A rule applied to a made-up tree: the breaches as `path:line: what`, for tests.
#[cfg(test)]
fn breaches(check: fn(&Tree) -> Vec<Breach>, files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::of(files))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_names_are_unique_and_each_says_something() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        assert!(RULES.iter().all(|rule| rule.says.len() > 10));
    }

    #[test]
    fn breach_shows_where() {
        assert_eq!(Breach::in_file("a.rs", "no").to_string(), "a.rs: no");
        assert_eq!(Breach::at("a.rs", 7, "no").to_string(), "a.rs:7: no");
    }
}
