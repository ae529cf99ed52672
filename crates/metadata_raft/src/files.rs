//! The few things about files that must be done right for a crash to be harmless.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the names in a folder durable: what was created, renamed or removed there.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates a folder and those above it that are missing, and makes their names durable: without that a power failure may take
/// the folder with everything in it, however durable the files are.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    match folder.parent() {
        Some(above) if !above.as_os_str().is_empty() => create_folder(above)?,
        _ => {}
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match folder.parent() {
        Some(above) if !above.as_os_str().is_empty() => sync_folder(above),
        _ => sync_folder(Path::new(".")),
    }
}

/// Writes a small file whole or not at all.
pub(crate) fn write_atomically(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let fresh = folder.join(format!("{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, folder.join(name))?;
    sync_folder(folder)
}

/// Creates a file of `len` zero bytes that are really on the disk, so that writing over them needs no space and no
/// change of the file's metadata.
pub(crate) fn create_filled(path: &Path, len: u64) -> io::Result<File> {
    use std::os::unix::fs::FileExt;
    const BLOCK_BYTES: u64 = 256 * 1024;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let block = vec![0_u8; usize::try_from(BLOCK_BYTES.min(len)).expect("a block fits memory")];
    let mut at = 0;
    while at < len {
        let count = BLOCK_BYTES.min(len - at);
        file.write_all_at(
            &block[..usize::try_from(count).expect("a block fits memory")],
            at,
        )?;
        at += count;
    }
    file.sync_all()?;
    Ok(file)
}

/// Bytes that this process may still write to the file system of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
