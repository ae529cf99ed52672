//! Connections that misbehave, and limits.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ports::metadata_store::faulty::{Call as MetadataCall, Fault, FaultPlan};

use crate::client::{Connection, call, get};
use crate::fixture::{Fixture, sha256};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn one_connection_serves_one_request_after_the_other() {
    let server = Fixture::start().await;
    let mut connection = Connection::open(server.address).await;
    for _ in 0..3 {
        connection.send(&get("/v2/")).await.expect(200);
        connection
            .send(&call("HEAD", "/v2/a/manifests/x"))
            .await
            .expect(404);
        // A small body that nobody wants is read away.
        connection
            .send(&call("PUT", "/v2/A/manifests/x").body("unwanted"))
            .await
            .expect_error(400, "NAME_INVALID");
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_works() {
    let server = Fixture::start().await;
    let stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let content = vec![7_u8; 3 * 1024 * 1024];
    let digest = sha256(&content);
    let request = hyper::Request::post(format!(
        "http://registry.test/v2/a/blobs/uploads/?digest={digest}"
    ))
    .body(Full::new(Bytes::from(content.clone())))
    .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 201);
    let request = hyper::Request::get(format!("http://registry.test/v2/a/blobs/{digest}"))
        .body(Full::new(Bytes::new()))
        .unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(
        reply.headers()["docker-distribution-api-version"],
        "registry/2.0"
    );
    assert_eq!(
        reply.into_body().collect().await.unwrap().to_bytes(),
        content
    );
    let request = hyper::Request::head("http://registry.test/v2/a/tags/list")
        .body(Full::new(Bytes::new()))
        .unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(
        reply.into_body().collect().await.unwrap().to_bytes().len(),
        0
    );
}

#[tokio::test]
async fn a_body_that_stops_is_408_and_the_end() {
    let server = Fixture::with(|settings| settings.body_idle_timeout = SHORT).await;
    let upload = server.open_upload("a").await;
    for target in [upload.as_str(), "/v2/a/manifests/x"] {
        let method = if target == upload { "PATCH" } else { "PUT" };
        let mut connection = Connection::open(server.address).await;
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this"
        );
        connection.write(head.as_bytes()).await;
        let answer = connection
            .answer(method)
            .await
            .expect_error(408, "BLOB_UPLOAD_INVALID");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.is_closed().await);
    }
}

