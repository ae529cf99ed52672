//! Images of which some layers are absent: stored with a warning, or refused, as the setting says.

use oci::Digest;
use serde_json::{Value, json};

use crate::client::{Answer, call, get};
use crate::fixture::{Fixture, sha256};

/// An image of which `layers_absent` layers were never pushed, and one was.
async fn sparse_image(server: &Fixture, layers_absent: usize) -> Value {
    let mut image = server.image("a", "there").await;
    let layers = image["layers"].as_array_mut().expect("it has layers");
    for number in 0..layers_absent {
        let content = format!("layer {number}");
        let mut layer = layers[0].clone();
        layer["digest"] = json!(sha256(content.as_bytes()));
        layer["size"] = json!(content.len());
        layers.push(layer);
    }
    image
}

async fn pulled(server: &Fixture, digest: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for method in ["GET", "HEAD"] {
        for reference in ["v1", digest] {
            let target = format!("/v2/a/manifests/{reference}");
            answers.push(server.send(call(method, target)).await.expect(200));
        }
    }
    answers
}

#[tokio::test]
async fn a_sparse_image_is_stored_and_whoever_pulls_it_is_warned() {
    let server = Fixture::start().await;
    let image = sparse_image(&server, 2).await;
    let answer = server.push_manifest("a", "v1", &image).await.expect(201);
    let warning = "299 - \"2 layers of this image are not in this repository\"";
    assert_eq!(answer.all("warning"), [warning]);
    let digest = answer.header("docker-content-digest").unwrap().to_owned();
    for answer in pulled(&server, &digest).await {
        assert_eq!(answer.all("warning"), [warning]);
    }
    let unchanged = get("/v2/a/manifests/v1").header("If-None-Match", format!("\"{digest}\""));
    let unchanged = server.send(unchanged).await.expect(304);
    assert_eq!(unchanged.all("warning"), [warning]);
    let absent: Digest = sha256(b"layer 0");
    server
        .send(get(format!("/v2/a/blobs/{absent}")))
        .await
        .expect_error(404, "BLOB_UNKNOWN");

    server.push_blob("a", b"layer 0").await;
    let warning = "299 - \"1 layer of this image is not in this repository\"";
    for answer in pulled(&server, &digest).await {
        assert_eq!(answer.all("warning"), [warning]);
    }
    server.push_blob("a", b"layer 1").await;
    for answer in pulled(&server, &digest).await {
        assert_eq!(answer.header("warning"), None);
    }
}

#[tokio::test]
async fn a_whole_image_has_no_warning() {
    let server = Fixture::start().await;
    let image = server.image("a", "one").await;
    let answer = server.push_manifest("a", "v1", &image).await.expect(201);
    assert_eq!(answer.header("warning"), None);
    let digest = answer.header("docker-content-digest").unwrap().to_owned();
    for answer in pulled(&server, &digest).await {
        assert_eq!(answer.header("warning"), None);
    }
}

#[tokio::test]
async fn a_sparse_image_is_refused_when_the_setting_says_so() {
    let server = Fixture::without_sparse_images().await;
    let image = sparse_image(&server, 1).await;
    let refused = server.push_manifest("a", "v1", &image).await;
    let refused = refused.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    let absent = sha256(b"layer 0").to_string();
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], absent);
    server.send(get("/v2/a/manifests/v1")).await.expect(404);
}
