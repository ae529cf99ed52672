//! Manifests: pushed, pulled, compared and swapped, deleted, refused.

use oci::MANIFEST_BYTES_MAX;
use serde_json::json;

use crate::client::{call, get};
use crate::fixture::{Fixture, OCI_INDEX, OCI_MANIFEST, manifest_put, sha256};

#[tokio::test]
async fn what_was_pushed_is_pulled_by_tag_and_digest() {
    let server = Fixture::start().await;
    let manifest = server.image("a/b", "one").await;
    let bytes = format!("{}\n\n", serde_json::to_string_pretty(&manifest).unwrap());
    let digest = sha256(bytes.as_bytes());
    let push = call("PUT", "/v2/a/b/manifests/v1")
        .header("Content-Type", OCI_MANIFEST)
        .body(bytes.as_str());
    let answer = server.send(push).await.expect(201);
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.to_string().as_str())
    );
    assert_eq!(
        answer.header("location"),
        Some(format!("/v2/a/b/manifests/{digest}").as_str())
    );
    assert_eq!(answer.header("oci-tag"), Some("v1"));
    assert_eq!(answer.header("oci-subject"), None);
    for reference in ["v1".to_owned(), digest.to_string()] {
        let target = format!("/v2/a/b/manifests/{reference}");
        let answer = server.send(get(target.clone())).await.expect(200);
        assert_eq!(answer.body, bytes.as_bytes());
        for answer in [answer, server.send(call("HEAD", target)).await.expect(200)] {
            assert_eq!(answer.header("content-type"), Some(OCI_MANIFEST));
            assert_eq!(
                answer.header("content-length"),
                Some(bytes.len().to_string().as_str())
            );
            assert_eq!(
                answer.header("docker-content-digest"),
                Some(digest.to_string().as_str())
            );
            assert_eq!(
                answer.header("etag"),
                Some(format!("\"{digest}\"").as_str())
            );
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
    let tag = server.send(get("/v2/a/b/manifests/v1")).await;
    assert_eq!(tag.header("cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn accept_headers_change_nothing() {
    let server = Fixture::start().await;
    server.push_image("a", "v1", "one").await;
    let accept = get("/v2/a/manifests/v1")
        .header("Accept", OCI_INDEX)
        .header("Accept", "text/html, */*;q=0.1");
    assert_eq!(
        server.send(accept).await.expect(200).header("content-type"),
        Some(OCI_MANIFEST)
    );
}

#[tokio::test]
async fn an_unchanged_manifest_is_304() {
    let server = Fixture::start().await;
    let digest = server.push_image("a", "v1", "one").await;
    for method in ["GET", "HEAD"] {
        let asked =
            call(method, "/v2/a/manifests/v1").header("If-None-Match", format!("W/\"{digest}\""));
        let answer = server.send(asked).await.expect(304);
        assert_eq!(
            answer.header("etag"),
            Some(format!("\"{digest}\"").as_str())
        );
        assert_eq!(
            answer.header("docker-content-digest"),
            Some(digest.to_string().as_str())
        );
    }
    let other = get("/v2/a/manifests/v1").header("If-None-Match", format!("\"{}\"", sha256(b"x")));
    server.send(other).await.expect(200);
}

#[tokio::test]
async fn tags_are_compared_and_swapped() {
    let server = Fixture::start().await;
    let one = server.image("a", "one").await;
    let two = server.image("a", "two").await;
    let put = |manifest| manifest_put("a", "v1", manifest);
    let new = put(&one).header("If-None-Match", "*");
    let first = server.send(new.clone()).await.expect(201);
    let first = first.header("docker-content-digest").unwrap().to_owned();
    let taken = server
        .send(put(&two).header("If-None-Match", "*"))
        .await
        .expect_error(412, "DENIED");
    assert_eq!(
        taken.json()["errors"][0]["detail"],
        json!({"tag": "v1", "current": first})
    );
    let wrong = format!("\"{}\"", sha256(b"other"));
    server
        .send(put(&two).header("If-Match", wrong.clone()))
        .await
        .expect_error(412, "DENIED");
    let moved = server
        .send(put(&two).header("If-Match", format!("\"{first}\"")))
        .await
        .expect(201);
    let second = moved.header("etag").unwrap().to_owned();
    server
        .send(
            put(&one)
                .header("If-Match", "*")
                .header("If-None-Match", "*"),
        )
        .await
        .expect_error(400, "UNSUPPORTED");
    let delete = || call("DELETE", "/v2/a/manifests/v1");
    server
        .send(delete().header("If-Match", wrong))
        .await
        .expect_error(412, "DENIED");
    server
        .send(delete().header("If-Match", second))
        .await
        .expect(202);
    server
        .send(put(&one).header("If-Match", "*"))
        .await
        .expect_error(412, "DENIED");
}

#[tokio::test]
async fn several_tags_move_together_or_not_at_all() {
    let server = Fixture::start().await;
    let one = server.image("a", "one").await;
    let two = server.image("a", "two").await;
    let digest = sha256(one.to_string().as_bytes());
    let target = format!("{digest}?tag=b&tag=a&tag=b");
    let answer = server.push_manifest("a", &target, &one).await.expect(201);
    assert_eq!(answer.header("oci-tag"), Some("a, b"));
    let digest_two = sha256(two.to_string().as_bytes());
    let target = format!("{digest_two}?tag=c&tag=a");
    server
        .send(manifest_put("a", &target, &two).header("If-None-Match", "*"))
        .await
        .expect_error(412, "DENIED");
    server
        .send(get("/v2/a/manifests/c"))
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    server
        .push_manifest("a", &format!("{digest_two}?tag=c&tag=.bad"), &two)
        .await
        .expect_error(400, "MANIFEST_INVALID");
    server.send(get("/v2/a/manifests/c")).await.expect(404);
    let many: Vec<String> = (0..101).map(|n| format!("tag=t{n}")).collect();
    server
        .push_manifest("a", &format!("{digest_two}?{}", many.join("&")), &two)
        .await
        .expect_error(414, "UNSUPPORTED");
    let answer = server
        .push_manifest(
            "a",
            &format!("{digest_two}?{}", many[..100].join("&")),
            &two,
        )
        .await
        .expect(201);
    assert_eq!(answer.all("oci-tag").join(", ").split(", ").count(), 100);
}

#[tokio::test]
async fn a_subject_is_acknowledged() {
    let server = Fixture::start().await;
    let subject = sha256(b"not there");
    let mut manifest = server.image("a", "one").await;
    manifest["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": subject, "size": 9});
    let answer = server.push_manifest("a", "v1", &manifest).await.expect(201);
    assert_eq!(
        answer.header("oci-subject"),
        Some(subject.to_string().as_str())
    );
}

#[tokio::test]
async fn an_idempotency_key_gets_the_first_answer() {
    let server = Fixture::start().await;
    let one = server.image("a", "one").await;
    let two = server.image("a", "two").await;
    let put =
        |manifest, key: &str| manifest_put("a", "v1", manifest).header("Idempotency-Key", key);
    server.send(put(&one, "k1")).await.expect(201);
    server.push_manifest("a", "v1", &two).await.expect(201);
    server.send(put(&one, "k1")).await.expect(201);
    let digest_two = sha256(two.to_string().as_bytes()).to_string();
    let now = server.send(get("/v2/a/manifests/v1")).await;
    assert_eq!(
        now.header("docker-content-digest"),
        Some(digest_two.as_str()),
        "the repetition had no second effect"
    );
    server
        .send(put(&two, "k1"))
        .await
        .expect_error(422, "DENIED");
    server
        .send(put(&two, ""))
        .await
        .expect_error(400, "UNSUPPORTED");
    server
        .send(put(&two, &"k".repeat(256)))
        .await
        .expect_error(400, "UNSUPPORTED");
}

#[tokio::test]
async fn sha512_is_served_beside_sha256() {
    let server = Fixture::start().await;
    let manifest = server.image("a", "one").await;
    let digest = oci::Digest::of(oci::Algorithm::Sha512, manifest.to_string().as_bytes());
    let answer = server
        .push_manifest("a", &format!("{digest}?tag=v1"), &manifest)
        .await
        .expect(201);
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.to_string().as_str())
    );
    let answer = server.send(get("/v2/a/manifests/v1")).await.expect(200);
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.to_string().as_str())
    );
    let by_parameter = format!("v2?digest={digest}");
    let answer = server
        .push_manifest("a", &by_parameter, &manifest)
        .await
        .expect(201);
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.to_string().as_str())
    );
}

