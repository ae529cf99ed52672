//! A stop that clients do not notice: what is in flight is finished, and connections end with FIN.

use std::time::Duration;

use api::Settings;
use bytes::Bytes;
use front::{Front, FrontSettings, ProxyProtocol};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ports::blob_store::faulty::Call as BlobCall;
use ports::metadata_store::faulty::{Call as MetadataCall, Fault, FaultPlan};
use ports::metadata_store::memory::MemoryMetadataStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Connection, get};
use crate::fixture::{Fixture, sha256};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight() {
    let mut server = Fixture::start().await;
    let upload = server.open_upload("a").await;
    let mut idle = Connection::open(server.address).await;
    idle.send(&get("/v2/")).await.expect(200);
    let mut busy = Connection::open(server.address).await;
    let digest = sha256(b"first second");
    let head = format!(
        "PUT {upload}&digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nfirst "
    );
    busy.write(head.as_bytes()).await;
    // The request has begun when it has asked the log for the right to write, after the upload was opened.
    while server.metadata.calls(MetadataCall::Propose) < 2 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    assert!(idle.is_closed().await, "idle connections are closed");
    busy.write(b"second").await;
    let answer = busy.answer("PUT").await.expect(201);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(busy.is_closed().await);
    (&mut server.serving)
        .await
        .expect("the server ends by itself");
    assert!(
        tokio::net::TcpStream::connect(server.address)
            .await
            .is_err(),
        "nothing listens any more"
    );
}

#[tokio::test]
async fn a_node_that_drains_is_not_ready_but_serves() {
    let server = Fixture::with(|settings| settings.drain_delay = LONG).await;
    server.send(get("/readyz")).await.expect(200);
    server.shutdown.cancel();
    while server.send(get("/readyz")).await.status == 200 {}
    server.send(get("/v2/")).await.expect(200);
    server.send(get("/healthz")).await.expect(200);
}

/// Everything until the end of the connection, which is no reset.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = tokio::time::timeout(LONG, stream.read_to_string(&mut text));
    read.await.expect("an end in time").expect("FIN and no RST");
    text
}

#[tokio::test]
async fn an_upload_that_outlasts_the_stop_keeps_what_came_and_is_told() {
    let log = MemoryMetadataStore::new();
    let at_once = |settings: &mut Settings| settings.drain_deadline = Duration::ZERO;
    let mut server = Fixture::over(log.clone(), at_once).await;
    let upload = server.open_upload("a").await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    // Parts have 64 KiB: one is whole, and the first byte of the next says so.
    let head = format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
    busy.write_all(head.as_bytes()).await.unwrap();
    busy.write_all(&[7; 64 * 1024 + 1]).await.unwrap();
    while server.blobs.calls(BlobCall::Store) < 1 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    let answer = read_to_end(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("\r\nretry-after: "), "{answer}");
    assert!(answer.contains("UNAVAILABLE"), "{answer}");
    drop(busy);
    (&mut server.serving)
        .await
        .expect("the server ends by itself");
    let next = Fixture::over(log, |_| {}).await;
    let status = next.send(get(&upload)).await.expect(204);
    assert_eq!(status.header("range"), Some("0-65535"));
}

#[tokio::test]
async fn a_request_that_meets_the_end_of_its_connection_is_not_reset() {
    let server = Fixture::start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let request = b"HEAD /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    idle.write_all(request).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    server.shutdown.cancel();
    // The end has been said, and the client has not read it yet.
    while TcpStream::connect(server.address).await.is_ok() {}
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        idle.write_all(request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rest = read_to_end(&mut idle).await;
    assert!(!rest.contains("HTTP/1.1"), "it was answered: {rest}");
}

#[tokio::test]
async fn a_connection_that_has_just_begun_is_served() {
    let server = Fixture::start().await;
    let mut new = Connection::open(server.address).await;
    // It is taken.
    server.send(get("/v2/")).await.expect(200);
    server.shutdown.cancel();
    while TcpStream::connect(server.address).await.is_ok() {}
    let answer = new.send(&get("/v2/")).await.expect(200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(new.is_closed().await);
}

#[tokio::test]
async fn who_owes_a_word_before_http_holds_no_stop_up() {
    let proxies = FrontSettings {
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        proxy_protocol: ProxyProtocol::Required,
        handshake_timeout: LONG,
        ..FrontSettings::default()
    };
    let mut server = Fixture::behind(Front::new(proxies, None)).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut proxy = TcpStream::connect(server.address).await.unwrap();
    let said = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /readyz?verbose HTTP/1.0\r\n\r\n";
    proxy.write_all(said).await.unwrap();
    let answer = read_to_end(&mut proxy).await;
    assert!(
        answer.ends_with("\r\n\r\nready\npart: as it should be\n"),
        "{answer}"
    );
    server.shutdown.cancel();
    let ended = tokio::time::timeout(LONG / 2, &mut server.serving);
    ended.await.expect("nobody is waited for").unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
}

#[tokio::test]
async fn http2_ends_with_goaway_after_what_is_in_flight() {
    let mut server = Fixture::start().await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let slow = FaultPlan::none().on(
        MetadataCall::Read,
        1,
        Fault::Delay(Duration::from_millis(300)),
    );
    server.metadata.set_plan(slow);
    let request = hyper::Request::get("http://registry.test/v2/_catalog")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let in_flight = sender.send_request(request);
    let in_flight = tokio::spawn(in_flight);
    while server.metadata.calls(MetadataCall::Read) < 1 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    let reply = in_flight.await.unwrap().expect("it is finished");
    assert_eq!(reply.status(), 200);
    reply.into_body().collect().await.expect("to its end");
    let ended = connection.await.unwrap();
    assert!(ended.is_ok(), "{ended:?}");
    let request = hyper::Request::get("http://registry.test/v2/")
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert!(sender.send_request(request).await.is_err());
    (&mut server.serving)
        .await
        .expect("the server ends by itself");
}