#[tokio::test]
async fn a_manifest_that_trickles_is_given_up() {
    let server = Fixture::with(|settings| settings.manifest_timeout = SHORT).await;
    let mut connection = Connection::open(server.address).await;
    connection
        .write(b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .await;
    connection
        .answer("PUT")
        .await
        .expect_error(408, "BLOB_UPLOAD_INVALID");
}

#[tokio::test]
async fn a_body_cut_short_leaves_the_acknowledged_offset() {
    let server = Fixture::start().await;
    let upload = server.open_upload("a").await;
    let mut connection = Connection::open(server.address).await;
    let head =
        format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this");
    connection.write(head.as_bytes()).await;
    drop(connection);
    let status = server.send(get(upload.clone())).await.expect(204);
    assert_eq!(status.header("range"), Some("0-0"));
    let digest = sha256(b"all");
    server
        .send(call("PUT", format!("{upload}&digest={digest}")).body("all"))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_length_that_is_too_short_ends_the_connection_after_its_bytes() {
    let server = Fixture::start().await;
    let upload = server.open_upload("a").await;
    let mut connection = Connection::open(server.address).await;
    let head = format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
    connection
        .write(format!("{head}0123\x01\x02\x03\r\n\r\n").as_bytes())
        .await;
    let answer = connection.answer("PATCH").await.expect(202);
    assert_eq!(answer.header("range"), Some("0-3"));
    connection.answer("GET").await.expect(400);
    assert!(connection.is_closed().await);
    let lengths = "Content-Length: 4\r\nContent-Length: 5\r\n";
    let mut connection = Connection::open(server.address).await;
    let head = format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\n{lengths}\r\n01234");
    connection.write(head.as_bytes()).await;
    connection.answer("PATCH").await.expect(400);
}

#[tokio::test]
async fn of_two_writers_the_later_goes_on_and_the_earlier_is_told() {
    let server = Fixture::start().await;
    let upload = server.open_upload("a").await;
    let mut earlier = Connection::open(server.address).await;
    let head = format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
    earlier.write(head.as_bytes()).await;
    while server.metadata.calls(MetadataCall::Propose) < 2 {
        tokio::task::yield_now().await;
    }
    let later = server.send(call("PATCH", upload).body("0123456789")).await;
    assert_eq!(later.expect(202).header("range"), Some("0-9"));
    earlier.write(b"def").await;
    let fenced = earlier
        .answer("PATCH")
        .await
        .expect_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(fenced.header("range"), Some("0-9"));
    let location = fenced
        .header("location")
        .expect("where to go on")
        .to_owned();
    let digest = sha256(b"0123456789");
    let closed = call("PUT", format!("{location}&digest={digest}")).body("");
    server.send(closed).await.expect(201);
}

#[tokio::test]
async fn a_large_body_that_nobody_wants_closes_the_connection() {
    let server = Fixture::start().await;
    let mut connection = Connection::open(server.address).await;
    connection.write(b"PATCH /v2/A/blobs/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc").await;
    let answer = connection
        .answer("PATCH")
        .await
        .expect_error(400, "NAME_INVALID");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let server = Fixture::start().await;
    let large = get("/v2/").header("X-Large", "x".repeat(100 * 1024));
    let answer = server.send(large).await.expect_error(431, "UNSUPPORTED");
    assert_eq!(answer.header("connection"), Some("close"));
    let many = (0..1000).fold(get("/v2/"), |call, n| call.header(&format!("X-{n}"), "x"));
    assert!(matches!(server.send(many).await.status, 400 | 431));
    let huge = get("/v2/").header("X-Huge", "x".repeat(2 * 1024 * 1024));
    assert_eq!(server.send(huge).await.status, 431);
    let long = get(format!("/v2/{}", "x".repeat(70_000)));
    assert_eq!(server.send(long).await.status, 414);
    server.send(get("/v2/")).await.expect(200);
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let server = Fixture::start().await;
    for bytes in [
        "\x16\x03\x01\x02\x00",
        "GET /v2/ \r\n\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET /v2/\x01 HTTP/1.1\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.address).await;
        connection.write(bytes.as_bytes()).await;
        assert_eq!(connection.answer("GET").await.status, 400, "{bytes:?}");
        assert!(connection.is_closed().await);
    }
    server.send(get("/v2/")).await.expect(200);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = Fixture::with(|settings| settings.header_timeout = SHORT).await;
    for start in ["", "P", "GET /v2/ HTTP/1.1\r\nHost:"] {
        let mut connection = Connection::open(server.address).await;
        connection.write(start.as_bytes()).await;
        assert!(connection.is_closed().await, "{start:?}");
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_and_are_then_told_to_come_back() {
    let server = Fixture::with(|settings| {
        settings.requests_max = 1;
        settings.queue_wait = SHORT;
    })
    .await;
    server
        .metadata
        .set_plan(FaultPlan::none().on(MetadataCall::Read, 1, Fault::Hang));
    let mut hanging = Connection::open(server.address).await;
    hanging
        .write(b"GET /v2/a/tags/list HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    while server.metadata.calls(MetadataCall::Read) == 0 {
        tokio::task::yield_now().await;
    }
    let answer = server
        .send(get("/v2/"))
        .await
        .expect_error(429, "TOOMANYREQUESTS");
    assert!(answer.header("retry-after").is_some());
    server.send(get("/healthz")).await.expect(200);
    drop(hanging);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_to_come_back() {
    let server = Fixture::with(|settings| settings.connections_max = 2).await;
    let mut first = Connection::open(server.address).await;
    first.send(&get("/v2/")).await.expect(200);
    let mut second = Connection::open(server.address).await;
    second.send(&get("/v2/")).await.expect(200);
    let mut third = Connection::open(server.address).await;
    let answer = third
        .send(&get("/v2/"))
        .await
        .expect_error(429, "TOOMANYREQUESTS");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(third.is_closed().await);
    first.send(&get("/v2/")).await.expect(200);
    drop(first);
    // The place is free as soon as the server has noticed.
    loop {
        if server.send(get("/v2/")).await.status == 200 {
            break;
        }
    }
}
