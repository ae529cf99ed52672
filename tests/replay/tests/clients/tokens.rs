//! Clients that keep passwords and tokens (docker, podman, containerd, crane), at a registry that asks for neither.
//!
//! They send what they keep, or look for the service that a challenge would name. None may be turned away, and a push
//! that outlives its token must not notice.

use bytes::Bytes;
use harness::client::{sha256, with_query};

use crate::{image, media, registry};

/// `docker login` with a user and a password, a bearer token that ended long ago, and what is neither.
const KEPT: [&str; 3] = [
    "Basic YWxpY2U6c2VjcmV0",
    "Bearer eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl",
    "Bearer",
];

#[tokio::test]
async fn login_is_a_base_without_a_challenge() {
    let (_server, client) = registry();
    let plain = client.get("/v2/").send().await.unwrap();
    assert_eq!(
        plain.expect(200).unwrap().header("WWW-Authenticate"),
        None,
        "a challenge would send clients for a token"
    );
    for kept in KEPT {
        let asked = client.get("/v2/").header("Authorization", kept);
        let answer = asked.send().await.unwrap().expect(200).unwrap();
        assert_eq!(answer.header("WWW-Authenticate"), None, "{kept}");
    }
}

#[tokio::test]
async fn service_of_tokens_that_no_challenge_named_is_not_there() {
    let (_server, client) = registry();
    // As clients ask by `GET`, with the scope repeated or joined by a space, and by the `POST` of OAuth2.
    for query in [
        "service=registry&scope=repository:a/b:pull&scope=repository:c:pull,push",
        "service=registry&scope=repository:a/b:pull%20repository:c:pull,push",
    ] {
        let asked = client.get(&format!("/token?{query}")).send().await.unwrap();
        let refused = asked.expect(404).unwrap();
        assert_eq!(refused.error_code().as_deref(), Some("UNSUPPORTED"));
    }
    for grant in [
        "grant_type=password&username=alice&password=secret&service=registry&client_id=docker",
        "grant_type=refresh_token&refresh_token=kept&service=registry&client_id=docker",
    ] {
        let posted = client
            .post("/token")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(grant);
        let refused = posted.send().await.unwrap().expect(404).unwrap();
        assert_eq!(refused.error_code().as_deref(), Some("UNSUPPORTED"));
        let text = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(
            !text.contains("secret") && !text.contains("kept"),
            "what is secret is not given back: {text}"
        );
    }
}

#[tokio::test]
async fn push_outlives_its_token() {
    let (_server, client) = registry();
    let content: Vec<u8> = (0..250_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = sha256(&content);
    let opened = client
        .post("/v2/long/push/blobs/uploads/")
        .header("Authorization", KEPT[1]);
    let opened = opened.send().await.unwrap().expect(202).unwrap();
    let halves = content.chunks(500_000).map(Bytes::copy_from_slice);
    let patched = client
        .patch(opened.location().unwrap())
        .header("Authorization", KEPT[1])
        .stream(futures::stream::iter(
            halves.map(Ok).collect::<Vec<std::io::Result<Bytes>>>(),
        ));
    let patched = patched.send().await.unwrap().expect(202).unwrap();
    assert_eq!(patched.header("Range"), Some("0-999999"));
    // Another token closes it, and none at all reads it.
    let target = with_query(patched.location().unwrap(), "digest", &digest);
    let closed = client.put(&target).header("Authorization", KEPT[0]);
    closed.send().await.unwrap().expect(201).unwrap();
    let pulled = client.get(&format!("/v2/long/push/blobs/{digest}"));
    let pulled = pulled.send().await.unwrap().expect(200).unwrap();
    assert_eq!(pulled.body, content);

    let manifest = image(&client, "long/push", b"layer").await.unwrap();
    let put = client
        .put("/v2/long/push/manifests/v1")
        .header("Content-Type", media::MANIFEST)
        .header("Authorization", KEPT[2])
        .body(manifest.to_string());
    put.send().await.unwrap().expect(201).unwrap();
}
