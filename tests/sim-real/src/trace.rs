//! What happened in a run: a hash over everything, which two runs of one seed must share, and lines for people.

use parking_lot::Mutex;

use crate::machine::now_ms;

/// The last lines that are kept for a failure.
const LINES_KEPT: usize = 4_000;

#[derive(Default)]
struct Inner {
    hash: u64,
    events: u64,
    lines: std::collections::VecDeque<String>,
}

/// See the module.
#[derive(Default)]
pub struct Trace {
    inner: Mutex<Inner>,
    /// Whether each line is printed at once.
    pub prints: bool,
}

fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

impl Inner {
    fn add(&mut self, bytes: &[u8]) {
        self.events += 1;
        let mut hash = mix(self.hash, now_ms());
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = mix(hash, u64::from_le_bytes(word));
        }
        self.hash = mix(hash, bytes.len() as u64);
    }
}

impl Trace {
    /// One whose lines are printed, or not.
    #[must_use]
    pub fn new(prints: bool) -> Trace {
        Trace {
            prints,
            ..Trace::default()
        }
    }

    /// Bytes were put on a wire.
    pub fn bytes(&self, wire: u64, (from, to): (u64, u64), bytes: &[u8]) {
        let mut inner = self.inner.lock();
        inner.add(&wire.to_le_bytes());
        inner.add(bytes);
        if self.prints {
            println!(
                "{:7} {from}>{to} wire {wire} {} bytes, {:016x}",
                now_ms(),
                bytes.len(),
                inner.hash
            );
        }
    }

    /// Something happened that people want to read.
    pub fn line(&self, line: impl Into<String>) {
        let line = line.into();
        let mut inner = self.inner.lock();
        inner.add(line.as_bytes());
        let line = format!("{:7} {line}", now_ms());
        if self.prints {
            println!("{line}");
        }
        if inner.lines.len() == LINES_KEPT {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// The hash over everything so far, and of how much.
    #[must_use]
    pub fn hash(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.hash, inner.events)
    }

    /// The last lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.inner.lock().lines.iter().cloned().collect()
    }
}
