//! The C library's calls on files, defined once more: they note what has to be noted and then ask the system.
//!
//! Calls that change names: `open`, `openat`, `creat`, `rename`, `renameat`, `renameat2`, `unlink`, `unlinkat`, `remove`,
//! `rmdir`, `mkdir`, `mkdirat`, `link`, `linkat`. Bytes: `write`, `writev`, `pwrite`, `pwritev`, `pwritev2`, `ftruncate`,
//! `truncate`, `fallocate`, `posix_fallocate`, `copy_file_range`, `sendfile`; `splice` into a file and `mmap` of one for
//! writing are refused. What makes durable: `fsync`, `fdatasync`, and files opened with `O_SYNC` or `O_DSYNC`; `sync`,
//! `syncfs` and `sync_file_range` promise less than that here and make nothing durable. Descriptors: `close`, `dup`, `dup2`,
//! `dup3`, `fcntl`, `close_range`. Each with its form for large files.

#![allow(unsafe_code)]
#![allow(clippy::missing_safety_doc)]

use std::ffi::CStr;
use std::path::Path;

use libc::{c_char, c_int, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t};

use crate::system::{self, Outcome, c_path, call, set_errno};
use crate::watched::{Opened, is_active, is_followed, lock, name_of, whole_path};

fn give(outcome: Outcome<c_int>) -> c_int {
    outcome.unwrap_or_else(|error| {
        set_errno(error);
        -1
    })
}

fn give_size(outcome: Outcome<libc::c_long>) -> ssize_t {
    match outcome {
        Ok(size) => size as ssize_t,
        Err(error) => {
            set_errno(error);
            -1
        }
    }
}

fn done(outcome: Outcome<libc::c_long>) -> c_int {
    give(outcome.map(|value| value as c_int))
}

