//! What is sent by mistake or in bad faith: each gets a clear OCI error, and nothing is lost or grown.
//!
//! A module stands for what is wrong. Every test ends by asking whether the registry is unharmed.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

mod bodies;
mod digests;
mod disks;
mod lists;
mod logs;
mod manifests;
mod names;
mod raw;
mod uploads;

use harness::{Client, HoldfastServer, Reply};
use replay::{image, media};

/// Checks status and code of an error that a client was given.
#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str, what: &str) {
    let text = String::from_utf8_lossy(&reply.body);
    let got = (reply.status.as_u16(), reply.error_code());
    assert_eq!(got, (status, Some(code.to_owned())), "{what}: {text}");
    assert_eq!(
        reply.header("Docker-Distribution-API-Version"),
        Some("registry/2.0"),
        "{what}"
    );
}

/// A small image can be pushed and pulled.
async fn works(client: &Client) {
    let repository = "still/works";
    let manifest = image(client, repository, b"layer").await.unwrap();
    let digest = client
        .push_manifest(repository, "v1", media::MANIFEST, manifest.to_string())
        .await
        .unwrap();
    for reference in ["v1", &digest] {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let pulled = client.get(&target).send().await.unwrap();
        assert_eq!(pulled.expect(200).unwrap().body, manifest.to_string());
    }
}

/// The registry works, and nothing that it was sent has made it answer 5xx or panic.
async fn unharmed(server: &HoldfastServer) {
    let client = server.client();
    works(&client).await;
    let ready = client.get("/readyz").send().await.unwrap();
    ready.expect(200).unwrap();
    let metrics = client.get("/metrics").send().await.unwrap();
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let failures: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("holdfast_http_requests_total"))
        .filter(|line| line.contains("status=\"5"))
        .collect();
    assert!(failures.is_empty(), "{failures:?}");
    let panics = text
        .lines()
        .find_map(|line| line.strip_prefix("holdfast_http_panics_total "));
    assert_eq!(panics, Some("0"));
}
