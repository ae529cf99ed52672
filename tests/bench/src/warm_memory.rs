//! Memory that the machine has at hand, for a server that is about to fill the page cache.
//!
//! A virtual machine may get memory from its host at the first touch, and give free memory back within seconds (free
//! page reporting). The touch then costs ten times what the copy does, in the time of whoever writes a file, and the
//! figure would be the host's. So the memory is taken before, and set free little by little while it is needed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How much is set free at once, and how often: faster than a server writes, and so that little lies idle.
const STEP_BYTES: u64 = 16 << 20;
const STEP_TIME: Duration = Duration::from_millis(10);

/// Pages of the page cache, held by a file.
pub struct WarmMemory {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl WarmMemory {
    /// Takes memory for so many bytes.
    pub fn take(path: &Path, bytes: u64) -> io::Result<WarmMemory> {
        let mut file = File::create(path)?;
        io::copy(&mut io::Read::take(io::repeat(1), bytes), &mut file)?;
        file.flush()?;
        // Dirty pages are given free only after they were written.
        file.sync_all()?;
        Ok(WarmMemory {
            path: path.to_owned(),
            file,
            bytes,
        })
    }

    /// Sets the memory free while `work` runs.
    pub fn release_during<T>(self, work: impl FnOnce() -> T) -> io::Result<T> {
        let done = AtomicBool::new(false);
        let (result, released) = std::thread::scope(|scope| {
            let releasing = scope.spawn(|| self.release(&done));
            let result = work();
            done.store(true, Ordering::Relaxed);
            (result, releasing.join())
        });
        released.map_err(|_| io::Error::other("the memory could not be set free"))??;
        std::fs::remove_file(&self.path)?;
        Ok(result)
    }

    fn release(&self, done: &AtomicBool) -> io::Result<()> {
        let mut left = self.bytes;
        while left > 0 && !done.load(Ordering::Relaxed) {
            left = left.saturating_sub(STEP_BYTES);
            self.file.set_len(left)?;
            std::thread::sleep(STEP_TIME);
        }
        Ok(())
    }
}
