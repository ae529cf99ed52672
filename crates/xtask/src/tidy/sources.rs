//! Rules about single Rust files: what they open with, how long they are, what they must not contain.

use super::manifests::UNSAFE_CRATES;
use super::{Breach, File, Tree, code};

const LINES_MAX: usize = 600;

/// A header shorter than this says a name, not a duty.
const HEADER_WORDS_MIN: usize = 4;

/// Rule `header`: a file opens with `//!` and a whole sentence.
pub fn header(tree: &Tree) -> Vec<Breach> {
    let poor = tree.rust().filter(|file| !has_header(&file.text));
    poor.map(|file| {
        Breach::at(
            &file.path,
            1,
            "open with `//!` and a sentence on what the file is for",
        )
    })
    .collect()
}

fn has_header(text: &str) -> bool {
    let header: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .collect();
    let words = header.iter().flat_map(|line| line.split_whitespace());
    let first = header.iter().take_while(|line| !line.is_empty()).last();
    let ends = first.is_some_and(|line| line.trim_end().ends_with(['.', ':']));
    ends && words.count() >= HEADER_WORDS_MIN
}

/// Rule `length`: a longer file usually holds two ideas.
pub fn length(tree: &Tree) -> Vec<Breach> {
    let lines = |file: &File| file.text.lines().count();
    let long = tree.rust().filter(|file| lines(file) > LINES_MAX);
    long.map(|file| {
        Breach::in_file(
            &file.path,
            format!("{} lines: find the seam between its ideas", lines(file)),
        )
    })
    .collect()
}

/// Rule `unfinished`: no notes to oneself, no holes, no tests that do not run.
pub fn unfinished(tree: &Tree) -> Vec<Breach> {
    // Put together here, so that this file does not break its own rule.
    let notes = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let holes = [
        ["to", "do!"].concat(),
        ["unimple", "mented!"].concat(),
        ["#[ig", "nore"].concat(),
    ];
    let mut breaches = Vec::new();
    for file in tree.rust() {
        let code = code::only(&file.text);
        for ((number, line), code) in file.lines().zip(code.lines()) {
            let note = notes.iter().find(|note| code::has_word(line, note));
            let hole = holes.iter().find(|hole| code.contains(hole.as_str()));
            if let Some(what) = note.or(hole) {
                breaches.push(Breach::at(
                    &file.path,
                    number,
                    format!("`{what}`: finish it, or open an issue"),
                ));
            }
        }
    }
    breaches
}

/// Rule `unsafe`: a few small crates defend their unsafe code in their headers, every other has none.
pub fn no_unsafe(tree: &Tree) -> Vec<Breach> {
    let is_home = |path: &str| UNSAFE_CRATES.iter().any(|(_, home)| path.starts_with(home));
    let mut breaches = Vec::new();
    for file in tree.rust().filter(|file| !is_home(&file.path)) {
        for (index, line) in code::only(&file.text).lines().enumerate() {
            if code::has_word(line, "unsafe") {
                breaches.push(Breach::at(
                    &file.path,
                    index + 1,
                    "unsafe code belongs to `hashing`".to_owned(),
                ));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::breaches;
    use super::*;

    const PATH: &str = "crates/oci/src/a.rs";

    #[test]
    fn header_is_a_sentence_in_the_first_line() {
        for good in [
            "//! Parses a digest, and never panics.\n",
            "//! One two three four\n//! five.\n//!\n//! More",
        ] {
            assert_eq!(breaches(header, &[(PATH, good)]), [""; 0], "{good}");
        }
        for poor in [
            "",
            "//! oci.\n",
            "use a;\n//! Parses a digest, and never panics.",
            "//! No end to these five words\n",
        ] {
            assert_eq!(breaches(header, &[(PATH, poor)]).len(), 1, "{poor}");
        }
    }

    #[test]
    fn file_of_601_lines_is_too_long() {
        assert_eq!(breaches(length, &[(PATH, &"x\n".repeat(600))]), [""; 0]);
        assert_eq!(breaches(length, &[(PATH, &"x\n".repeat(601))]).len(), 1);
    }

    #[test]
    fn notes_and_holes_are_found_and_prose_is_not() {
        let hole = ["fn a() { to", "do!() }"].concat();
        let note = ["// TO", "DO: later"].concat();
        let ignored = ["#[ig", "nore = \"slow\"]"].concat();
        for text in [&hole, &note, &ignored] {
            assert_eq!(breaches(unfinished, &[(PATH, text)]).len(), 1, "{text}");
        }
        assert_eq!(
            breaches(
                unfinished,
                &[(PATH, "// a todo list is a word\nlet x = \"#[ignored]\";")]
            ),
            [""; 0]
        );
    }

    #[test]
    fn unsafe_code_is_found_where_it_does_not_belong() {
        let text = "fn a() {\n    unsafe { b() }\n}\n";
        assert_eq!(
            breaches(no_unsafe, &[(PATH, text)]),
            [format!("{PATH}:2: unsafe code belongs to `hashing`")]
        );
        assert_eq!(
            breaches(no_unsafe, &[("crates/hashing/src/a.rs", text)]),
            [""; 0]
        );
        assert_eq!(
            breaches(no_unsafe, &[(PATH, "// unsafe\n#![forbid(unsafe_code)]")]),
            [""; 0]
        );
    }
}
