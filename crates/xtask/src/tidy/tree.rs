//! The tree as text: every file that git would keep, and the rules about the tree as a whole.
//!
//! Ignored files (build output, data folders) are not part of it, files not yet added are.

use std::path::Path;

use anyhow::Context as _;

use super::Breach;
use crate::run;

/// What may stand at the top; everything else has a place below. Dot-files are free.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "crates",
    "deploy",
    "docs",
    "loadtest",
    "proto",
    "tests",
];

/// One file: its path from the root with `/`, and its text.
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    /// Lines with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// All files, in the order of their paths.
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// Reads what git tracks or would track. Files that are not text are left out.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let listing = [
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ];
        let names = run::output_of(run::command("git", listing).current_dir(root))
            .context("tidy reads git's list of files")?;
        let mut files = Vec::new();
        for path in names.split_terminator('\0') {
            let bytes = match std::fs::read(root.join(path)) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
            };
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A made-up tree.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        });
        Self {
            files: files.collect(),
        }
    }

    /// All Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }
}

/// Rule `top`: only the entries of [`TOP_LEVEL`] and dot-files stand at the root.
pub fn top_level(tree: &Tree) -> Vec<Breach> {
    let mut tops: Vec<&str> = tree
        .files
        .iter()
        .filter_map(|file| file.path.split('/').next())
        .collect();
    tops.dedup();
    tops.retain(|top| !top.starts_with('.') && !TOP_LEVEL.contains(top));
    tops.into_iter()
        .map(|top| Breach::in_file(top, "does not belong at the top level"))
        .collect()
}

/// Rule `outside`: no text names a folder beside the repository or a place on one developer's machine.
pub fn nothing_outside(tree: &Tree) -> Vec<Breach> {
    // Put together here, so that this file does not break its own rule.
    let places = [
        ["../", "shared"].concat(),
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
    ];
    let mut breaches = Vec::new();
    for file in &tree.files {
        for (number, line) in file.lines() {
            if let Some(place) = places.iter().find(|place| names_place(line, place)) {
                breaches.push(Breach::at(
                    &file.path,
                    number,
                    format!("`{place}` exists on one machine only"),
                ));
            }
        }
    }
    breaches
}

/// Whether the line names the place itself, and not a longer path that ends in it (`deploy/root/` is ours).
fn names_place(line: &str, place: &str) -> bool {
    let inside_path = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}');
    line.match_indices(place)
        .any(|(at, _)| !line[..at].ends_with(inside_path))
}

#[cfg(test)]
mod tests {
    use super::super::breaches;
    use super::*;

    #[test]
    fn stranger_at_the_top_is_found_once() {
        let found = breaches(
            top_level,
            &[
                (".ci/run", ""),
                ("README.md", ""),
                ("src/a.rs", ""),
                ("src/b.rs", ""),
            ],
        );
        assert_eq!(found, ["src: does not belong at the top level"]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let text = format!(
            "fine\nsee {}x and\n{}y\n",
            ["../", "shared/"].concat(),
            ["/ro", "ot/"].concat()
        );
        let found = breaches(nothing_outside, &[("docs/a.md", &text)]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("docs/a.md:2: "), "{found:?}");
        assert!(found[1].starts_with("docs/a.md:3: "), "{found:?}");
    }

    #[test]
    fn folder_of_that_name_inside_the_tree_is_fine() {
        let text = format!(
            "deploy{}x, $dir{}y",
            ["/ro", "ot/"].concat(),
            ["/wo", "rk/"].concat()
        );
        assert_eq!(breaches(nothing_outside, &[("a.md", &text)]), [""; 0]);
    }
}