#[tokio::test]
async fn bad_manifests_are_refused_clearly() {
    let server = Fixture::start().await;
    let image = server.image("a", "one").await.to_string();
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let version = "\"schemaVersion\":2";
    let twice = image.replacen(version, &format!("{version},{version}"), 1);
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (name, content_type, body) in [
        ("no JSON", OCI_MANIFEST, "hello"),
        ("nothing", OCI_MANIFEST, ""),
        ("nested deep", OCI_MANIFEST, &nested),
        ("a key twice", OCI_MANIFEST, &twice),
        ("another type", OCI_INDEX, &image),
        ("no type at all", "no type at all", &image),
        ("schema 1", schema1, "{\"schemaVersion\":1}"),
    ] {
        let put = call("PUT", "/v2/a/manifests/x").header("Content-Type", content_type);
        let answer = server.send(put.body(body)).await;
        let got = (answer.status, answer.code());
        assert_eq!(got, (400, "MANIFEST_INVALID".to_owned()), "{name}");
    }
    server.send(get("/v2/a/manifests/x")).await.expect(404);
}

#[tokio::test]
async fn a_manifest_of_absent_blobs_is_refused_with_their_digests() {
    let server = Fixture::start().await;
    let absent = sha256(b"absent").to_string();
    let mut image = server.image("a", "one").await;
    image["layers"][0]["digest"] = json!(absent);
    let refused = server.push_manifest("a", "x", &image).await;
    let refused = refused.expect_error(404, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], absent);
}

