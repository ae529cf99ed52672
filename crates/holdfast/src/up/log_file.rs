//! What a node said: in a file that is bounded, with the last lines at hand for whoever wants to know why it ended.
//!
//! ```text
//! <name>/log/node.log      what it says
//! <name>/log/node.log.1    what it said before that
//! ```

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A file is set aside when it is so long; there are two of them.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// How many of the last lines are kept.
const LAST_LINES: usize = 8;

/// A longer line is cut.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The log of one node. Clones write to the same one.
#[derive(Debug, Clone)]
pub struct LogFile {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    file: File,
    bytes: u64,
    last: VecDeque<String>,
}

impl LogFile {
    /// Goes on with the log in the data folder of a node.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(folder: &Path) -> io::Result<LogFile> {
        let folder = folder.join("log");
        fs::create_dir_all(&folder)?;
        let path = folder.join("node.log");
        let (file, bytes) = append_to(&path)?;
        Ok(LogFile {
            path,
            state: Arc::new(Mutex::new(State {
                file,
                bytes,
                last: VecDeque::new(),
            })),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines of this start of the node.
    pub fn last_lines(&self) -> Vec<String> {
        self.state.lock().last.iter().cloned().collect()
    }

    /// Takes over everything that comes until the end. A log that cannot be written stops nobody: the node goes on.
    pub async fn keep(self, from: impl AsyncRead + Unpin) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(true) = read_line(&mut from, &mut line).await {
            let _ = self.add(&line);
        }
    }

    fn add(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.last.len() == LAST_LINES {
            state.last.pop_front();
        }
        state
            .last
            .push_back(String::from_utf8_lossy(line).trim_end().to_owned());
        if state.bytes + line.len() as u64 > FILE_BYTES_MAX {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            (state.file, state.bytes) = append_to(&self.path)?;
        }
        state.bytes += line.len() as u64;
        state.file.write_all(line)
    }
}

fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// The next line with its end, cut where it is too long; says whether there was one.
async fn read_line(
    from: &mut (impl AsyncBufReadExt + Unpin),
    line: &mut Vec<u8>,
) -> io::Result<bool> {
    line.clear();
    loop {
        let there = from.fill_buf().await?;
        if there.is_empty() {
            break;
        }
        let end = there.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(there.len(), |end| end + 1);
        let room = LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(&there[..count.min(room)]);
        from.consume(count);
        if end.is_some() {
            break;
        }
    }
    if line.is_empty() {
        return Ok(false);
    }
    if line.last() != Some(&b'\n') {
        line.push(b'\n');
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn log_is_bounded_and_its_last_lines_are_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::open(folder.path()).unwrap();
        let long = "x".repeat(20_000);
        let mut text = String::new();
        for number in 0..2_000 {
            text.push_str(&format!("{number} {long}\n"));
        }
        text.push_str("the end");
        log.clone().keep(text.as_bytes()).await;
        let last = log.last_lines();
        assert_eq!(last.len(), LAST_LINES);
        assert_eq!(last.last().unwrap(), "the end");
        let bytes = |name: &str| {
            fs::metadata(folder.path().join("log").join(name))
                .unwrap()
                .len()
        };
        assert!(bytes("node.log") <= FILE_BYTES_MAX && bytes("node.log.1") <= FILE_BYTES_MAX);
        let kept = fs::read_to_string(log.path()).unwrap();
        assert!(kept.ends_with("the end\n"));
        // The next start goes on with it.
        let next = LogFile::open(folder.path()).unwrap();
        assert_eq!(next.last_lines(), [""; 0]);
        next.clone().keep(&b"again"[..]).await;
        assert!(
            fs::read_to_string(next.path())
                .unwrap()
                .ends_with("the end\nagain\n")
        );
    }
}
