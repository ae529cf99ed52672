//! What happened, line by line: always as a hash, by which two runs are compared, and as text where somebody reads it.

use std::fmt::{self, Write};

use parking_lot::Mutex;

use crate::machine::{elapsed, mix};

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    hash: Hash,
    lines: Option<Vec<String>>,
}

#[derive(Debug)]
struct Hash(u64);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = mix(self.0 ^ u64::from_le_bytes(word));
        }
        Ok(())
    }
}

impl Trace {
    /// Nothing yet. `keeps_text`: the lines are kept, not only their hash.
    #[must_use]
    pub fn new(keeps_text: bool) -> Trace {
        Trace {
            inner: Mutex::new(Inner {
                hash: Hash(0),
                lines: keeps_text.then(Vec::new),
            }),
        }
    }

    /// Whether lines are kept.
    #[must_use]
    pub fn keeps_text(&self) -> bool {
        self.inner.lock().lines.is_some()
    }

    /// Adds a line.
    pub fn note(&self, line: fmt::Arguments<'_>) {
        let ms = elapsed().as_millis() as u64;
        let inner = &mut *self.inner.lock();
        inner.hash.0 = mix(inner.hash.0 ^ ms);
        // A hash takes any text.
        let _ = inner.hash.write_fmt(line);
        if let Some(lines) = &mut inner.lines {
            lines.push(format!("{:>4}.{:03} {line}", ms / 1000, ms % 1000));
        }
    }

    /// The hash of all lines so far, and when each came.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.inner.lock().hash.0
    }

    /// The lines, if they are kept.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.inner.lock().lines.clone().unwrap_or_default()
    }
}
