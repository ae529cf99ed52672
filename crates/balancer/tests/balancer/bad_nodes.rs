//! Nodes that hang, babble, and come back elsewhere.

use std::time::{Duration, Instant};

use balancer::{Condition, Settings};

use crate::stub::{Behaviour, Stub};
use crate::{MANIFEST, PATIENCE, Serving, UPLOAD, is_own_error, last_request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_on_a_node_that_hangs_goes_to_another_when_that_is_known() {
    let (one, two) = (Stub::start().await, Stub::start().await);
    let serving = Serving::start(Settings::default(), &[&one, &two]).await;
    one.behave(Behaviour::Hangs);
    let begun = Instant::now();
    for _ in 0..4 {
        let answer = serving.say(&last_request("GET", MANIFEST, "")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // Long before a client's patience ends: nodes may take 15 s to answer for a manifest.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(one.heads().len(), 1);
    assert_eq!(two.heads().len(), 4);
    assert_eq!(serving.balancer.counts().repeated, 1);
    assert_eq!(serving.balancer.counts().failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_answers_too_late_is_a_504() {
    let node = Stub::start().await;
    let settings = Settings {
        brief_answer_timeout: Duration::from_millis(100),
        quiet_timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let serving = Serving::start(settings, &[&node]).await;
    node.behave(Behaviour::Waits);
    for (method, target) in [
        ("GET", MANIFEST),
        ("GET", "/v2/_catalog"),
        ("DELETE", MANIFEST),
    ] {
        let answer = serving.say(&last_request(method, target, "")).await;
        is_own_error(&answer, 504, "UNAVAILABLE");
    }
    assert_eq!(serving.balancer.counts().failed, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_speaks_no_http_is_a_502() {
    let node = Stub::start().await;
    let serving = Serving::start(Settings::default(), &[&node]).await;
    node.behave(Behaviour::Babbles);
    for method in ["GET", "DELETE"] {
        let answer = serving.say(&last_request(method, MANIFEST, "")).await;
        is_own_error(&answer, 502, "UNAVAILABLE");
    }
    let patch = [
        last_request("PATCH", UPLOAD, "Content-Length: 5\r\n").as_slice(),
        b"12345",
    ]
    .concat();
    is_own_error(&serving.say(&patch).await, 502, "UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_comes_back_elsewhere_serves_there() {
    let (old, new) = (Stub::start().await, Stub::start().await);
    let serving = Serving::start(Settings::default(), &[&old]).await;
    serving.say(&last_request("GET", MANIFEST, "")).await;
    drop(old);
    is_own_error(
        &serving.say(&last_request("GET", MANIFEST, "")).await,
        503,
        "UNAVAILABLE",
    );
    let mut condition = serving.balancer.put("0", new.address);
    let is_ready = condition.wait_for(|condition| *condition == Condition::Ready);
    tokio::time::timeout(PATIENCE, is_ready)
        .await
        .unwrap()
        .unwrap();
    let answer = serving.say(&last_request("GET", MANIFEST, "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let reports = serving.balancer.nodes();
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].address, reports[0].requests), (new.address, 1));
}
