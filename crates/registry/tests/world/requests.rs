//! The requests of an upload, one by one.

use metadata::WriteFrom;
use oci::{Digest, UploadId};
use registry::{Body, Error};

use super::{World, caller, repository};

pub async fn open(world: &World) -> UploadId {
    let opened = world
        .registry
        .open_upload(&caller(), &repository(), None)
        .await;
    opened.unwrap().upload
}

pub async fn patch(
    world: &World,
    upload: UploadId,
    from: WriteFrom,
    body: Body,
) -> Result<u64, Error> {
    let written = world
        .registry
        .write_upload(&caller(), &repository(), upload, from, body)
        .await;
    Ok(written?.offset)
}

pub async fn put(
    world: &World,
    upload: UploadId,
    from: WriteFrom,
    body: Body,
    digest: Digest,
) -> Result<Digest, Error> {
    let closed = world
        .registry
        .close_upload(&caller(), &repository(), upload, from, body, digest)
        .await;
    Ok(closed?.digest)
}

pub async fn status(world: &World, upload: UploadId) -> Result<u64, Error> {
    let status = world
        .registry
        .upload_status(&caller(), &repository(), upload)
        .await;
    Ok(status?.offset)
}
