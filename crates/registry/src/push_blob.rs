use oci::{Digest, RepositoryName};

use crate::{BlobStored, Body, Caller, Error, Registry};

impl Registry {
    /// Pushes a whole blob in one request.
    pub async fn push_blob(
        &self,
        caller: &Caller,
        repository: &RepositoryName,
        digest: Digest,
        body: Body,
    ) -> Result<BlobStored, Error> {
        let _ = (caller, repository, digest, body);
        Err(Error::internal("stub"))
    }
}
