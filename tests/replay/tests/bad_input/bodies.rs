//! `Content-Length` that lies either way, and bodies that stop for ever.

use harness::client::{sha256, with_query};
use harness::{Client, HoldfastServer};
use replay::registry;

use crate::raw::{exchange, exchange_cut};
use crate::unharmed;

async fn open(client: &Client) -> String {
    let opened = client.post("/v2/a/blobs/uploads/").send().await.unwrap();
    let opened = opened.expect(202).unwrap();
    opened.location().unwrap().to_owned()
}

/// The head of a request with a body of this length.
fn head(method: &str, target: &str, length: u64) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
}

/// The requests that bring bytes, of which `location` is an open upload.
fn writes(location: &str) -> [(&'static str, String); 4] {
    let digest = sha256(b"0123456789");
    [
        ("PATCH", location.to_owned()),
        ("PUT", with_query(location, "digest", &digest)),
        ("POST", format!("/v2/a/blobs/uploads/?digest={digest}")),
        ("PUT", "/v2/a/manifests/v1".to_owned()),
    ]
}

/// The upload stands at its start, and takes all bytes and its end.
async fn can_be_finished(client: &Client, location: &str) {
    let status = client.get(location).send().await.unwrap();
    let status = status.expect(204).unwrap();
    assert_eq!(
        status.header("Range"),
        Some("0-0"),
        "nothing is acknowledged"
    );
    let target = with_query(location, "digest", &sha256(b"0123456789"));
    let put = client.put(&target).body(&b"0123456789"[..]);
    put.send().await.unwrap().expect(201).unwrap();
}

#[tokio::test]
async fn body_that_ends_early_leaves_the_upload_where_it_was() {
    let (server, client) = registry();
    let location = open(&client).await;
    for (method, target) in writes(&location) {
        let request = format!("{}01234", head(method, &target, 10));
        let answer = exchange_cut(server.address(), request.as_bytes()).await;
        // The connection may be gone before the answer; what comes must be clear.
        if answer.status() != 0 {
            answer.refused(400, "SIZE_INVALID", &format!("{method} {target}"));
        }
    }
    let chunked = format!(
        "PATCH {location} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n"
    );
    let answer = exchange_cut(server.address(), chunked.as_bytes()).await;
    if answer.status() != 0 {
        answer.refused(400, "SIZE_INVALID", "a chunked body without its end");
    }
    can_be_finished(&client, &location).await;
    unharmed(&server).await;
}

#[tokio::test]
async fn bytes_beyond_the_length_are_no_part_of_the_body() {
    let (server, client) = registry();
    let location = open(&client).await;
    let request = format!("{}0123456789", head("PATCH", &location, 4));
    let request = format!("{request}\r\n\r\n");
    let answer = exchange(server.address(), request.as_bytes()).await;
    assert_eq!(answer.status(), 202, "{}", answer.0);
    let (first, rest) = answer.0.split_once("\r\n\r\n").unwrap();
    assert!(first.to_lowercase().contains("range: 0-3"), "{first}");
    assert!(
        rest.starts_with("HTTP/1.1 400 "),
        "the rest is no request: {rest}"
    );

    let digest = sha256(b"0123456789");
    let target = format!("/v2/a/blobs/uploads/?digest={digest}");
    let request = format!("{}0123456789\r\n\r\n", head("POST", &target, 4));
    let answer = exchange(server.address(), request.as_bytes()).await;
    answer.refused(400, "DIGEST_INVALID", "the digest of more bytes");
    let asked = client.head(&format!("/v2/a/blobs/{digest}"));
    asked.send().await.unwrap().expect(404).unwrap();
    unharmed(&server).await;
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_refused() {
    let (server, client) = registry();
    let location = open(&client).await;
    for lengths in [
        "Content-Length: 10\r\nContent-Length: 11",
        "Content-Length: -1",
        "Content-Length: ten",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 0x0a",
    ] {
        let request =
            format!("PATCH {location} HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n0123456789");
        let answer = exchange(server.address(), request.as_bytes()).await;
        assert_eq!(answer.status(), 400, "{lengths}: {}", answer.0);
    }
    for (length, range) in [(10, "0-3"), (4, "0-9")] {
        let request = format!(
            "PATCH {location} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Range: {range}\r\nContent-Length: {length}\r\n\r\n0123456789"
        );
        let answer = exchange(server.address(), request.as_bytes()).await;
        answer.refused(400, "SIZE_INVALID", range);
    }
    can_be_finished(&client, &location).await;
    unharmed(&server).await;
}

#[tokio::test]
async fn length_of_more_than_any_blob_is_refused_before_it_comes() {
    let (server, client) = registry();
    let location = open(&client).await;
    for (method, target) in writes(&location) {
        let request = format!("{}0123456789", head(method, &target, 1 << 60));
        let answer = exchange(server.address(), request.as_bytes()).await;
        let code = if target.contains("/manifests/") {
            "MANIFEST_INVALID"
        } else {
            "SIZE_INVALID"
        };
        answer.refused(413, code, &format!("{method} {target}"));
    }
    can_be_finished(&client, &location).await;
    unharmed(&server).await;
}

#[tokio::test]
async fn bodies_that_stop_for_ever_are_given_up() {
    let server = HoldfastServer::with()
        .env("HOLDFAST_SERVER_BODY_IDLE_TIMEOUT", "1s")
        .env("HOLDFAST_SERVER_MANIFEST_TIMEOUT", "1s")
        .start()
        .unwrap();
    let client = server.client();
    let location = open(&client).await;
    let closing = open(&client).await;
    let [patch, _, post, manifest] = writes(&location);
    let [_, put, ..] = writes(&closing);
    let stopped = [patch, put, post, manifest].map(|(method, target)| {
        let address = server.address();
        async move {
            let request = format!("{}01234", head(method, &target, 10));
            let answer = exchange(address, request.as_bytes()).await;
            answer.refused(408, "BLOB_UPLOAD_INVALID", &format!("{method} {target}"));
        }
    });
    futures::future::join_all(stopped).await;
    for location in [location, closing] {
        can_be_finished(&client, &location).await;
    }
    unharmed(&server).await;
}
