//! What the log and the tables need of files beyond names that last.

use std::fs::File;
use std::io;
use std::path::Path;

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
