//! Every way to push a blob, and every way to do it wrong.

use oci::{Algorithm, Digest};

use crate::client::{Answer, call, get};
use crate::fixture::{Fixture, sha256};

const ROW: &str = "0123456789";

fn with_digest(location: &str, digest: &Digest) -> String {
    format!("{location}&digest={digest}")
}

fn location(answer: &Answer) -> String {
    let location = answer.header("location").expect("a location").to_owned();
    assert!(
        location.starts_with("/v2/"),
        "a relative location survives every proxy: {location}"
    );
    location
}

#[tokio::test]
async fn in_one_post() {
    let server = Fixture::start().await;
    let digest = sha256(ROW.as_bytes());
    let answer = server
        .send(call("POST", format!("/v2/a/blobs/uploads?digest={digest}")).body(ROW))
        .await
        .expect(201);
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(digest.to_string().as_str())
    );
    assert_eq!(location(&answer), format!("/v2/a/blobs/{digest}"));
    server.send(get(location(&answer))).await.expect(200);
    let wrong = sha256(b"other");
    let wrong = call("POST", format!("/v2/a/blobs/uploads/?digest={wrong}")).body(ROW);
    server.send(wrong).await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn as_containerd_does_with_one_put() {
    let server = Fixture::start().await;
    let opened = server
        .send(call("POST", "/v2/a/blobs/uploads/").body(""))
        .await
        .expect(202);
    assert_eq!(opened.header("range"), Some("0-0"));
    assert_eq!(opened.header("oci-chunk-min-length"), None);
    let id = opened.header("docker-upload-uuid").unwrap();
    assert!(location(&opened).contains(id));
    let digest = sha256(ROW.as_bytes());
    let answer = server
        .send(call("PUT", with_digest(&location(&opened), &digest)).body(ROW))
        .await
        .expect(201);
    assert_eq!(location(&answer), format!("/v2/a/blobs/{digest}"));
    let again = server
        .send(call("PUT", with_digest(&location(&opened), &digest)).body(ROW))
        .await
        .expect(201);
    assert_eq!(
        again.header("docker-content-digest"),
        Some(digest.to_string().as_str())
    );
}

#[tokio::test]
async fn as_docker_does_with_a_stream() {
    let server = Fixture::start().await;
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
    let opened = server.open_upload("a").await;
    let patched = server
        .send(call("PATCH", opened).chunked(&content))
        .await
        .expect(202);
    assert_eq!(patched.header("range"), Some("0-299999"));
    assert!(patched.header("docker-upload-uuid").is_some());
    let digest = sha256(&content);
    let closed = server
        .send(call("PUT", with_digest(&location(&patched), &digest)).body(""))
        .await
        .expect(201);
    assert_eq!(
        server.send(get(location(&closed))).await.expect(200).body,
        content
    );
}

#[tokio::test]
async fn in_chunks_with_the_last_in_put() {
    let server = Fixture::start().await;
    let opened = server.open_upload("a").await;
    let first = server
        .send(
            call("PATCH", opened)
                .header("Content-Range", "0-3")
                .body(&ROW[..4]),
        )
        .await
        .expect(202);
    assert_eq!(first.header("range"), Some("0-3"));
    let second = call("PATCH", location(&first))
        .header("Content-Range", "bytes 4-6/*")
        .body(&ROW[4..7]);
    let second = server.send(second).await.expect(202);
    assert_eq!(second.header("range"), Some("0-6"));
    let digest = sha256(ROW.as_bytes());
    let last = call("PUT", with_digest(&location(&second), &digest))
        .header("Content-Range", "7-9")
        .body(&ROW[7..]);
    server.send(last).await.expect(201);
}

