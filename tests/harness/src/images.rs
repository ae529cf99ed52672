//! Images that were pushed, and that every one of them is pulled as it was: by tag, by digest, and each blob.

use crate::Client;
use anyhow::ensure;

const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Config, layer, and the manifest by its tag and by its digest.
const TARGETS_PER_IMAGE: usize = 4;

/// What was acknowledged: where it is pulled, and its bytes.
#[derive(Debug, Default)]
pub struct Images {
    pushed: Vec<(String, Vec<u8>)>,
    images: usize,
}

impl Images {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many were pushed.
    pub fn len(&self) -> usize {
        self.images
    }

    /// Whether none was pushed.
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// Pushes so many more, to a few repositories.
    pub async fn push(&mut self, client: &Client, images: usize) -> anyhow::Result<()> {
        for _ in 0..images {
            self.push_one(client).await?;
        }
        Ok(())
    }

    async fn push_one(&mut self, client: &Client) -> anyhow::Result<()> {
        let number = self.images;
        let repository = format!("team/app{}", number % 3);
        let config = format!("{{\"image\": {number}}}").into_bytes();
        let layer = vec![u8::try_from(number % 250)?; 60_000 + number];
        let mut digests = Vec::new();
        for blob in [&config, &layer] {
            let digest = client.push_blob(&repository, blob.clone()).await?;
            let target = format!("/v2/{repository}/blobs/{digest}");
            self.pushed.push((target, blob.clone()));
            digests.push(digest);
        }
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digests[0], "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digests[1], "size": layer.len()}],
            // Some are too large for the log.
            "annotations": {"filler": "x".repeat((number % 3) * 10_000)},
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let tag = format!("v{number}");
        let pushed = client.push_manifest(&repository, &tag, MEDIA_TYPE, manifest.clone());
        let digest = pushed.await?;
        for reference in [tag, digest] {
            let target = format!("/v2/{repository}/manifests/{reference}");
            self.pushed.push((target, manifest.clone()));
        }
        self.images += 1;
        Ok(())
    }

    /// As [`Self::pull`], of the first so many images only.
    pub async fn pull_first(
        &self,
        client: &Client,
        images: usize,
        may_be_stale: bool,
    ) -> anyhow::Result<()> {
        let first = &self.pushed[..images * TARGETS_PER_IMAGE];
        pull(first, client, may_be_stale).await
    }

    /// Pulls everything; every answer has the bytes that were pushed, and says that it is the newest, or that it may not be.
    pub async fn pull(&self, client: &Client, may_be_stale: bool) -> anyhow::Result<()> {
        pull(&self.pushed, client, may_be_stale).await
    }
}

async fn pull(
    pushed: &[(String, Vec<u8>)],
    client: &Client,
    may_be_stale: bool,
) -> anyhow::Result<()> {
    for (target, bytes) in pushed {
        let reply = client.get(target).send().await?.expect(200)?;
        ensure!(
            reply.body.as_ref() == bytes.as_slice(),
            "{target} is another"
        );
        let says_so = reply.header("Warning").is_some();
        ensure!(!says_so || may_be_stale, "{target} may be stale");
    }
    Ok(())
}
