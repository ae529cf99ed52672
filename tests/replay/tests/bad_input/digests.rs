//! Digests that are short, of unknown algorithms, or wrong for the bytes.

use harness::client::{sha256, with_query};
use replay::{image, media, registry};

use crate::{refused, unharmed};

#[tokio::test]
async fn bad_digests_are_refused_at_every_endpoint() {
    let (server, client) = registry();
    client.push_blob("a", &b"blob"[..]).await.unwrap();
    let opened = client.post("/v2/a/blobs/uploads/").send().await.unwrap();
    let upload = opened.location().unwrap().to_owned();
    let hex = "ab".repeat(32);
    for digest in [
        "sha256:".to_owned(),
        "sha256:abc".to_owned(),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}a"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", hex.replace('a', "g")),
        format!("SHA256:{hex}"),
        format!("sha512:{hex}"),
        format!("sha384:{hex}"),
        format!("sha256:{hex}:{hex}"),
        "md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        format!("blake3:{hex}"),
        format!(":{hex}"),
        "sha256:..%2f..%2f..%2fetc%2fpasswd".to_owned(),
        format!("sha256:{}%00", &hex[1..]),
    ] {
        for (method, target) in [
            ("GET", format!("/v2/a/blobs/{digest}")),
            ("DELETE", format!("/v2/a/blobs/{digest}")),
            ("POST", format!("/v2/a/blobs/uploads/?digest={digest}")),
            ("POST", format!("/v2/b/blobs/uploads/?mount={digest}")),
            ("PUT", with_query(&upload, "digest", &digest)),
            ("GET", format!("/v2/a/manifests/{digest}")),
            ("PUT", format!("/v2/a/manifests/{digest}")),
            ("PUT", format!("/v2/a/manifests/v1?digest={digest}")),
            ("DELETE", format!("/v2/a/manifests/{digest}")),
            ("GET", format!("/v2/a/referrers/{digest}")),
        ] {
            let ask = client.request(method.parse().unwrap(), &target);
            let reply = ask.body(&b"blob"[..]).send().await.unwrap();
            refused(&reply, 400, "DIGEST_INVALID", &format!("{method} {target}"));
        }
    }
    // Nothing of it has touched the upload that was open.
    let target = with_query(&upload, "digest", &sha256(b"blob"));
    let closed = client.put(&target).body(&b"blob"[..]).send().await.unwrap();
    closed.expect(201).unwrap();
    unharmed(&server).await;
}

#[tokio::test]
async fn bytes_of_another_digest_are_not_stored() {
    let (server, client) = registry();
    let content = vec![3_u8; 400_000];
    let right = sha256(&content);
    let zeros = "0".repeat(128);
    for wrong in [sha256(b"other"), format!("sha512:{zeros}")] {
        let post = client.post(&format!("/v2/a/blobs/uploads/?digest={wrong}"));
        let reply = post.body(content.clone()).send().await.unwrap();
        refused(&reply, 400, "DIGEST_INVALID", "one POST");

        let opened = client.post("/v2/a/blobs/uploads/").send().await.unwrap();
        let target = with_query(opened.location().unwrap(), "digest", &wrong);
        let put = client.put(&target).body(content.clone());
        refused(&put.send().await.unwrap(), 400, "DIGEST_INVALID", "PUT");

        let opened = client.post("/v2/a/blobs/uploads/").send().await.unwrap();
        let patch = client.patch(opened.location().unwrap());
        let patched = patch.body(content.clone()).send().await.unwrap();
        let target = with_query(patched.location().unwrap(), "digest", &wrong);
        let reply = client.put(&target).send().await.unwrap();
        refused(&reply, 400, "DIGEST_INVALID", "PATCH and PUT");

        for digest in [&wrong, &right] {
            let asked = client.head(&format!("/v2/a/blobs/{digest}"));
            asked.send().await.unwrap().expect(404).unwrap();
        }
    }
    let pushed = client.push_blob("a", content).await.unwrap();
    assert_eq!(
        pushed, right,
        "the same bytes are taken when they are right"
    );
    unharmed(&server).await;
}

#[tokio::test]
async fn manifest_under_another_digest_is_not_stored() {
    let (server, client) = registry();
    let manifest = image(&client, "a", b"layer").await.unwrap().to_string();
    let wrong = sha256(b"other");
    for target in [
        format!("/v2/a/manifests/{wrong}"),
        format!("/v2/a/manifests/v1?digest={wrong}"),
        format!("/v2/a/manifests/{wrong}?tag=v1"),
    ] {
        let put = client.put(&target).header("Content-Type", media::MANIFEST);
        let reply = put.body(manifest.clone()).send().await.unwrap();
        refused(&reply, 400, "DIGEST_INVALID", &target);
    }
    for reference in ["v1", &wrong, &sha256(manifest.as_bytes())] {
        let asked = client.get(&format!("/v2/a/manifests/{reference}"));
        let reply = asked.send().await.unwrap();
        refused(&reply, 404, "MANIFEST_UNKNOWN", reference);
    }
    unharmed(&server).await;
}
