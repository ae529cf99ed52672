//! A small disk of its own for a node: a file system in memory, which a test fills up and empties. Mounting wants root.
//!
//! It is taken away when it is dropped, and also when the test program is killed.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::tools;

/// What takes the room away.
const FILLER: &str = "filler";

/// Waits for the end of whoever holds its standard input, and takes the disk away.
const TAKE_AWAY: &str = "read -r _; umount -l \"$0\"";

/// A mounted disk.
pub struct Disk {
    path: PathBuf,
    keeper: Child,
}

impl Disk {
    /// Mounts one of so many bytes at this folder, which is made.
    pub fn mount(path: &Path, bytes: u64) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}")]);
        tools::run(mount.args(["holdfast-test"]).arg(path))?;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", TAKE_AWAY]).arg(path);
        // A group of its own: whoever kills the test's group must not kill this.
        keeper.stdin(Stdio::piped()).process_group(0);
        Ok(Self {
            path: path.to_owned(),
            keeper: keeper.spawn()?,
        })
    }

    /// How many bytes are free.
    pub fn free(&self) -> anyhow::Result<u64> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// Takes room away until so many bytes are free, or fewer.
    pub fn fill(&self, leave: u64) -> anyhow::Result<()> {
        static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut filler = File::options()
            .append(true)
            .create(true)
            .open(self.path.join(FILLER))?;
        while self.free()? > leave {
            match filler.write(&BLOCK) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives the room back.
    pub fn empty(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.path.join(FILLER))?;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It has nothing to say, and nobody could do anything about it.
        let _ = self.keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_is_filled_emptied_and_taken_away() {
        if !rustix::process::geteuid().is_root() {
            // Mounting is root's; the suites that need it say so.
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::mount(folder.path(), 4 << 20).unwrap();
        disk.fill(1 << 20).unwrap();
        assert!(disk.free().unwrap() <= 1 << 20);
        disk.fill(0).unwrap();
        assert_eq!(disk.free().unwrap(), 0);
        disk.empty().unwrap();
        assert!(disk.free().unwrap() > 3 << 20);
        std::fs::write(folder.path().join("kept"), "").unwrap();
        drop(disk);
        assert!(!folder.path().join("kept").exists());
    }
}
