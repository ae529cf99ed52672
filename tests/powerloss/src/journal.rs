//! The journal: what was there before each change that is not durable yet. It is a file, so that it outlives the process,
//! and it is emptied whenever everything is durable.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use libc::c_int;

use crate::system;

/// A file or a folder, for as long as it has a name or is open.
pub(crate) type Inode = u64;

/// One change, or what makes changes durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// `len` bytes from `at` on are written; `old` of them were there before, in a file of `size` bytes.
    Wrote {
        file: Inode,
        at: u64,
        len: u64,
        size: u64,
        old: Vec<u8>,
    },
    /// The file is made `new` bytes long; `size` before. `old` is what is cut off.
    Cut {
        file: Inode,
        new: u64,
        size: u64,
        old: Vec<u8>,
    },
    /// Everything of the file is durable.
    Synced { file: Inode },
    /// A name for a new file or folder, or one more for an old one.
    Named {
        folder: Inode,
        name: Vec<u8>,
        what: Inode,
        is_folder: bool,
    },
    /// A name is gone; the file is kept under a number.
    Unnamed {
        folder: Inode,
        name: Vec<u8>,
        what: Inode,
        grave: Option<u64>,
    },
    /// A name has become another, whose file, if there was one, is kept under a number.
    Renamed {
        from: Inode,
        name: Vec<u8>,
        to: Inode,
        other: Vec<u8>,
        what: Inode,
        grave: Option<u64>,
    },
    /// The names in the folder are durable.
    FolderSynced { folder: Inode },
    /// This number is another file's now.
    Begins { file: Inode },
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = usize::try_from(self.number()?).ok()?;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head.to_vec())
    }

    fn grave(&mut self) -> Option<Option<u64>> {
        Some(self.number()?.checked_sub(1))
    }
}

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, &[bytes.len() as u64]);
    out.extend_from_slice(bytes);
}

fn grave_number(grave: Option<u64>) -> u64 {
    grave.map_or(0, |grave| grave + 1)
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; 8];
        match self {
            Record::Wrote {
                file,
                at,
                len,
                size,
                old,
            } => {
                put(&mut out, &[1, *file, *at, *len, *size]);
                put_bytes(&mut out, old);
            }
            Record::Cut {
                file,
                new,
                size,
                old,
            } => {
                put(&mut out, &[2, *file, *new, *size]);
                put_bytes(&mut out, old);
            }
            Record::Synced { file } => put(&mut out, &[3, *file]),
            Record::Named {
                folder,
                name,
                what,
                is_folder,
            } => {
                put(&mut out, &[4, *folder, *what, u64::from(*is_folder)]);
                put_bytes(&mut out, name);
            }
            Record::Unnamed {
                folder,
                name,
                what,
                grave,
            } => {
                put(&mut out, &[5, *folder, *what, grave_number(*grave)]);
                put_bytes(&mut out, name);
            }
            Record::Renamed {
                from,
                name,
                to,
                other,
                what,
                grave,
            } => {
                put(&mut out, &[6, *from, *to, *what, grave_number(*grave)]);
                put_bytes(&mut out, name);
                put_bytes(&mut out, other);
            }
            Record::FolderSynced { folder } => put(&mut out, &[7, *folder]),
            Record::Begins { file } => put(&mut out, &[8, *file]),
        }
        let len = (out.len() - 8) as u64;
        out[..8].copy_from_slice(&len.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Record> {
        let mut bytes = Bytes(bytes);
        Some(match bytes.number()? {
            1 => Record::Wrote {
                file: bytes.number()?,
                at: bytes.number()?,
                len: bytes.number()?,
                size: bytes.number()?,
                old: bytes.bytes()?,
            },
            2 => Record::Cut {
                file: bytes.number()?,
                new: bytes.number()?,
                size: bytes.number()?,
                old: bytes.bytes()?,
            },
            3 => Record::Synced {
                file: bytes.number()?,
            },
            4 => Record::Named {
                folder: bytes.number()?,
                what: bytes.number()?,
                is_folder: bytes.number()? == 1,
                name: bytes.bytes()?,
            },
            5 => Record::Unnamed {
                folder: bytes.number()?,
                what: bytes.number()?,
                grave: bytes.grave()?,
                name: bytes.bytes()?,
            },
            6 => Record::Renamed {
                from: bytes.number()?,
                to: bytes.number()?,
                what: bytes.number()?,
                grave: bytes.grave()?,
                name: bytes.bytes()?,
                other: bytes.bytes()?,
            },
            7 => Record::FolderSynced {
                folder: bytes.number()?,
            },
            8 => Record::Begins {
                file: bytes.number()?,
            },
            _ => return None,
        })
    }
}

/// Where the files are kept whose names are gone.
pub(crate) fn graves(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".graves");
    PathBuf::from(name)
}

/// The file a number stands for.
pub(crate) fn grave_name(grave: u64) -> CString {
    CString::new(grave.to_string()).unwrap_or_default()
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    fd: c_int,
    /// The folder of graves.
    pub(crate) graves: c_int,
    is_empty: bool,
}

impl Journal {
    /// Opens it, or makes it; what is in it already stays.
    pub(crate) fn open(path: &Path) -> Option<Journal> {
        let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_APPEND | libc::O_CLOEXEC;
        let fd = system::open(&system::c_path(path), flags, 0o600).ok()?;
        let folder = system::c_path(&graves(path));
        // It may be there.
        let _ = system::make_folder_at(libc::AT_FDCWD, &folder);
        let flags = libc::O_DIRECTORY | libc::O_CLOEXEC;
        Some(Journal {
            fd,
            graves: system::open(&folder, flags, 0).ok()?,
            is_empty: false,
        })
    }

    pub(crate) fn add(&mut self, record: &Record) {
        // Without its journal the disk would only be a better one.
        let _ = system::append(self.fd, &record.encode());
        self.is_empty = false;
    }

    /// Nothing in it counts any more.
    pub(crate) fn clear(&mut self) {
        if !self.is_empty {
            let _ = system::set_len(self.fd, 0);
            self.is_empty = true;
        }
    }

    pub(crate) fn close(&self) {
        system::close(self.fd);
        system::close(self.graves);
    }
}

/// Every record of a journal whose process is dead; the last one may be cut off.
pub(crate) fn read(bytes: &[u8]) -> Vec<Record> {
    let mut rest = Bytes(bytes);
    let mut records = Vec::new();
    while let Some(record) = rest.bytes() {
        records.extend(Record::decode(&record));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let records = [
            Record::Wrote {
                file: 1,
                at: 2,
                len: 3,
                size: 4,
                old: b"abc".to_vec(),
            },
            Record::Cut {
                file: 1,
                new: 2,
                size: 4,
                old: Vec::new(),
            },
            Record::Synced { file: 9 },
            Record::Named {
                folder: 5,
                name: b"a".to_vec(),
                what: 6,
                is_folder: true,
            },
            Record::Unnamed {
                folder: 5,
                name: b"a".to_vec(),
                what: 6,
                grave: Some(0),
            },
            Record::Renamed {
                from: 1,
                name: b"a".to_vec(),
                to: 2,
                other: b"b".to_vec(),
                what: 3,
                grave: None,
            },
            Record::FolderSynced { folder: 4 },
            Record::Begins { file: 4 },
        ];
        let mut bytes: Vec<u8> = records.iter().flat_map(Record::encode).collect();
        assert_eq!(read(&bytes), records);
        bytes.pop();
        assert_eq!(read(&bytes), records[..7]);
    }
}
