//! What a node gets of a request, and a client of an answer.

use balancer::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stub::{Behaviour, Stub};
use crate::{MANIFEST, Serving, UPLOAD, last_request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_gets_the_host_and_where_the_request_came_from() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    let request = last_request(
        "GET",
        "/v2/a/tags/list?n=1",
        "X-Mine: yes\r\nUpgrade: h2c\r\nTE: trailers\r\nX-Forwarded-For: 192.0.2.9\r\n",
    );
    serving.say(&request).await;
    let heads = node.heads();
    let mut lines: Vec<&str> = heads[0].lines().filter(|line| !line.is_empty()).collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "get /v2/a/tags/list?n=1 http/1.1",
            "host: registry.example:5000",
            "x-forwarded-for: 192.0.2.9, 127.0.0.1",
            "x-forwarded-host: registry.example:5000",
            "x-forwarded-proto: http",
            "x-mine: yes",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absolute_target_names_the_host() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    let answer = serving
        .say(&last_request("GET", "http://other.example/v2/?n=1", ""))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let head = &node.heads()[0];
    assert!(head.starts_with("get /v2/?n=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("host: other.example\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_the_nodes_connection_stay_there() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    let answer = serving.say(&last_request("GET", MANIFEST, "")).await;
    let answer = answer.to_ascii_lowercase();
    assert!(
        answer.contains("x-outer: 2\r\n") && answer.ends_with("\r\n\r\nok"),
        "{answer}"
    );
    assert!(
        !answer.contains("x-inner") && !answer.contains("keep-alive"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_nodes_are_used_again() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    for _ in 0..50 {
        serving.say(&last_request("GET", MANIFEST, "")).await;
        let put = [
            last_request("PUT", MANIFEST, "Content-Length: 5\r\n").as_slice(),
            b"12345",
        ]
        .concat();
        serving.say(&put).await;
    }
    assert_eq!(node.heads().len(), 100);
    // One, unless it had not settled in time on a busy machine.
    assert!(node.connections() < 10, "{}", node.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_is_asked_for_when_the_client_waits_to_be_asked() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    for (method, target) in [("PUT", MANIFEST), ("PATCH", UPLOAD)] {
        let head = last_request(
            method,
            target,
            "Content-Length: 5\r\nExpect: 100-continue\r\n",
        );
        let mut stream = serving.connect().await;
        stream.write_all(&head).await.unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"12345").await.unwrap();
        let answer = crate::read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_before_the_end_of_the_body_reaches_the_client() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    node.behave(Behaviour::Refuses);
    for _ in 0..3 {
        let mut stream = serving.connect().await;
        let head = last_request("PATCH", UPLOAD, "Content-Length: 100000000\r\n");
        stream.write_all(&head).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let send = tokio::spawn(async move {
            // Until the other side has heard enough.
            let piece = vec![0; 1 << 16];
            while writing.write_all(&piece).await.is_ok() {}
        });
        let mut answer = vec![0; 12];
        reading.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 413");
        drop(reading);
        send.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_is_finished_at_the_end() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    node.behave(Behaviour::Waits);
    // Connections are accepted in their order: this one is, when the node has a request of the next.
    let mut idle = serving.connect().await;
    let mut in_flight = serving.connect().await;
    let request = format!("GET {MANIFEST} HTTP/1.1\r\nHost: h\r\n\r\n");
    in_flight.write_all(request.as_bytes()).await.unwrap();
    node.wait_for_heads(1).await;
    serving.stop.cancel();
    assert_eq!(crate::read_all(&mut idle).await, "");
    node.behave(Behaviour::Answers);
    let answer = crate::read_all(&mut in_flight).await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    drop((idle, in_flight));
    tokio::time::timeout(crate::PATIENCE, serving.task)
        .await
        .unwrap()
        .unwrap();
}
