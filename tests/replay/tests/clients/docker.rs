//! The docker engine, old and new: moby `distribution/push_v2.go`, `distribution/pull_v2.go`.

use bytes::Bytes;
use harness::client::{sha256, with_query};
use serde_json::json;

use crate::{image, media, registry};

const VERSION_HEADER: &str = "Docker-Distribution-API-Version";

#[tokio::test]
async fn every_answer_names_the_version_of_the_api() {
    let (_server, client) = registry();
    for (target, status) in [
        ("/v2/", 200),
        ("/v2", 200),
        ("/v2/no/such/manifests/v1", 404),
        ("/v2/UPPER/tags/list", 400),
    ] {
        let reply = client.get(target).send().await.unwrap();
        assert_eq!(
            reply.header(VERSION_HEADER),
            Some("registry/2.0"),
            "{target}"
        );
        if target != "/v2/UPPER/tags/list" {
            assert_eq!(reply.status, status, "{target}");
        }
    }
}

#[tokio::test]
async fn layer_comes_as_one_stream_without_length_or_range() {
    let (_server, client) = registry();
    let pieces: Vec<Bytes> = (0..40)
        .map(|number: u8| Bytes::from(vec![number; 50_000]))
        .collect();
    let digest = sha256(&pieces.concat());

    let opened = client
        .post("/v2/docker/app/blobs/uploads/")
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    assert_eq!(opened.header("Range"), Some("0-0"));
    assert!(opened.header("Docker-Upload-UUID").is_some());
    assert!(
        opened.location().unwrap().starts_with('/'),
        "an absolute Location loses ports behind proxies"
    );

    let stream = futures::stream::iter(pieces.into_iter().map(Ok));
    let patched = client
        .patch(opened.location().unwrap())
        .stream(stream)
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    assert_eq!(patched.header("Range"), Some("0-1999999"));
    assert_eq!(
        patched.header("Docker-Upload-UUID"),
        opened.header("Docker-Upload-UUID")
    );

    let target = with_query(patched.location().unwrap(), "digest", &digest);
    let closed = client
        .put(&target)
        .header("Content-Length", "0")
        .send()
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    assert_eq!(
        closed.header("Docker-Content-Digest"),
        Some(digest.as_str())
    );
    client
        .head(&format!("/v2/docker/app/blobs/{digest}"))
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
}

#[tokio::test]
async fn mount_that_hits_is_201_and_one_that_misses_opens_an_upload() {
    let (_server, client) = registry();
    let digest = client
        .push_blob("docker/base", &b"a layer"[..])
        .await
        .unwrap();
    let mount =
        |digest: &str| format!("/v2/docker/app/blobs/uploads/?mount={digest}&from=docker%2Fbase");
    client
        .post(&mount(&digest))
        .send()
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    let pulled = client
        .get(&format!("/v2/docker/app/blobs/{digest}"))
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(pulled.body, &b"a layer"[..]);

    let missed = client
        .post(&mount(&sha256(b"never pushed")))
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    client
        .delete(missed.location().unwrap())
        .send()
        .await
        .unwrap()
        .expect(204)
        .unwrap();
}

#[tokio::test]
async fn schema_1_is_refused() {
    let (_server, client) = registry();
    let old = json!({"schemaVersion": 1, "name": "docker/old", "tag": "v1", "fsLayers": [], "history": []});
    for media_type in [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ] {
        let put = client
            .put("/v2/docker/old/manifests/v1")
            .header("Content-Type", media_type);
        let refused = put.body(old.to_string()).send().await.unwrap();
        assert!(refused.status.is_client_error(), "{}", refused.status);
        assert_eq!(refused.error_code().as_deref(), Some("MANIFEST_INVALID"));
    }
}

#[tokio::test]
async fn docker_types_are_served_as_they_were_pushed() {
    let (_server, client) = registry();
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let mut manifest = image(&client, "docker/types", b"layer").await.unwrap();
    manifest["mediaType"] = docker.into();
    let digest = client
        .push_manifest("docker/types", "v1", docker, manifest.to_string())
        .await
        .unwrap();
    // Several Accept headers and lists with commas, of which none or one fits.
    let get = client
        .get("/v2/docker/types/manifests/v1")
        .header("Accept", &format!("{}, {}", media::INDEX, media::MANIFEST));
    let served = get
        .header("Accept", docker)
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(served.header("Content-Type"), Some(docker));
    assert_eq!(sha256(&served.body), digest);
}
