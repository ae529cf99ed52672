//! The last start of each other member, kept so that an old copy of a disk is told from the disk itself (rule 5.3).
//!
//! A start names the starts that may have been recorded before it. What is recorded here must be one of them, or older than
//! all of them: this node may have been away. An entry is durable before the start is told that it is recorded.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use identity::NodeId;
use wire::nodes::StartNote;

const FILE: &str = "starts";

/// A start: how often the member had started, and the name of this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedStart {
    /// How often the member had started, this time included.
    pub starts: u64,
    /// The name of this time.
    pub nonce: u128,
}

/// Whether a start may follow the one that is recorded.
#[must_use]
pub fn may_follow(recorded: Option<RecordedStart>, note: &StartNote) -> bool {
    let Some(recorded) = recorded else {
        return true;
    };
    if recorded.nonce == note.nonce {
        return true;
    }
    // Of the starts before this one the note names the latest, in their order.
    let named = u64::try_from(note.before.len()).unwrap_or(u64::MAX);
    let first_named = note.starts.saturating_sub(named);
    if recorded.starts < first_named {
        return true;
    }
    let at = usize::try_from(recorded.starts - first_named).unwrap_or(usize::MAX);
    note.before.get(at) == Some(&recorded.nonce)
}

/// The book of one member. Blocks.
pub struct StartBook {
    folder: PathBuf,
    starts: BTreeMap<NodeId, RecordedStart>,
}

impl StartBook {
    /// The book in `folder`, or an empty one. A line that cannot be read is as if it had never been written: that member's
    /// next start is recorded anew.
    #[must_use]
    pub fn open(folder: &Path) -> StartBook {
        let text = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        StartBook {
            folder: folder.to_owned(),
            starts: text.lines().filter_map(read_line).collect(),
        }
    }

    /// Records a start of `node`, unless what is recorded contradicts it. Durable when it returns `true`.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn note(&mut self, node: NodeId, note: &StartNote) -> io::Result<bool> {
        let recorded = self.starts.get(&node).copied();
        if !may_follow(recorded, note) {
            return Ok(false);
        }
        let start = RecordedStart {
            starts: note.starts,
            nonce: note.nonce,
        };
        if recorded != Some(start) {
            let mut starts = self.starts.clone();
            starts.insert(node, start);
            write(&self.folder, &starts)?;
            self.starts = starts;
        }
        Ok(true)
    }
}

fn read_line(line: &str) -> Option<(NodeId, RecordedStart)> {
    let mut words = line.split(' ');
    let node = NodeId(words.next()?.parse().ok()?);
    let start = RecordedStart {
        starts: words.next()?.parse().ok()?,
        nonce: u128::from_str_radix(words.next()?, 16).ok()?,
    };
    words.next().is_none().then_some((node, start))
}

fn write(folder: &Path, starts: &BTreeMap<NodeId, RecordedStart>) -> io::Result<()> {
    durable_files::create_folder(folder)?;
    let lines = starts
        .iter()
        .map(|(node, start)| format!("{node} {} {:032x}\n", start.starts, start.nonce));
    durable_files::replace_file(folder, FILE, lines.collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(2);

    fn note(starts: u64, nonce: u128, before: &[u128]) -> StartNote {
        StartNote {
            starts,
            nonce,
            before: before.to_vec(),
        }
    }

    fn book(folder: &Path) -> StartBook {
        StartBook::open(folder)
    }

    #[test]
    fn starts_in_a_row_are_recorded_and_survive() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for start in [note(1, 11, &[]), note(2, 12, &[11]), note(3, 13, &[12])] {
            assert!(book(folder.path()).note(NODE, &start).expect("written"));
            // It may be told twice.
            assert!(book(folder.path()).note(NODE, &start).expect("written"));
        }
    }

    #[test]
    fn old_copy_of_a_disk_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut book = book(folder.path());
        for start in [note(1, 11, &[]), note(2, 12, &[11]), note(3, 13, &[12])] {
            assert!(book.note(NODE, &start).expect("written"));
        }
        // Copied after the first start, after the second, and wiped.
        for start in [note(2, 92, &[11]), note(3, 93, &[12]), note(1, 91, &[])] {
            assert!(
                !book.note(NODE, &start).expect("nothing to write"),
                "{start:?}"
            );
        }
        assert!(book.note(NODE, &note(4, 14, &[13])).expect("written"));
    }

    #[test]
    fn two_that_start_from_one_disk_are_told_apart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut book = book(folder.path());
        assert!(book.note(NODE, &note(1, 11, &[])).expect("written"));
        assert!(book.note(NODE, &note(2, 12, &[11])).expect("written"));
        assert!(!book.note(NODE, &note(2, 99, &[11])).expect("nothing"));
    }

    #[test]
    fn starts_that_nobody_confirmed_are_no_old_copy() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut book = book(folder.path());
        assert!(book.note(NODE, &note(1, 11, &[])).expect("written"));
        // The second and the third were told to others, or to nobody.
        assert!(
            book.note(NODE, &note(4, 14, &[11, 12, 13]))
                .expect("written")
        );
        let mut other = StartBook {
            starts: BTreeMap::from([(
                NODE,
                RecordedStart {
                    starts: 3,
                    nonce: 13,
                },
            )]),
            folder: folder.path().to_owned(),
        };
        assert!(
            other
                .note(NODE, &note(4, 14, &[11, 12, 13]))
                .expect("written")
        );
    }

    #[test]
    fn member_that_was_away_does_not_refuse() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut book = book(folder.path());
        assert!(book.note(NODE, &note(1, 11, &[])).expect("written"));
        assert!(book.note(NODE, &note(9, 19, &[18])).expect("written"));
    }
}
