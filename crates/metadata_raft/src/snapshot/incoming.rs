//! A snapshot that a peer sends: pieces in a file, checked as a whole, and taken up again where a transfer broke off.
//!
//! Must never give a snapshot away that is not, byte for byte, the one that its name says.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;

use wire::peer::SnapshotName;

use super::SnapshotFile;

/// The snapshot that is being received; at most one at a time. Everything here blocks.
pub(crate) struct Incoming {
    folder: PathBuf,
    begun: Option<Begun>,
    /// Names the files, since one may still be read when the next begins.
    count: u64,
}

struct Begun {
    name: SnapshotName,
    path: PathBuf,
    file: File,
    bytes: u64,
    sum: crc32fast::Hasher,
}

fn refused(problem: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem.into())
}

impl Incoming {
    pub(super) fn new(folder: PathBuf) -> Incoming {
        Incoming {
            folder,
            begun: None,
            count: 0,
        }
    }

    /// How many bytes of this snapshot are here.
    pub(crate) fn received(&self, name: &SnapshotName) -> u64 {
        let same = self.begun.as_ref().filter(|begun| begun.name == *name);
        same.map_or(0, |begun| begun.bytes)
    }

    /// Makes ready for bytes from `offset` on.
    pub(crate) fn begin(&mut self, name: &SnapshotName, offset: u64) -> io::Result<()> {
        if self.received(name) == offset && offset > 0 {
            return Ok(());
        }
        if offset > 0 {
            return Err(refused(format!(
                "the snapshot goes on at {offset}, and {} bytes of it are here",
                self.received(name)
            )));
        }
        if let Some(other) = self.begun.take() {
            std::fs::remove_file(other.path)?;
        }
        self.count += 1;
        let path = self.folder.join(format!("incoming-{}.new", self.count));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        self.begun = Some(Begun {
            name: name.clone(),
            path,
            file,
            bytes: 0,
            sum: crc32fast::Hasher::new(),
        });
        Ok(())
    }

    /// Takes the next bytes.
    pub(crate) fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let none = || refused("no snapshot was begun");
        let begun = self.begun.as_mut().ok_or_else(none)?;
        let bytes = begun.bytes + data.len() as u64;
        if bytes > begun.name.size {
            return Err(refused("the snapshot is longer than was announced"));
        }
        if let Err(error) = begun.file.write_all(data) {
            // Nobody knows how much of it was written.
            self.begun = None;
            return Err(error);
        }
        begun.sum.update(data);
        begun.bytes = bytes;
        Ok(())
    }

    /// The whole snapshot; what is not whole stays, for the next transfer.
    pub(crate) fn finish(&mut self) -> io::Result<SnapshotFile> {
        let whole = |begun: &mut Begun| begun.bytes == begun.name.size;
        let Some(begun) = self.begun.take_if(whole) else {
            return Err(refused("the snapshot is not whole yet"));
        };
        if begun.sum.finalize() != begun.name.crc32 {
            std::fs::remove_file(&begun.path)?;
            return Err(refused("the snapshot's checksum is wrong"));
        }
        Ok(SnapshotFile {
            file: Arc::new(begun.file),
            path: begun.path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> SnapshotName {
        SnapshotName {
            sender: 1,
            state: wire::AppliedState::default(),
            size: bytes.len() as u64,
            crc32: crc32fast::hash(bytes),
        }
    }

    #[test]
    fn transfer_that_broke_off_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut incoming = Incoming::new(folder.path().into());
        let name = name(b"all of it");
        incoming.begin(&name, 0).unwrap();
        incoming.append(b"all").unwrap();
        assert!(incoming.finish().is_err());
        assert_eq!(incoming.received(&name), 3);
        assert!(incoming.begin(&name, 2).is_err());
        incoming.begin(&name, 3).unwrap();
        incoming.append(b" of it").unwrap();
        let file = incoming.finish().unwrap();
        assert_eq!(file.piece(0, 9).unwrap(), &b"all of it"[..]);
        assert_eq!(incoming.received(&name), 0);
    }

    #[test]
    fn other_bytes_than_announced_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut incoming = Incoming::new(folder.path().into());
        let name = name(b"right");
        incoming.begin(&name, 0).unwrap();
        incoming.append(b"wrong").unwrap();
        assert!(incoming.finish().is_err());
        incoming.begin(&name, 0).unwrap();
        assert!(incoming.append(b"right and more").is_err());
        assert_eq!(incoming.received(&name), 0);
    }

    #[test]
    fn another_snapshot_takes_the_place_of_one_that_broke_off() {
        let folder = tempfile::tempdir().unwrap();
        let mut incoming = Incoming::new(folder.path().into());
        let (first, second) = (name(b"first"), name(b"second"));
        incoming.begin(&first, 0).unwrap();
        incoming.append(b"fir").unwrap();
        incoming.begin(&second, 0).unwrap();
        assert_eq!(incoming.received(&first), 0);
        incoming.append(b"second").unwrap();
        incoming.finish().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
