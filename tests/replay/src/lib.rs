//! What the replayed requests begin with: a registry with its defaults, and the manifest of a small image.
//!
//! Must never hide what a client sends: the requests themselves stand in the tests.

use harness::{Client, HoldfastServer};

/// A registry with its defaults and a client of it. The registry lives as long as the first.
pub fn registry() -> (HoldfastServer, Client) {
    let server = HoldfastServer::start().expect("a registry starts");
    let client = server.client();
    (server, client)
}

/// Types that replayed clients name.
pub mod media {
    /// An image.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// Several of them.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// The configuration of an image.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// `{}`, where there is no configuration.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
}

/// The descriptor of some bytes.
pub fn descriptor(media_type: &str, content: &[u8]) -> serde_json::Value {
    let digest = harness::client::sha256(content);
    serde_json::json!({"mediaType": media_type, "digest": digest, "size": content.len()})
}

/// Pushes the blobs of a small image and returns its manifest, which is not pushed.
pub async fn image(
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
