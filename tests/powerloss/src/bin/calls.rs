//! Makes one call on files below a folder and dies: `powerloss-calls CALL ROOT [sync]`. With `sync` everything is made
//! durable before. `tests/calls.rs` starts it with the library loaded and looks at what is left.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// One call.
type Case = (&'static str, fn(&Path) -> io::Result<()>);

/// Turns what a call gives into a result.
macro_rules! c {
    ($call:expr) => {{
        // SAFETY: the arguments are live values of this scope.
        let value = unsafe { $call };
        if value < 0 {
            return Err(io::Error::last_os_error());
        }
        value
    }};
}

fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

fn writable(root: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .open(root.join("old"))
}

fn folder(root: &Path) -> io::Result<File> {
    File::open(root)
}

const CASES: &[Case] = &[
    ("open", |root| {
        let path = text(&root.join("new"));
        c!(libc::open(
            path.as_ptr(),
            libc::O_CREAT | libc::O_WRONLY,
            0o644
        ));
        Ok(())
    }),
    ("openat", |root| {
        let folder = folder(root)?;
        c!(libc::openat(
            folder.as_raw_fd(),
            c"new".as_ptr(),
            libc::O_CREAT | libc::O_WRONLY,
            0o644
        ));
        Ok(())
    }),
    ("open of a relative path", |root| {
        std::env::set_current_dir(root)?;
        File::create("new").map(drop)
    }),
    ("creat", |root| {
        let path = text(&root.join("old"));
        c!(libc::creat(path.as_ptr(), 0o644));
        Ok(())
    }),
    ("truncating open", |root| {
        File::create(root.join("old")).map(drop)
    }),
    ("write", |root| writable(root)?.write_all(b"written over")),
    ("write at the end", |root| {
        let mut file = writable(root)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(b"more")
    }),
    ("write to a file opened to append", |root| {
        let mut file = File::options().append(true).open(root.join("old"))?;
        file.write_all(b"more")
    }),
    ("write to a file opened to write only", |root| {
        let mut file = File::options().write(true).open(root.join("old"))?;
        file.write_all(b"written over")
    }),
    ("writev", |root| {
        let slices = [io::IoSlice::new(b"one"), io::IoSlice::new(b"two")];
        writable(root)?.write_vectored(&slices).map(drop)
    }),
    ("pwrite", |root| writable(root)?.write_all_at(b"far", 9_000)),
    ("pwritev", |root| {
        let part = libc::iovec {
            iov_base: c"vector".as_ptr().cast_mut().cast(),
            iov_len: 6,
        };
        c!(libc::pwritev(
            writable(root)?.as_raw_fd(),
            &raw const part,
            1,
            3
        ));
        Ok(())
    }),
    ("pwritev2", |root| {
        let part = libc::iovec {
            iov_base: c"vector".as_ptr().cast_mut().cast(),
            iov_len: 6,
        };
        c!(libc::pwritev2(
            writable(root)?.as_raw_fd(),
            &raw const part,
            1,
            3,
            0
        ));
        Ok(())
    }),
    ("ftruncate to less", |root| writable(root)?.set_len(2)),
    ("ftruncate to more", |root| writable(root)?.set_len(10_000)),
    ("truncate", |root| {
        let path = text(&root.join("old"));
        c!(libc::truncate(path.as_ptr(), 3));
        Ok(())
    }),
    ("fallocate", |root| {
        c!(libc::fallocate(writable(root)?.as_raw_fd(), 0, 0, 10_000));
        Ok(())
    }),
    ("fallocate of a hole", |root| {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        c!(libc::fallocate(writable(root)?.as_raw_fd(), mode, 0, 4096));
        Ok(())
    }),
    ("posix_fallocate", |root| {
        c!(-libc::posix_fallocate(
            writable(root)?.as_raw_fd(),
            0,
            10_000
        ));
        Ok(())
    }),
    ("copy_file_range", |root| {
        let (from, to) = (File::open(root.join("sub/other"))?, writable(root)?);
        c!(libc::copy_file_range(
            from.as_raw_fd(),
            std::ptr::null_mut(),
            to.as_raw_fd(),
            std::ptr::null_mut(),
            5,
            0
        ));
        Ok(())
    }),
    ("sendfile", |root| {
        let (from, to) = (File::open(root.join("sub/other"))?, writable(root)?);
        c!(libc::sendfile(
            to.as_raw_fd(),
            from.as_raw_fd(),
            std::ptr::null_mut(),
            5
        ));
        Ok(())
    }),
    ("copy of the standard library", |root| {
        fs::copy(root.join("sub/other"), root.join("old")).map(drop)
    }),
    ("write through dup", |root| {
        let file = writable(root)?;
        let other = c!(libc::dup(file.as_raw_fd()));
        drop(file);
        // SAFETY: it was just made, and nobody else has it.
        unsafe { File::from_raw_fd(other) }.write_all(b"written over")
    }),
    ("write through dup2", |root| {
        let file = writable(root)?;
        let other = c!(libc::dup2(file.as_raw_fd(), 77));
        drop(file);
        // SAFETY: it was just made, and nobody else has it.
        unsafe { File::from_raw_fd(other) }.write_all(b"written over")
    }),
    ("write through fcntl", |root| {
        writable(root)?.try_clone()?.write_all(b"written over")
    }),
    ("unlink", |root| fs::remove_file(root.join("old"))),
    ("unlinkat", |root| {
        c!(libc::unlinkat(
            folder(root)?.as_raw_fd(),
            c"old".as_ptr(),
            0
        ));
        Ok(())
    }),
    ("remove", |root| {
        let path = text(&root.join("old"));
        c!(libc::remove(path.as_ptr()));
        Ok(())
    }),
    ("rmdir", |root| fs::remove_dir(root.join("empty"))),
    ("remove_dir_all of the standard library", |root| {
        fs::remove_dir_all(root.join("sub"))
    }),
    // The C library closes a folder that it read past this crate, and the next descriptor has its number.
    ("write to a connection after a removed folder", |root| {
        fs::remove_dir_all(root.join("sub"))?;
        let (mut one, mut other) = UnixStream::pair()?;
        let sent = one.write_vectored(&[IoSlice::new(b"he"), IoSlice::new(b"llo")])?;
        other.read_exact(&mut vec![0; sent])
    }),
    ("mkdir", |root| fs::create_dir(root.join("folder"))),
    ("mkdirat", |root| {
        c!(libc::mkdirat(
            folder(root)?.as_raw_fd(),
            c"folder".as_ptr(),
            0o755
        ));
        Ok(())
    }),
    ("a tree", |root| {
        fs::create_dir_all(root.join("a/b"))?;
        fs::write(root.join("a/b/c"), b"new")
    }),
    ("link", |root| {
        fs::hard_link(root.join("old"), root.join("again"))
    }),
    ("linkat", |root| {
        let folder = folder(root)?;
        let fd = folder.as_raw_fd();
        c!(libc::linkat(fd, c"old".as_ptr(), fd, c"again".as_ptr(), 0));
        Ok(())
    }),
    ("rename", |root| {
        fs::rename(root.join("old"), root.join("moved"))
    }),
    ("rename over another", |root| {
        fs::rename(root.join("old"), root.join("sub/other"))
    }),
    ("rename of a folder", |root| {
        fs::rename(root.join("sub"), root.join("elsewhere"))
    }),
    ("renameat", |root| {
        let folder = folder(root)?;
        let fd = folder.as_raw_fd();
        c!(libc::renameat(fd, c"old".as_ptr(), fd, c"moved".as_ptr()));
        Ok(())
    }),
    ("renameat2", |root| {
        let folder = folder(root)?;
        let fd = folder.as_raw_fd();
        c!(libc::renameat2(
            fd,
            c"old".as_ptr(),
            fd,
            c"moved".as_ptr(),
            libc::RENAME_NOREPLACE
        ));
        Ok(())
    }),
    ("a file replaced by another", |root| {
        fs::write(root.join("fresh"), b"fresh")?;
        fs::rename(root.join("fresh"), root.join("old"))
    }),
    ("a file written, renamed and written", |root| {
        let mut file = writable(root)?;
        file.write_all(b"one")?;
        fs::rename(root.join("old"), root.join("sub/old"))?;
        file.write_all(b"two")
    }),
];

/// Calls that must fail or be durable by themselves; they say what was wrong.
fn special(call: &str, root: &Path) -> Option<io::Result<()>> {
    Some(match call {
        "mmap" => (|| {
            let file = writable(root)?;
            let flags = libc::MAP_SHARED;
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: nothing is mapped over what is there, and the mapping is not used.
            let mapped = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    4096,
                    protection,
                    flags,
                    file.as_raw_fd(),
                    0,
                )
            };
            if mapped == libc::MAP_FAILED {
                Ok(())
            } else {
                Err(io::Error::other("it was mapped"))
            }
        })(),
        "O_DSYNC" => (|| {
            let mut file = File::options()
                .write(true)
                .custom_flags(libc::O_DSYNC)
                .open(root.join("old"))?;
            file.write_all(b"durable")
        })(),
        "fsync of the file alone" => (|| {
            let mut file = File::create(root.join("new"))?;
            file.write_all(b"new")?;
            file.sync_all()
        })(),
        "fdatasync" => (|| {
            let mut file = writable(root)?;
            file.write_all(b"durable")?;
            file.sync_data()?;
            file.write_all(b"and not")
        })(),
        _ => return None,
    })
}

fn sync_all(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            let mut file = File::open(entry.path())?;
            file.read_to_end(&mut Vec::new())?;
            file.sync_all()?;
        }
    }
    File::open(path)?.sync_all()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (call, root, syncs) = match words[..] {
        ["list"] => {
            for (name, _) in CASES {
                println!("{name}");
            }
            return;
        }
        [call, root] => (call, root, false),
        [call, root, "sync"] => (call, root, true),
        _ => panic!("powerloss-calls CALL ROOT [sync]"),
    };
    let root = Path::new(root);
    let made = special(call, root).unwrap_or_else(|| {
        let case = CASES.iter().find(|(name, _)| *name == call);
        case.expect("a call of the list").1(root)
    });
    made.expect("the call can be made");
    if syncs {
        sync_all(root).expect("everything can be synced");
    }
    // SAFETY: it ends this process, as the loss of power does.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}
