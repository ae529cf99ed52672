//! Images of one layer, their manifests, and the requests for them.

use bytes::Bytes;
use oci::{Digest, MediaType, Reference, Tag};
use registry::{Error, ManifestPush, ManifestStored};

use super::clients::Client;
use super::{World, caller, content, repository, sha256};

pub fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

pub fn manifest_push(payload: impl Into<Bytes>, tags: &[&str]) -> ManifestPush {
    ManifestPush {
        declared_type: None,
        digest: None,
        tags: tags.iter().map(|text| tag(text)).collect(),
        payload: payload.into(),
        precondition: None,
        idempotency_key: None,
    }
}

pub fn descriptor(media_type: &str, content: &[u8]) -> String {
    let (digest, size) = (sha256(content), content.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

/// An image of one layer, with `extra` fields.
pub fn image(config: &[u8], layer: &[u8], extra: &str) -> Bytes {
    let media_type = MediaType::OCI_MANIFEST;
    let config = descriptor("application/vnd.oci.image.config.v1+json", config);
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", layer);
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{layer}]{extra}}}"#
    );
    text.into()
}

/// An image that has `bytes` bytes or more.
pub fn large_image(config: &[u8], layer: &[u8], bytes: usize) -> Bytes {
    let filler = "x".repeat(bytes);
    image(
        config,
        layer,
        &format!(r#","annotations":{{"filler":"{filler}"}}"#),
    )
}

pub async fn push_blobs(world: &World) -> (Bytes, Bytes) {
    let (config, layer) = (content(1, 30), content(2, 200));
    for blob in [&config, &layer] {
        Client::Docker.push(&world.registry, blob).await.unwrap();
    }
    world.sweep().await;
    (config, layer)
}

pub async fn with_blobs() -> (World, Bytes, Bytes) {
    let world = World::new();
    let (config, layer) = push_blobs(&world).await;
    (world, config, layer)
}

pub async fn put(world: &World, push: ManifestPush) -> Result<ManifestStored, Error> {
    world
        .registry
        .put_manifest(&caller(), &repository(), push)
        .await
}

pub async fn get(world: &World, reference: impl Into<Reference>) -> Result<Bytes, Error> {
    let found = world
        .registry
        .manifest(&caller(), &repository(), &reference.into())
        .await?
        .value;
    assert_eq!(found.size, found.payload.len() as u64);
    assert_eq!(
        Digest::of(found.digest.algorithm(), &found.payload),
        found.digest
    );
    Ok(found.payload)
}

pub fn by_tag(text: &str) -> Reference {
    Reference::Tag(tag(text))
}
