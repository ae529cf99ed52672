//! The system calls themselves, past the C library, which is what this crate stands in for.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{c_int, mode_t, off_t, stat};

/// What a call gave: its value, or the number of its error.
pub(crate) type Outcome<T> = Result<T, c_int>;

macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {{
        // SAFETY: the kernel checks the arguments; pointers among them are to live values of the right size.
        let value: libc::c_long = unsafe { libc::syscall($number $(, $argument)*) };
        if value < 0 { Err($crate::system::errno()) } else { Ok(value) }
    }};
}
pub(crate) use call;

pub(crate) fn errno() -> c_int {
    // SAFETY: the place is this thread's own.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set_errno(number: c_int) {
    // SAFETY: the place is this thread's own.
    unsafe { *libc::__errno_location() = number };
}

/// A path as the system wants it; one with a zero in it is no path.
pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

pub(crate) fn open(path: &CStr, flags: c_int, mode: mode_t) -> Outcome<c_int> {
    openat(libc::AT_FDCWD, path, flags, mode)
}

pub(crate) fn openat(dir: c_int, path: &CStr, flags: c_int, mode: mode_t) -> Outcome<c_int> {
    let flags = flags | libc::O_LARGEFILE;
    call!(libc::SYS_openat, dir, path.as_ptr(), flags, mode).map(|fd| fd as c_int)
}

pub(crate) fn close(fd: c_int) {
    let _ = call!(libc::SYS_close, fd);
}

fn empty_stat() -> stat {
    // SAFETY: it is plain numbers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

pub(crate) fn stat_of(fd: c_int) -> Outcome<stat> {
    let mut found = empty_stat();
    call!(libc::SYS_fstat, fd, &raw mut found).map(|_| found)
}

/// Of the name itself, not of what a symbolic link leads to.
pub(crate) fn stat_at(dir: c_int, path: &CStr) -> Outcome<stat> {
    let mut found = empty_stat();
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    call!(
        libc::SYS_newfstatat,
        dir,
        path.as_ptr(),
        &raw mut found,
        flags
    )
    .map(|_| found)
}

pub(crate) fn is_folder(found: &stat) -> bool {
    found.st_mode & libc::S_IFMT == libc::S_IFDIR
}

/// Bytes that are there, from `at` on, at most `len`.
pub(crate) fn read_at(fd: c_int, at: u64, len: usize) -> Outcome<Vec<u8>> {
    let mut bytes = vec![0_u8; len];
    let mut done = 0;
    while done < len {
        let place = (at + done as u64) as off_t;
        let rest = &mut bytes[done..];
        let count = call!(libc::SYS_pread64, fd, rest.as_mut_ptr(), rest.len(), place)?;
        if count == 0 {
            break;
        }
        done += count as usize;
    }
    bytes.truncate(done);
    Ok(bytes)
}

pub(crate) fn append(fd: c_int, bytes: &[u8]) -> Outcome<()> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        done += call!(libc::SYS_write, fd, rest.as_ptr(), rest.len())? as usize;
    }
    Ok(())
}

pub(crate) fn set_len(fd: c_int, len: u64) -> Outcome<()> {
    call!(libc::SYS_ftruncate, fd, len as off_t).map(drop)
}

pub(crate) fn position(fd: c_int) -> Outcome<u64> {
    call!(libc::SYS_lseek, fd, 0 as off_t, libc::SEEK_CUR).map(|at| at as u64)
}

pub(crate) fn link_at(from: c_int, name: &CStr, to: c_int, other: &CStr) -> Outcome<()> {
    call!(libc::SYS_linkat, from, name.as_ptr(), to, other.as_ptr(), 0).map(drop)
}

pub(crate) fn unlink_at(dir: c_int, name: &CStr, is_folder: bool) -> Outcome<()> {
    let flags = if is_folder { libc::AT_REMOVEDIR } else { 0 };
    call!(libc::SYS_unlinkat, dir, name.as_ptr(), flags).map(drop)
}

pub(crate) fn make_folder_at(dir: c_int, name: &CStr) -> Outcome<()> {
    call!(libc::SYS_mkdirat, dir, name.as_ptr(), 0o755).map(drop)
}

/// Where a descriptor leads, or the current folder.
pub(crate) fn path_of(fd: c_int) -> Option<std::path::PathBuf> {
    let link = match fd {
        libc::AT_FDCWD => c"/proc/self/cwd".to_owned(),
        fd => CString::new(format!("/proc/self/fd/{fd}")).ok()?,
    };
    let mut buffer = [0_u8; 4096];
    let len = call!(
        libc::SYS_readlinkat,
        libc::AT_FDCWD,
        link.as_ptr(),
        buffer.as_mut_ptr(),
        buffer.len()
    )
    .ok()?;
    let bytes = buffer.get(..len as usize)?;
    Some(std::path::PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

/// The process ends here, as if it had been killed.
pub(crate) fn die() -> ! {
    loop {
        let process = call!(libc::SYS_getpid).unwrap_or_default();
        let _ = call!(libc::SYS_kill, process, libc::SIGKILL);
    }
}
