//! containerd: `core/remotes/docker/pusher.go`, `fetcher.go`, `resolver.go`.

use harness::client::{sha256, with_query};

use crate::{image, media, registry};

#[tokio::test]
async fn whole_blob_comes_with_the_put_straight_after_the_post() {
    let (_server, client) = registry();
    let content = vec![7_u8; 300_000];
    let digest = sha256(&content);
    let opened = client
        .post("/v2/containerd/app/blobs/uploads/")
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    let target = with_query(opened.location().unwrap(), "digest", &digest);
    let put = client
        .put(&target)
        .header("Content-Type", "application/octet-stream")
        .body(content.clone());
    put.send().await.unwrap().expect(201).unwrap();
    let pulled = client
        .get(&format!("/v2/containerd/app/blobs/{digest}"))
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(pulled.body, content);
}

#[tokio::test]
async fn put_that_failed_is_repeated_from_byte_0_to_the_same_location() {
    let (_server, client) = registry();
    let content = vec![8_u8; 3_000_000];
    let digest = sha256(&content);
    let opened = client
        .post("/v2/containerd/again/blobs/uploads/")
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    let target = with_query(opened.location().unwrap(), "digest", &digest);
    let half = bytes::Bytes::from(content[..1_500_000].to_vec());
    let broken = futures::stream::iter([
        Ok(half),
        Err(std::io::Error::other("the client's network broke")),
    ]);
    assert!(
        client.put(&target).stream(broken).send().await.is_err(),
        "the body never ended"
    );
    // containerd waits 50 ms; here the registry says itself that it has noticed. Sooner, the repetition could come to
    // it before what it repeats.
    let given_up = "holdfast_http_requests_total{route=\"upload\",status=\"400\"} 1";
    loop {
        let metrics = client.get("/metrics").send().await.unwrap();
        if String::from_utf8_lossy(&metrics.body).contains(given_up) {
            break;
        }
    }
    client
        .put(&target)
        .body(content)
        .send()
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    client
        .head(&format!("/v2/containerd/again/blobs/{digest}"))
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
}

#[tokio::test]
async fn mirror_names_the_registry_that_it_stands_for() {
    let (_server, client) = registry();
    let manifest = image(&client, "containerd/mirror", b"layer")
        .await
        .unwrap()
        .to_string();
    let digest = client
        .push_manifest("containerd/mirror", "v1", media::MANIFEST, manifest)
        .await
        .unwrap();
    for reference in ["v1", &digest] {
        let target = format!("/v2/containerd/mirror/manifests/{reference}?ns=registry.example.org");
        client
            .get(&target)
            .header("Accept", media::MANIFEST)
            .send()
            .await
            .unwrap()
            .expect(200)
            .unwrap();
    }
    let blob = format!(
        "/v2/containerd/mirror/blobs/{}?ns=registry.example.org",
        sha256(b"layer")
    );
    client.get(&blob).send().await.unwrap().expect(200).unwrap();
}

#[tokio::test]
async fn blob_is_never_encoded_again() {
    let (_server, client) = registry();
    let content = vec![b'a'; 100_000];
    let digest = client
        .push_blob("containerd/plain", content.clone())
        .await
        .unwrap();
    let get = client.get(&format!("/v2/containerd/plain/blobs/{digest}"));
    let pulled = get
        .header("Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5")
        .send()
        .await
        .unwrap();
    let pulled = pulled.expect(200).unwrap();
    assert_eq!(pulled.header("Content-Encoding"), None);
    assert_eq!(pulled.header("Content-Length"), Some("100000"));
    assert_eq!(pulled.body, content);
}

#[tokio::test]
async fn head_of_a_manifest_tells_all_that_a_get_would() {
    let (_server, client) = registry();
    let manifest = image(&client, "containerd/head", b"layer")
        .await
        .unwrap()
        .to_string();
    let length = manifest.len().to_string();
    let digest = client
        .push_manifest("containerd/head", "v1", media::MANIFEST, manifest)
        .await
        .unwrap();
    let head = client
        .head("/v2/containerd/head/manifests/v1")
        .header("Accept", "*/*")
        .send()
        .await
        .unwrap();
    let head = head.expect(200).unwrap();
    assert_eq!(head.header("Docker-Content-Digest"), Some(digest.as_str()));
    assert_eq!(head.header("Content-Type"), Some(media::MANIFEST));
    assert_eq!(head.header("Content-Length"), Some(length.as_str()));
    assert_eq!(head.header("Warning"), None, "nothing is stale here");
}
