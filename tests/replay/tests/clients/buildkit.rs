//! buildkit: caches, attestations and nested indexes (`cache/remotecache`, `exporter/containerimage`).

use serde_json::json;

use crate::{descriptor, image, media, registry};

#[tokio::test]
async fn cache_is_an_index_whose_children_are_layers() {
    let (_server, client) = registry();
    let config_type = "application/vnd.buildkit.cacheconfig.v0";
    for content in [&b"cached layer"[..], b"{\"layers\":[]}"] {
        client.push_blob("buildkit/cache", content).await.unwrap();
    }
    let layers = [
        descriptor(media::LAYER, b"cached layer"),
        descriptor(config_type, b"{\"layers\":[]}"),
    ];
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": layers});
    client
        .push_manifest("buildkit/cache", "cache", media::INDEX, index.to_string())
        .await
        .unwrap();
    let layer = descriptor(media::LAYER, b"cached layer");
    let blob = format!(
        "/v2/buildkit/cache/blobs/{}",
        layer["digest"].as_str().unwrap()
    );
    client.get(&blob).send().await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn cache_as_an_image_has_its_own_config_type() {
    let (_server, client) = registry();
    let mut manifest = image(&client, "buildkit/image-cache", b"cached")
        .await
        .unwrap();
    manifest["config"]["mediaType"] = "application/vnd.buildkit.cacheconfig.v0".into();
    client
        .push_manifest(
            "buildkit/image-cache",
            "cache",
            media::MANIFEST,
            manifest.to_string(),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn attestation_and_nested_index_follow_their_children() {
    let (_server, client) = registry();
    let repository = "buildkit/attested";
    let child = image(&client, repository, b"layer")
        .await
        .unwrap()
        .to_string();
    let attestation = image(&client, repository, b"{\"predicate\":{}}")
        .await
        .unwrap()
        .to_string();
    for payload in [&child, &attestation] {
        let digest = harness::client::sha256(payload.as_bytes());
        client
            .push_manifest(repository, &digest, media::MANIFEST, payload.clone())
            .await
            .unwrap();
    }
    let mut attested = descriptor(media::MANIFEST, attestation.as_bytes());
    attested["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    attested["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": harness::client::sha256(child.as_bytes()),
    });
    // The child has no platform: an index of one that was built for "any".
    let children = [descriptor(media::MANIFEST, child.as_bytes()), attested];
    let inner =
        json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": children}).to_string();
    let digest = harness::client::sha256(inner.as_bytes());
    client
        .push_manifest(repository, &digest, media::INDEX, inner.clone())
        .await
        .unwrap();
    let outer = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": [descriptor(media::INDEX, inner.as_bytes())]});
    client
        .push_manifest(repository, "v1", media::INDEX, outer.to_string())
        .await
        .unwrap();
    let served = client
        .get(&format!("/v2/{repository}/manifests/v1"))
        .header("Accept", media::INDEX)
        .send()
        .await;
    assert_eq!(served.unwrap().expect(200).unwrap().body, outer.to_string());
}
