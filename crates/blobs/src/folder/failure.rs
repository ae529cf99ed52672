//! What an error of the file system means to the callers of a blob store.
//!
//! Must never turn a lasting error into one that is repeated, nor name a path in what a client may see: the reason is
//! for the operator.

use std::io::{self, ErrorKind};
use std::path::Path;

use ports::BlobFailure;

/// The failure for `error`, which came up while doing `what` with `path`.
pub(crate) fn failure(error: &io::Error, what: &str, path: &Path) -> BlobFailure {
    of_kind(
        error.kind(),
        format!("cannot {what} {}: {error}", path.display()),
    )
}

/// The failure of this kind, with its reason spelt out.
pub(crate) fn of_kind(kind: ErrorKind, reason: String) -> BlobFailure {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobFailure::Full { reason },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            BlobFailure::Denied { reason }
        }
        ErrorKind::TimedOut
        | ErrorKind::Interrupted
        | ErrorKind::WouldBlock
        | ErrorKind::ResourceBusy
        | ErrorKind::StaleNetworkFileHandle
        | ErrorKind::OutOfMemory => BlobFailure::Unavailable {
            reason,
            retry_after: None,
        },
        _ => BlobFailure::Other { reason },
    }
}