#[tokio::test]
async fn bad_references_are_refused_clearly() {
    let server = Fixture::start().await;
    let image = server.image("a", "one").await;
    for (reference, code) in [
        (sha256(b"other").to_string(), "DIGEST_INVALID"),
        ("sha256:baddigeststring".to_owned(), "DIGEST_INVALID"),
        ("-x".to_owned(), "MANIFEST_INVALID"),
        ("t".repeat(129), "MANIFEST_INVALID"),
    ] {
        let answer = server.push_manifest("a", &reference, &image).await;
        answer.expect_error(400, code);
    }
}

#[tokio::test]
async fn manifests_have_a_largest_size() {
    let server = Fixture::start().await;
    let mut image = server.image("a", "one").await;
    image["annotations"] = json!({"fill": ""});
    let fill = MANIFEST_BYTES_MAX - image.to_string().len();
    image["annotations"]["fill"] = json!("x".repeat(fill));
    let largest = image.to_string();
    assert_eq!(largest.len(), MANIFEST_BYTES_MAX);
    let put = |body: &str| {
        call("PUT", "/v2/a/manifests/large")
            .header("Content-Type", OCI_MANIFEST)
            .body(body)
    };
    let answer = server.send(put(&largest)).await.expect(201);
    let pulled = server
        .send(get(answer.header("location").unwrap()))
        .await
        .expect(200);
    assert_eq!(pulled.body, largest.as_bytes());
    let too_large = format!("{largest} ");
    server
        .send(put(&too_large))
        .await
        .expect_error(413, "MANIFEST_INVALID");
    let unknown_length = call("PUT", "/v2/a/manifests/large").header("Content-Type", OCI_MANIFEST);
    server
        .send(unknown_length.chunked(too_large.as_bytes()))
        .await
        .expect_error(413, "MANIFEST_INVALID");
}

#[tokio::test]
async fn deleting_a_tag_leaves_the_manifest_and_deleting_that_takes_its_tags() {
    let server = Fixture::start().await;
    let digest = server.push_image("a", "v1", "one").await;
    server.push_image("a", "v2", "one").await;
    server
        .send(call("DELETE", "/v2/a/manifests/v1"))
        .await
        .expect(202);
    server
        .send(call("DELETE", "/v2/a/manifests/v1"))
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    server
        .send(get(format!("/v2/a/manifests/{digest}")))
        .await
        .expect(200);
    let wrong = call("DELETE", format!("/v2/a/manifests/{digest}"))
        .header("If-Match", format!("\"{}\"", sha256(b"")));
    server.send(wrong).await.expect_error(412, "DENIED");
    server
        .send(call("DELETE", format!("/v2/a/manifests/{digest}")))
        .await
        .expect(202);
    server
        .send(get("/v2/a/manifests/v2"))
        .await
        .expect_error(404, "MANIFEST_UNKNOWN");
    server
        .send(get("/v2/nobody/manifests/v2"))
        .await
        .expect_error(404, "NAME_UNKNOWN");
}
