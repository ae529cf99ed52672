//! Why a member cannot be opened: each says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// A member cannot be opened. Nothing was changed that a later start would miss.
#[derive(Debug, thiserror::Error)]
pub enum OpenFailure {
    /// Another process holds the folder.
    #[error(
        "the data folder {folder} is in use by another process; stop that one, or give this one another folder"
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is of another node.
    #[error(
        "the data folder {folder} belongs to node {found}, not to node {wanted}; give each node its own folder"
    )]
    OtherNode {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        found: u64,
        /// Who asked.
        wanted: u64,
    },
    /// The folder cannot be read or written.
    #[error("the data folder {folder} cannot be used: {reason}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why, and what to do.
        reason: String,
        /// Whether there is no room.
        full: bool,
    },
    /// What the folder holds is damaged, or of a newer version.
    #[error("{reason}")]
    Damaged {
        /// What, and what to do.
        reason: String,
    },
    /// The log did not come to life.
    #[error("the metadata log did not start: {reason}")]
    NotStarted {
        /// Why.
        reason: String,
    },
}

impl OpenFailure {
    pub(crate) fn folder(folder: &Path, error: &io::Error) -> OpenFailure {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let reason = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                format!("{error}; free some space on its disk, or give another folder")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                format!("{error}; make it writable for this user, or give another folder")
            }
            io::ErrorKind::InvalidData => {
                return OpenFailure::Damaged {
                    reason: error.to_string(),
                };
            }
            _ => error.to_string(),
        };
        OpenFailure::Folder {
            folder: folder.to_owned(),
            reason,
            full,
        }
    }
}