#[tokio::test]
async fn a_chunk_out_of_order_is_416_with_the_true_range() {
    let server = Fixture::start().await;
    let opened = server.open_upload("a").await;
    let digest = sha256(ROW.as_bytes());
    let early = call("PATCH", opened.clone())
        .header("Content-Range", "4-6")
        .body(&ROW[4..7]);
    let refused = server
        .send(early)
        .await
        .expect_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(refused.header("range"), Some("0-0"));
    let first = call("PATCH", location(&refused))
        .header("Content-Range", "0-3")
        .body(&ROW[..4]);
    let first = server.send(first).await.expect(202);
    for (method, range, bytes) in [
        ("PATCH", "0-3", &ROW[..4]),
        ("PATCH", "2-5", &ROW[2..6]),
        ("PUT", "7-9", &ROW[7..]),
    ] {
        let target = with_digest(&location(&first), &digest);
        let answer = server
            .send(
                call(method, target)
                    .header("Content-Range", range)
                    .body(bytes),
            )
            .await;
        let answer = answer.expect_error(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(answer.header("range"), Some("0-3"), "{method} {range}");
        assert!(location(&answer).ends_with("?at=4"));
        assert!(answer.header("docker-upload-uuid").is_some());
    }
    for method in ["GET", "HEAD"] {
        let status = server
            .send(call(method, location(&first)))
            .await
            .expect(204);
        assert_eq!(status.header("range"), Some("0-3"));
    }
    let last = call("PUT", with_digest(&location(&first), &digest))
        .header("Content-Range", "4-9")
        .body(&ROW[4..]);
    server.send(last).await.expect(201);
}

#[tokio::test]
async fn a_request_without_range_starts_where_its_location_says() {
    let server = Fixture::start().await;
    let opened = server.open_upload("a").await;
    let first = server
        .send(call("PATCH", opened.clone()).body(&ROW[..7]))
        .await
        .expect(202);
    // As containerd repeats a whole body: to the same location, from byte 0.
    let digest = sha256(ROW.as_bytes());
    let repeated = server
        .send(call("PUT", with_digest(&opened, &digest)).body(ROW))
        .await
        .expect(201);
    assert_eq!(
        repeated.header("docker-content-digest"),
        Some(digest.to_string().as_str())
    );
    server
        .send(call("PATCH", location(&first)).body("x"))
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn bad_chunks_are_refused_clearly() {
    let server = Fixture::start().await;
    let opened = server.open_upload("a").await;
    let patch = |range: &str| call("PATCH", opened.clone()).header("Content-Range", range);
    server
        .send(patch("abc").body("x"))
        .await
        .expect_error(400, "BLOB_UPLOAD_INVALID");
    server
        .send(patch("9-3").body("x"))
        .await
        .expect_error(400, "BLOB_UPLOAD_INVALID");
    server
        .send(patch("0-9").body("x"))
        .await
        .expect_error(400, "SIZE_INVALID");
    server
        .send(patch("0-0").header("Content-Range", "0-0").body("x"))
        .await
        .expect_error(400, "BLOB_UPLOAD_INVALID");
    server
        .send(patch("0-9").chunked(b"123"))
        .await
        .expect_error(400, "SIZE_INVALID");
    server
        .send(call("PATCH", opened.replace("at=0", "at=x")).body("x"))
        .await
        .expect_error(400, "UNSUPPORTED");
    server
        .send(call("PUT", opened.clone()).body(""))
        .await
        .expect_error(400, "DIGEST_INVALID");
    for digest in [
        "sha256:abc",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "x",
        "sha256:%00",
    ] {
        let put = call("PUT", format!("{opened}&digest={digest}")).body("");
        server.send(put).await.expect_error(400, "DIGEST_INVALID");
    }
    let wrong = call("PUT", with_digest(&opened, &sha256(b"other"))).body(ROW);
    server.send(wrong).await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let server = Fixture::start().await;
    let opened = server.open_upload("a").await;
    server
        .send(call("DELETE", opened.clone()).body(""))
        .await
        .expect(204);
    server
        .send(get(opened.clone()))
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    server
        .send(call("PATCH", opened.clone()).body("x"))
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    let elsewhere = server.open_upload("a").await.replace("/v2/a/", "/v2/b/");
    server
        .send(get(elsewhere))
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_blob_is_mounted_or_an_upload_opened() {
    let server = Fixture::start().await;
    let digest = server.push_blob("a", ROW.as_bytes()).await;
    let mount = |query: String| call("POST", format!("/v2/b/blobs/uploads/?{query}")).body("");
    let mounted = server
        .send(mount(format!("mount={digest}&from=a")))
        .await
        .expect(201);
    assert_eq!(location(&mounted), format!("/v2/b/blobs/{digest}"));
    assert_eq!(
        mounted.header("docker-content-digest"),
        Some(digest.to_string().as_str())
    );
    server.send(get(location(&mounted))).await.expect(200);
    let anywhere = call("POST", format!("/v2/c/blobs/uploads/?mount={digest}")).body("");
    server.send(anywhere).await.expect(201);
    let missed = server
        .send(mount(format!("mount={}&from=a", sha256(b"absent"))))
        .await
        .expect(202);
    assert!(location(&missed).contains("/blobs/uploads/"));
    server
        .send(mount("mount=x&from=a".into()))
        .await
        .expect_error(400, "DIGEST_INVALID");
    server
        .send(mount(format!("mount={digest}&from=A")))
        .await
        .expect_error(400, "NAME_INVALID");
}

#[tokio::test]
async fn sha512_is_asked_for_or_named_at_the_end() {
    let server = Fixture::start().await;
    let digest = Digest::of(Algorithm::Sha512, ROW.as_bytes());
    for query in ["?digest-algorithm=sha512", ""] {
        let opened = server
            .send(call("POST", format!("/v2/a/blobs/uploads/{query}")).body(""))
            .await
            .expect(202);
        let patched = server
            .send(call("PATCH", location(&opened)).body(ROW))
            .await
            .expect(202);
        let closed = server
            .send(call("PUT", with_digest(&location(&patched), &digest)).body(""))
            .await
            .expect(201);
        assert_eq!(
            server.send(get(location(&closed))).await.expect(200).body,
            ROW.as_bytes()
        );
        server
            .send(call("DELETE", location(&closed)))
            .await
            .expect(202);
    }
    let unknown = call("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5").body("");
    server
        .send(unknown)
        .await
        .expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_smallest_chunk_is_told_when_there_is_one() {
    let server = Fixture::with(|settings| settings.chunk_bytes_min = 4096).await;
    let opened = server
        .send(call("POST", "/v2/a/blobs/uploads/").body(""))
        .await
        .expect(202);
    assert_eq!(opened.header("oci-chunk-min-length"), Some("4096"));
}