/// Opens a path and follows it when it lies below a root.
fn opens(dir: c_int, path: &CStr, flags: c_int, mode: mode_t) -> Outcome<c_int> {
    if !is_active() || flags & libc::O_PATH == libc::O_PATH {
        return system::openat(dir, path, flags, mode);
    }
    let Some(whole) = whole_path(dir, path) else {
        return system::openat(dir, path, flags, mode);
    };
    let mut state = lock();
    let Some(root) = state.root_above(&whole) else {
        drop(state);
        return system::openat(dir, path, flags, mode);
    };
    root.works()?;
    let before = system::stat_at(libc::AT_FDCWD, &c_path(&whole));
    let creates = flags & libc::O_CREAT != 0 && before.is_err();
    let cuts = flags & libc::O_TRUNC != 0 && before.is_ok();
    if creates || cuts {
        root.changes()?;
    }
    if let (true, Ok(before)) = (cuts, &before) {
        let reader = system::openat(dir, path, libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
        let noted = root.before_cut(reader, before.st_ino, 0);
        system::close(reader);
        noted?;
    }
    let fd = system::openat(dir, path, flags, mode)?;
    let found = system::stat_of(fd)?;
    let is_folder = system::is_folder(&found);
    if creates && let Some(name) = name_of(&whole) {
        root.named(name, found.st_ino, is_folder, true);
    }
    let opened = Opened {
        root: root.path().to_owned(),
        device: found.st_dev,
        inode: found.st_ino,
        is_folder,
        appends: flags & libc::O_APPEND != 0,
        syncs: flags & libc::O_DSYNC != 0,
    };
    state.follow(fd, opened);
    Ok(fd)
}

/// Writes through a descriptor that is followed. `at` is `None` where the descriptor's own position counts.
fn writes(
    fd: c_int,
    at: Option<u64>,
    len: u64,
    write: impl FnOnce() -> Outcome<libc::c_long>,
) -> Outcome<libc::c_long> {
    let mut state = lock();
    let Some((opened, root)) = state.opened(fd) else {
        drop(state);
        return write();
    };
    root.changes()?;
    let at = match at {
        Some(at) if !opened.appends => at,
        _ if opened.appends => system::stat_of(fd)?.st_size as u64,
        _ => system::position(fd)?,
    };
    root.before_write(fd, opened.inode, at, len)?;
    let written = write()?;
    if opened.syncs {
        root.synced(&opened);
    }
    Ok(written)
}

fn cuts(fd: c_int, len: off_t) -> Outcome<libc::c_long> {
    let cut = || call!(libc::SYS_ftruncate, fd, len);
    if !is_followed(fd) {
        return cut();
    }
    let mut state = lock();
    let Some((opened, root)) = state.opened(fd) else {
        drop(state);
        return cut();
    };
    root.changes()?;
    root.before_cut(fd, opened.inode, len as u64)?;
    cut()
}

fn syncs(fd: c_int, number: libc::c_long) -> Outcome<libc::c_long> {
    let sync = || call!(number, fd);
    if !is_followed(fd) {
        return sync();
    }
    let mut state = lock();
    let Some((opened, root)) = state.opened(fd) else {
        drop(state);
        return sync();
    };
    root.changes()?;
    // The pages stay where they are: what counts as durable is what the journal says.
    root.synced(&opened);
    Ok(0)
}

fn fills(fd: c_int, mode: c_int, at: off_t, len: off_t) -> Outcome<libc::c_long> {
    let fill = || call!(libc::SYS_fallocate, fd, mode, at, len);
    if !is_followed(fd) {
        return fill();
    }
    let mut state = lock();
    let Some((opened, root)) = state.opened(fd) else {
        drop(state);
        return fill();
    };
    root.changes()?;
    let size = system::stat_of(fd)?.st_size;
    if mode == 0 {
        root.before_cut(fd, opened.inode, (at + len).max(size) as u64)?;
    } else {
        root.before_write(fd, opened.inode, at as u64, len as u64)?;
    }
    fill()
}

/// A call that changes the name of one path.
fn changes_name(
    dir: c_int,
    path: &CStr,
    note: impl FnOnce(&mut crate::watched::Root, &Path) -> Outcome<()>,
    change: impl FnOnce() -> Outcome<libc::c_long>,
    after: impl FnOnce(&mut crate::watched::Root, &Path),
) -> Outcome<libc::c_long> {
    if !is_active() {
        return change();
    }
    let Some(whole) = whole_path(dir, path) else {
        return change();
    };
    let mut state = lock();
    let Some(root) = state.root_above(&whole) else {
        drop(state);
        return change();
    };
    root.changes()?;
    note(root, &whole)?;
    let value = change()?;
    after(root, &whole);
    Ok(value)
}

fn removes(dir: c_int, path: &CStr, flags: c_int) -> Outcome<libc::c_long> {
    changes_name(
        dir,
        path,
        |root, whole| {
            let c_whole = c_path(whole);
            let found = system::stat_at(libc::AT_FDCWD, &c_whole)?;
            if let Some(name) = name_of(whole) {
                root.before_unname(&c_whole, name, &found);
            }
            Ok(())
        },
        || call!(libc::SYS_unlinkat, dir, path.as_ptr(), flags),
        |_, _| {},
    )
}

fn makes_folder(dir: c_int, path: &CStr, mode: mode_t) -> Outcome<libc::c_long> {
    changes_name(
        dir,
        path,
        |_, _| Ok(()),
        || call!(libc::SYS_mkdirat, dir, path.as_ptr(), mode),
        |root, whole| {
            let found = system::stat_at(libc::AT_FDCWD, &c_path(whole));
            if let (Ok(found), Some(name)) = (found, name_of(whole)) {
                root.named(name, found.st_ino, true, true);
            }
        },
    )
}

fn links(from: c_int, path: &CStr, to: c_int, other: &CStr, flags: c_int) -> Outcome<libc::c_long> {
    changes_name(
        to,
        other,
        |_, _| Ok(()),
        || {
            call!(
                libc::SYS_linkat,
                from,
                path.as_ptr(),
                to,
                other.as_ptr(),
                flags
            )
        },
        |root, whole| {
            let found = system::stat_at(libc::AT_FDCWD, &c_path(whole));
            if let (Ok(found), Some(name)) = (found, name_of(whole)) {
                root.named(name, found.st_ino, false, false);
            }
        },
    )
}

fn renames(
    from: c_int,
    path: &CStr,
    to: c_int,
    other: &CStr,
    flags: c_uint,
) -> Outcome<libc::c_long> {
    let source = whole_path(from, path);
    changes_name(
        to,
        other,
        |root, target| {
            if flags & libc::RENAME_EXCHANGE != 0 {
                return Err(libc::EINVAL);
            }
            let source = source.ok_or(libc::ENOENT)?;
            let what = system::stat_at(libc::AT_FDCWD, &c_path(&source))?.st_ino;
            if let (Some(name), Some(other)) = (name_of(&source), name_of(target)) {
                root.before_rename(what, name, &c_path(target), other);
            }
            Ok(())
        },
        || {
            call!(
                libc::SYS_renameat2,
                from,
                path.as_ptr(),
                to,
                other.as_ptr(),
                flags
            )
        },
        |_, _| {},
    )
}

fn total(parts: *const iovec, count: c_int) -> u64 {
    if parts.is_null() {
        return 0;
    }
    // SAFETY: the caller says that there are so many.
    let parts = unsafe { std::slice::from_raw_parts(parts, usize::try_from(count).unwrap_or(0)) };
    parts.iter().map(|part| part.iov_len as u64).sum()
}

/// The text that a pointer leads to.
macro_rules! text {
    ($pointer:expr) => {{
        if $pointer.is_null() {
            set_errno(libc::EFAULT);
            return -1;
        }
        // SAFETY: it is not null, and the caller says that it is text that ends with a zero.
        unsafe { CStr::from_ptr($pointer) }
    }};
}

/// Defines a call under several names.
macro_rules! calls {
    ($($name:ident),+ => $arguments:tt -> $result:ty $body:block) => {
        $(named_call!($name $arguments $result, $body);)+
    };
}

macro_rules! named_call {
    ($name:ident ($($argument:ident: $type:ty),*) $result:ty, $body:block) => {
        #[doc = "As the C library's."]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result $body
    };
}

calls!(open, open64 => (path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    give(opens(libc::AT_FDCWD, text!(path), flags, mode))
});
calls!(openat, openat64 => (dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    give(opens(dir, text!(path), flags, mode))
});
calls!(creat, creat64 => (path: *const c_char, mode: mode_t) -> c_int {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    give(opens(libc::AT_FDCWD, text!(path), flags, mode))
});
calls!(write => (fd: c_int, bytes: *const c_void, len: size_t) -> ssize_t {
    let write = || call!(libc::SYS_write, fd, bytes, len);
    give_size(if is_followed(fd) { writes(fd, None, len as u64, write) } else { write() })
});
calls!(writev => (fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let write = || call!(libc::SYS_writev, fd, parts, count);
    give_size(if is_followed(fd) { writes(fd, None, total(parts, count), write) } else { write() })
});
calls!(pwrite, pwrite64 => (fd: c_int, bytes: *const c_void, len: size_t, at: off_t) -> ssize_t {
    let write = || call!(libc::SYS_pwrite64, fd, bytes, len, at);
    give_size(if is_followed(fd) { writes(fd, Some(at as u64), len as u64, write) } else { write() })
});
calls!(pwritev, pwritev64 => (fd: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
    let write = || call!(libc::SYS_pwritev, fd, parts, count, at, 0);
    give_size(if is_followed(fd) { writes(fd, Some(at as u64), total(parts, count), write) } else { write() })
});
calls!(pwritev2, pwritev64v2 => (fd: c_int, parts: *const iovec, count: c_int, at: off_t, flags: c_int) -> ssize_t {
    let write = || call!(libc::SYS_pwritev2, fd, parts, count, at, 0, flags);
    let place = u64::try_from(at).ok();
    give_size(if is_followed(fd) { writes(fd, place, total(parts, count), write) } else { write() })
});
calls!(ftruncate, ftruncate64 => (fd: c_int, len: off_t) -> c_int { done(cuts(fd, len)) });
calls!(truncate, truncate64 => (path: *const c_char, len: off_t) -> c_int {
    let cut = |fd: c_int| {
        let value = cuts(fd, len);
        lock().leave(fd);
        system::close(fd);
        value
    };
    done(opens(libc::AT_FDCWD, text!(path), libc::O_WRONLY | libc::O_CLOEXEC, 0).and_then(cut))
});
calls!(fallocate, fallocate64 => (fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int {
    done(fills(fd, mode, at, len))
});
calls!(posix_fallocate, posix_fallocate64 => (fd: c_int, at: off_t, len: off_t) -> c_int {
    fills(fd, 0, at, len).err().unwrap_or(0)
});
calls!(fsync => (fd: c_int) -> c_int { done(syncs(fd, libc::SYS_fsync)) });
calls!(fdatasync => (fd: c_int) -> c_int { done(syncs(fd, libc::SYS_fdatasync)) });
calls!(unlink => (path: *const c_char) -> c_int { done(removes(libc::AT_FDCWD, text!(path), 0)) });
calls!(rmdir => (path: *const c_char) -> c_int {
    done(removes(libc::AT_FDCWD, text!(path), libc::AT_REMOVEDIR))
});
calls!(remove => (path: *const c_char) -> c_int {
    let path = text!(path);
    let is_folder = system::stat_at(libc::AT_FDCWD, path).is_ok_and(|found| system::is_folder(&found));
    done(removes(libc::AT_FDCWD, path, if is_folder { libc::AT_REMOVEDIR } else { 0 }))
});
calls!(unlinkat => (dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    done(removes(dir, text!(path), flags))
});
calls!(mkdir => (path: *const c_char, mode: mode_t) -> c_int {
    done(makes_folder(libc::AT_FDCWD, text!(path), mode))
});
calls!(mkdirat => (dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    done(makes_folder(dir, text!(path), mode))
});
calls!(link => (path: *const c_char, other: *const c_char) -> c_int {
    done(links(libc::AT_FDCWD, text!(path), libc::AT_FDCWD, text!(other), 0))
});
calls!(linkat => (from: c_int, path: *const c_char, to: c_int, other: *const c_char, flags: c_int) -> c_int {
    done(links(from, text!(path), to, text!(other), flags))
});
calls!(rename => (path: *const c_char, other: *const c_char) -> c_int {
    done(renames(libc::AT_FDCWD, text!(path), libc::AT_FDCWD, text!(other), 0))
});
calls!(renameat => (from: c_int, path: *const c_char, to: c_int, other: *const c_char) -> c_int {
    done(renames(from, text!(path), to, text!(other), 0))
});
calls!(renameat2 => (from: c_int, path: *const c_char, to: c_int, other: *const c_char, flags: c_uint) -> c_int {
    done(renames(from, text!(path), to, text!(other), flags))
});
calls!(copy_file_range => (from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, len: size_t, flags: c_uint) -> ssize_t {
    let copy = || call!(libc::SYS_copy_file_range, from, from_at, to, to_at, len, flags);
    // SAFETY: the caller says that it is null or leads to an offset.
    let place = unsafe { to_at.as_ref() }.map(|at| *at as u64);
    give_size(if is_followed(to) { writes(to, place, len as u64, copy) } else { copy() })
});
calls!(sendfile, sendfile64 => (to: c_int, from: c_int, from_at: *mut off_t, len: size_t) -> ssize_t {
    let copy = || call!(libc::SYS_sendfile, to, from, from_at, len);
    give_size(if is_followed(to) { writes(to, None, len as u64, copy) } else { copy() })
});
calls!(splice => (from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, len: size_t, flags: c_uint) -> ssize_t {
    give_size(if is_followed(to) && lock().opened(to).is_some() {
        Err(libc::EINVAL)
    } else {
        call!(libc::SYS_splice, from, from_at, to, to_at, len, flags)
    })
});
calls!(mmap, mmap64 => (place: *mut c_void, len: size_t, protection: c_int, flags: c_int, fd: c_int, at: off_t) -> *mut c_void {
    let is_shared = flags & libc::MAP_TYPE != libc::MAP_PRIVATE && flags & libc::MAP_ANONYMOUS == 0;
    let writes = is_shared && protection & libc::PROT_WRITE != 0;
    if writes && is_followed(fd) && lock().opened(fd).is_some() {
        set_errno(libc::EACCES);
        return libc::MAP_FAILED;
    }
    match call!(libc::SYS_mmap, place, len, protection, flags, fd, at) {
        Ok(address) => address as *mut c_void,
        Err(error) => {
            set_errno(error);
            libc::MAP_FAILED
        }
    }
});
calls!(close => (fd: c_int) -> c_int {
    if is_followed(fd) {
        lock().leave(fd);
    }
    done(call!(libc::SYS_close, fd))
});
calls!(close_range => (first: c_uint, last: c_uint, flags: c_int) -> c_int {
    for fd in first..=last.min(64 * 1024) {
        let fd = c_int::try_from(fd).unwrap_or(-1);
        if flags == 0 && is_followed(fd) {
            lock().leave(fd);
        }
    }
    done(call!(libc::SYS_close_range, first, last, flags))
});
calls!(dup => (fd: c_int) -> c_int { give(follows(fd, call!(libc::SYS_dup, fd))) });
calls!(dup2 => (fd: c_int, other: c_int) -> c_int {
    if fd == other {
        return done(call!(libc::SYS_fcntl, fd, libc::F_GETFD).map(|_| fd.into()));
    }
    give(follows(fd, call!(libc::SYS_dup3, fd, other, 0)))
});
calls!(dup3 => (fd: c_int, other: c_int, flags: c_int) -> c_int {
    give(follows(fd, call!(libc::SYS_dup3, fd, other, flags)))
});
calls!(fcntl, fcntl64 => (fd: c_int, command: c_int, argument: usize) -> c_int {
    let value = call!(libc::SYS_fcntl, fd, command, argument);
    if command == libc::F_DUPFD || command == libc::F_DUPFD_CLOEXEC {
        return give(follows(fd, value));
    }
    done(value)
});

/// A descriptor has another number, too.
fn follows(fd: c_int, other: Outcome<libc::c_long>) -> Outcome<c_int> {
    let other = other? as c_int;
    if is_followed(other) {
        lock().leave(other);
    }
    if is_followed(fd) {
        lock().follow_as(fd, other);
    }
    Ok(other)
}
