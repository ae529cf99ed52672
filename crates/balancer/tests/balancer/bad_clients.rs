//! Clients that say nonsense, stop half-way, or never begin. None of them harms another.

use std::time::Duration;

use balancer::Settings;
use tokio::io::AsyncWriteExt as _;

use crate::stub::Stub;
use crate::{MANIFEST, Serving, UPLOAD, is_own_error, last_request, read_all};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_refused_and_the_next_client_is_served() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    let long_head = format!(
        "GET /v2/ HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let many_headers = format!("GET /v2/ HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let nonsense: &[&[u8]] = &[
        b"\0\xff\xfe\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"GET /v2/\xff HTTP/1.1\r\nHost: \xff\r\nConnection: \xff\r\n\xff: 1\r\n\r\n",
        b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PATCH /v2/a/blobs/uploads/b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        long_head.as_bytes(),
        many_headers.as_bytes(),
    ];
    for bytes in nonsense {
        let mut stream = serving.connect().await;
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let answer = read_all(&mut stream).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{shown}: {answer}");
        let answer = serving.say(&last_request("GET", MANIFEST, "")).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 "),
            "after {shown}: {answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnel_is_refused_in_oci_json() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    let answer = serving.say(&last_request("CONNECT", "h:1", "")).await;
    is_own_error(&answer, 400, "UNSUPPORTED");
    assert_eq!(node.heads(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_that_stops_is_given_up() {
    let node = Stub::start().await;
    let settings = Settings {
        whole_body_timeout: Duration::from_millis(100),
        quiet_timeout: Duration::from_millis(100),
        head_timeout: Duration::from_millis(100),
        ..Settings::default()
    };
    let serving = Serving::start(settings, &[&node]).await;
    let half = |method, target| {
        let mut request = last_request(method, target, "Content-Length: 10\r\n");
        request.extend(b"12345");
        request
    };
    // Received whole first: no node hears of it.
    let answer = serving.say(&half("PUT", MANIFEST)).await;
    is_own_error(&answer, 408, "BLOB_UPLOAD_INVALID");
    assert_eq!(node.heads(), [""; 0]);
    // Passed on as it comes: its node is told by the end of the connection.
    serving.say(&half("PATCH", UPLOAD)).await;
    node.wait_for_cut().await;
    // And so is a head that never ends.
    serving.say(b"GET /v2/ HTTP/1.1\r\nHost").await;
    assert_eq!(serving.balancer.counts().failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_hears_when_the_client_is_gone() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    let mut stream = serving.connect().await;
    let head = last_request("PATCH", UPLOAD, "Content-Length: 10\r\n");
    stream.write_all(&head).await.unwrap();
    stream.write_all(b"12345").await.unwrap();
    node.wait_for_heads(1).await;
    drop(stream);
    tokio::time::timeout(crate::PATIENCE, node.wait_for_cut())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_beyond_the_limit_wait_for_their_turn() {
    let node = Stub::start().await;
    let settings = Settings {
        connections_max: 2,
        ..Settings::default()
    };
    let serving = Serving::start(settings, &[&node]).await;
    let (one, two) = (serving.connect().await, serving.connect().await);
    let request = last_request("GET", MANIFEST, "");
    let third = serving.say(&request);
    let close = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(node.heads(), [""; 0]);
        drop((one, two));
    };
    let (answer, ()) = tokio::join!(third, close);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
