//! Blobs pulled: whole, in one range, in several, under conditions; and deleted.

use ports::blob_store::faulty::{Call as BlobCall, Fault, FaultPlan};

use crate::client::{Connection, call, find, get};
use crate::fixture::{Fixture, sha256};

fn content() -> Vec<u8> {
    (0..2048_u32).map(|n| (n * 7 % 251) as u8).collect()
}

#[tokio::test]
async fn a_blob_is_served_as_it_came() {
    let server = Fixture::start().await;
    let content = content();
    let digest = server.push_blob("a", &content).await;
    let target = format!("/v2/a/blobs/{digest}");
    let whole = server
        .send(get(target.clone()).header("Accept-Encoding", "zstd, gzip"))
        .await
        .expect(200);
    assert_eq!(whole.body, content);
    assert_eq!(whole.header("content-encoding"), None);
    for answer in [whole, server.send(call("HEAD", target)).await.expect(200)] {
        assert_eq!(answer.header("content-length"), Some("2048"));
        assert_eq!(
            answer.header("content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(
            answer.header("docker-content-digest"),
            Some(digest.to_string().as_str())
        );
        assert_eq!(
            answer.header("etag"),
            Some(format!("\"{digest}\"").as_str())
        );
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert!(
            answer
                .header("cache-control")
                .unwrap()
                .contains("immutable")
        );
    }
}

#[tokio::test]
async fn the_empty_blob_is_a_blob() {
    let server = Fixture::start().await;
    let digest = server.push_blob("a", b"").await;
    let target = format!("/v2/a/blobs/{digest}");
    assert_eq!(
        server
            .send(get(target.clone()))
            .await
            .expect(200)
            .header("content-length"),
        Some("0")
    );
    server
        .send(get(target).header("Range", "bytes=0-0"))
        .await
        .expect_error(416, "SIZE_INVALID");
}

#[tokio::test]
async fn one_range_is_one_part() {
    let server = Fixture::start().await;
    let content = content();
    let digest = server.push_blob("a", &content).await;
    let ask = |range: &str| get(format!("/v2/a/blobs/{digest}")).header("Range", range);
    for (range, first, last) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
        ("bytes=0-0", 0, 0),
        ("bytes=-9999", 0, 2047),
        ("bytes=0-10,5-20", 0, 20),
    ] {
        let answer = server.send(ask(range)).await.expect(206);
        assert_eq!(answer.body, &content[first..=last], "{range}");
        assert_eq!(
            answer.header("content-range"),
            Some(format!("bytes {first}-{last}/2048").as_str())
        );
        assert_eq!(
            answer.header("content-length"),
            Some((last - first + 1).to_string().as_str())
        );
    }
    for range in ["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0"] {
        let answer = server
            .send(ask(range))
            .await
            .expect_error(416, "SIZE_INVALID");
        assert_eq!(answer.header("content-range"), Some("bytes */2048"));
    }
    for range in ["lines=1-2", "bytes=x", "bytes", "bytes="] {
        assert_eq!(
            server.send(ask(range)).await.expect(200).body,
            content,
            "{range}"
        );
    }
}

#[tokio::test]
async fn several_ranges_are_one_multipart_body() {
    let server = Fixture::start().await;
    let content = content();
    let digest = server.push_blob("a", &content).await;
    let ask = get(format!("/v2/a/blobs/{digest}")).header("Range", "bytes=0-9, 100-109,-5");
    let answer = server.send(ask).await.expect(206);
    let content_type = answer.header("content-type").unwrap();
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a boundary");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = answer.body.as_slice();
    for (first, last) in [(0, 9), (100, 109), (2043, 2047)] {
        rest = rest
            .strip_prefix(delimiter.as_bytes())
            .expect("a delimiter");
        let end = find(rest, b"\r\n\r\n").expect("a part has a head");
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        assert!(
            head.contains(&format!("Content-Range: bytes {first}-{last}/2048")),
            "{head}"
        );
        assert!(head.contains("Content-Type: application/octet-stream"));
        let (part, after) = rest[end + 4..].split_at(last - first + 1);
        assert_eq!(part, &content[first..=last]);
        rest = after;
    }
    assert_eq!(rest, format!("{delimiter}--\r\n").as_bytes());
}

#[tokio::test]
async fn if_range_counts_only_for_the_same_bytes() {
    let server = Fixture::start().await;
    let content = content();
    let digest = server.push_blob("a", &content).await;
    let ask = |etag: String| {
        get(format!("/v2/a/blobs/{digest}"))
            .header("Range", "bytes=0-9")
            .header("If-Range", etag)
    };
    server.send(ask(format!("\"{digest}\""))).await.expect(206);
    server
        .send(ask(format!("\"{}\"", sha256(b""))))
        .await
        .expect(200);
    let unchanged =
        get(format!("/v2/a/blobs/{digest}")).header("If-None-Match", format!("\"{digest}\""));
    server
        .send(unchanged.header("Range", "bytes=0-9"))
        .await
        .expect(304);
}

#[tokio::test]
async fn absent_blobs_are_404() {
    let server = Fixture::start().await;
    let absent = sha256(b"absent");
    server
        .send(get(format!("/v2/a/blobs/{absent}")))
        .await
        .expect_error(404, "NAME_UNKNOWN");
    let digest = server.push_blob("a", b"x").await;
    server
        .send(get(format!("/v2/a/blobs/{absent}")))
        .await
        .expect_error(404, "BLOB_UNKNOWN");
    server
        .send(get(format!("/v2/b/blobs/{digest}")))
        .await
        .expect(404);
    let head = server
        .send(call("HEAD", format!("/v2/a/blobs/{absent}")))
        .await
        .expect(404);
    assert_eq!(head.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_blob_in_use_is_not_deleted() {
    let server = Fixture::start().await;
    server.push_image("a", "v1", "layer").await;
    let digest = sha256(b"layer");
    server
        .send(call("DELETE", format!("/v2/a/blobs/{digest}")))
        .await
        .expect_error(409, "DENIED");
    server
        .send(get(format!("/v2/a/blobs/{digest}")))
        .await
        .expect(200);
    let loose = server.push_blob("a", b"loose").await;
    server
        .send(call("DELETE", format!("/v2/a/blobs/{loose}")))
        .await
        .expect(202);
    server
        .send(get(format!("/v2/a/blobs/{loose}")))
        .await
        .expect(404);
    server
        .send(call("DELETE", format!("/v2/a/blobs/{loose}")))
        .await
        .expect_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_read_that_fails_within_cuts_the_connection() {
    let server = Fixture::start().await;
    let content = content();
    let digest = server.push_blob("a", &content).await;
    server
        .blobs
        .set_plan(FaultPlan::none().on(BlobCall::Read, 1, Fault::CutAfter(100)));
    let mut connection = Connection::open(server.address).await;
    connection
        .write(format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .await;
    let answer = tokio::spawn(async move { connection.answer("GET").await }).await;
    assert!(
        answer.is_err(),
        "a shortened body must not look like a whole one"
    );
    server
        .blobs
        .set_plan(FaultPlan::none().on(BlobCall::Read, 1, Fault::Before));
    let answer = server.send(get(format!("/v2/a/blobs/{digest}"))).await;
    answer.expect_error(503, "UNAVAILABLE");
}
