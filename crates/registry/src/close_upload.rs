use metadata::WriteFrom;
use oci::{Digest, RepositoryName, UploadId};

use crate::{Body, Caller, Error, Registry};

/// A blob that was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobStored {
    /// Its digest.
    pub digest: Digest,
}

impl Registry {
    /// Adds the last bytes, if the body has any, and ends an upload as `digest`.
    pub async fn close_upload(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        from: WriteFrom,
        body: Body,
        digest: Digest,
    ) -> Result<BlobStored, Error> {
        let _ = (caller, repository, upload, from, body, digest);
        Err(Error::internal("stub"))
    }
}
