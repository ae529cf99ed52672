//! The requests of clients that Debian does not package, or whose packages do not send them, replayed one by one.
//!
//! A module stands for a family of clients; a test for what that family needs of a registry.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

mod artifacts;
mod browsers;
mod buildkit;
mod containerd;
mod crane;
mod docker;
mod lazy_pullers;
mod orchestrators;
mod rate_limits;
mod resumers;
mod tokens;

use harness::{Client, HoldfastServer};

/// A registry with its defaults and a client of it. The registry lives as long as the first.
fn registry() -> (HoldfastServer, Client) {
    let server = HoldfastServer::start().expect("a registry starts");
    let client = server.client();
    (server, client)
}

/// Types that replayed clients name.
mod media {
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
}

/// The descriptor of some bytes.
fn descriptor(media_type: &str, content: &[u8]) -> serde_json::Value {
    let digest = harness::client::sha256(content);
    serde_json::json!({"mediaType": media_type, "digest": digest, "size": content.len()})
}

/// Pushes the blobs of a small image and returns its manifest, which is not pushed.
async fn image(
    client: &Client,
    repository: &str,
    layer: &'static [u8],
) -> anyhow::Result<serde_json::Value> {
    client.push_blob(repository, &b"{}"[..]).await?;
    client.push_blob(repository, layer).await?;
    Ok(serde_json::json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": descriptor(media::CONFIG, b"{}"), "layers": [descriptor(media::LAYER, layer)],
    }))
}
