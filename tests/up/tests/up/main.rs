//! `holdfast up` as real processes: what it says, what it survives, and that nothing is left of it.

mod failures;
mod going_on;
mod lines;
mod object_storage;
mod terminal;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::Context as _;
use harness::Client;
use up::PATIENCE;

/// What an image manifest says that it is.
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes an image of one small layer, and returns the bytes of its manifest.
async fn push(client: &Client, repository: &str, tag: &str) -> anyhow::Result<Vec<u8>> {
    let layer = format!("the layer of {repository}:{tag}").repeat(1000);
    let layer_digest = client.push_blob(repository, layer.clone()).await?;
    let config_digest = client.push_blob(repository, &b"{}"[..]).await?;
    let manifest = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer.len()}],
    }))?;
    client
        .push_manifest(repository, tag, MANIFEST_TYPE, manifest.clone())
        .await?;
    Ok(manifest)
}

/// Pulls an image, and compares every byte with what was pushed.
async fn pull(client: &Client, repository: &str, tag: &str, manifest: &[u8]) -> anyhow::Result<()> {
    let pulled = client
        .get(&format!("/v2/{repository}/manifests/{tag}"))
        .header("Accept", MANIFEST_TYPE);
    let pulled = pulled.send().await?.expect(200)?.body;
    anyhow::ensure!(pulled == manifest, "{repository}:{tag} is another one");
    let manifest: serde_json::Value = serde_json::from_slice(&pulled)?;
    let digest = manifest["layers"][0]["digest"]
        .as_str()
        .context("no layer")?;
    let blob = client.get(&format!("/v2/{repository}/blobs/{digest}"));
    let layer = blob.send().await?.expect(200)?.body;
    let expected = format!("the layer of {repository}:{tag}").repeat(1000);
    anyhow::ensure!(
        layer == expected,
        "the layer of {repository}:{tag} is another one"
    );
    Ok(())
}

/// How far all who push have come together.
#[derive(Default)]
struct Progress {
    pushed: Mutex<usize>,
    more: Condvar,
    stopped: AtomicBool,
}

impl Progress {
    fn one_more(&self) {
        *self.pushed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.more.notify_all();
    }

    /// Waits until so many more were pushed. Blocks.
    fn wait_for(&self, more: usize) -> anyhow::Result<()> {
        let pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = *pushed + more;
        let is_short = |pushed: &mut usize| *pushed < wanted;
        let waited = self.more.wait_timeout_while(pushed, PATIENCE, is_short);
        let timed_out = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
        anyhow::ensure!(!timed_out, "nobody pushes any more");
        Ok(())
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

/// Pushes and pulls one image after the other until it is told to stop; returns the manifests by tag, and fails when
/// anything fails.
async fn work(
    client: Client,
    repository: String,
    progress: Arc<Progress>,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut pushed = Vec::new();
    while !progress.stopped.load(Ordering::SeqCst) {
        let tag = format!("v{}", pushed.len());
        let what = || format!("{repository}:{tag}");
        let manifest = push(&client, &repository, &tag).await.with_context(what)?;
        pull(&client, &repository, &tag, &manifest)
            .await
            .with_context(what)?;
        pushed.push(manifest);
        progress.one_more();
    }
    Ok(pushed)
}
