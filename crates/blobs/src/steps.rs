//! The named durable steps of this crate, where tests kill or fail the process.
//!
//! A step must never be passed without its name being listed: the list is what the crash tests go through.

use std::io;

/// Every step, in the order in which a push to a folder meets them, then those of S3.
pub const STEPS: &[&str] = &[
    FOLDER_WRITTEN,
    FOLDER_PLACED,
    FOLDER_FILE_SYNCED,
    FOLDER_ENTRY_SYNCED,
    FOLDER_MULTIPART_MADE,
    FOLDER_MULTIPART_SYNCED,
    FOLDER_LIST_WRITTEN,
    FOLDER_LIST_SYNCED,
    FOLDER_OBJECT_PLACED,
    FOLDER_OBJECT_SYNCED,
    FOLDER_DELETE_MOVED,
    S3_BEFORE_PUT,
    S3_AFTER_PUT,
    S3_AFTER_BEGIN,
    S3_BEFORE_COMPLETE,
    S3_AFTER_COMPLETE,
    S3_AFTER_DELETE,
];

/// All bytes of a piece are in its file below `staging`.
pub(crate) const FOLDER_WRITTEN: &str = "blobs::folder_written";
/// The file has its final name; nothing is synced.
pub(crate) const FOLDER_PLACED: &str = "blobs::folder_placed";
/// The file's bytes are on the disk.
pub(crate) const FOLDER_FILE_SYNCED: &str = "blobs::folder_file_synced";
/// The file's name is on the disk: the piece is durable.
pub(crate) const FOLDER_ENTRY_SYNCED: &str = "blobs::folder_entry_synced";
/// The folder of a multipart upload exists.
pub(crate) const FOLDER_MULTIPART_MADE: &str = "blobs::folder_multipart_made";
/// Its name is on the disk.
pub(crate) const FOLDER_MULTIPART_SYNCED: &str = "blobs::folder_multipart_synced";
/// The list of an upload's parts is written under its temporary name.
pub(crate) const FOLDER_LIST_WRITTEN: &str = "blobs::folder_list_written";
/// The list and its name are on the disk.
pub(crate) const FOLDER_LIST_SYNCED: &str = "blobs::folder_list_synced";
/// The folder of the upload stands in the object's place.
pub(crate) const FOLDER_OBJECT_PLACED: &str = "blobs::folder_object_placed";
/// Its name is on the disk: the object is durable.
pub(crate) const FOLDER_OBJECT_SYNCED: &str = "blobs::folder_object_synced";
/// An object was moved out of its place to be deleted.
pub(crate) const FOLDER_DELETE_MOVED: &str = "blobs::folder_delete_moved";
/// A piece is about to be put.
pub(crate) const S3_BEFORE_PUT: &str = "blobs::s3_before_put";
/// The store has acknowledged a piece.
pub(crate) const S3_AFTER_PUT: &str = "blobs::s3_after_put";
/// The store has begun a multipart upload.
pub(crate) const S3_AFTER_BEGIN: &str = "blobs::s3_after_begin";
/// A multipart upload is about to be completed.
pub(crate) const S3_BEFORE_COMPLETE: &str = "blobs::s3_before_complete";
/// The store has completed it.
pub(crate) const S3_AFTER_COMPLETE: &str = "blobs::s3_after_complete";
/// The store has deleted what was asked.
pub(crate) const S3_AFTER_DELETE: &str = "blobs::s3_after_delete";

/// Marks that the process is at this step. Costs nothing unless the feature `failpoints` is on, with which a test
/// may stop the process here, or have the step fail with an error of the system (`return(28)` is a full disk).
pub(crate) fn step(name: &'static str) -> io::Result<()> {
    debug_assert!(STEPS.contains(&name), "{name} is not listed");
    fail::fail_point!(name, |errno| {
        let errno = errno.and_then(|text| text.parse().ok()).unwrap_or(5);
        Err(io::Error::from_raw_os_error(errno))
    });
    Ok(())
}
