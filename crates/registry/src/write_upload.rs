use metadata::WriteFrom;
use oci::{RepositoryName, UploadId};

use crate::{Body, Caller, Error, Registry, UploadStatus};

impl Registry {
    /// Adds bytes to an upload.
    pub async fn write_upload(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        upload: UploadId,
        from: WriteFrom,
        body: Body,
    ) -> Result<UploadStatus, Error> {
        let _ = (caller, repository, upload, from, body);
        Err(Error::internal("stub"))
    }
}
