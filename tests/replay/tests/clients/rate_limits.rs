//! Users of Docker Hub, whose clients read limits from headers and wait when they are told to.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use harness::HoldfastServer;
use tokio::sync::watch;

use crate::{image, media, registry};

/// The fewest requests at once that a node can be told to serve.
const REQUESTS: usize = 16;

/// The longest that a busy machine may take for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn heads_are_free_and_no_limit_is_claimed() {
    let (_server, client) = registry();
    let manifest = image(&client, "hub/app", b"layer").await.unwrap();
    client
        .push_manifest("hub/app", "v1", media::MANIFEST, manifest.to_string())
        .await
        .unwrap();
    let target = "/v2/hub/app/manifests/v1";
    for number in 0..200 {
        let asked = match number % 2 {
            0 => client.head(target),
            _ => client.get(target),
        };
        let answer = asked.send().await.unwrap().expect(200).unwrap();
        for header in ["ratelimit-limit", "ratelimit-remaining", "Retry-After"] {
            assert_eq!(answer.header(header), None, "nothing is counted");
        }
    }
}

/// A body that sends a byte and ends when it is told to.
fn held(mut end: watch::Receiver<bool>) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    let rest = futures::stream::once(async move {
        // Whoever would say it may be gone.
        let _ = end.wait_for(|is_over| *is_over).await;
        Ok(Bytes::from_static(b"y"))
    });
    futures::stream::iter([Ok(Bytes::from_static(b"x"))]).chain(rest)
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let server = HoldfastServer::with()
        .flag("--set")
        .flag(format!("server.requests_max={REQUESTS}"))
        .flag("--set")
        .flag("server.queue_wait=1s")
        .start()
        .unwrap();
    let client = server.client();
    let mut uploads = Vec::new();
    for _ in 0..REQUESTS {
        let opened = client.post("/v2/hub/busy/blobs/uploads/").send().await;
        let opened = opened.unwrap().expect(202).unwrap();
        uploads.push(opened.location().unwrap().to_owned());
    }
    let (end, is_over) = watch::channel(false);
    let writers = uploads
        .iter()
        .map(|location| client.patch(location).stream(held(is_over.clone())).send());
    let asked = async {
        let since = Instant::now();
        // Who asks before all have begun takes a turn for a moment, for which the uploads wait.
        let refused = loop {
            let answer = client.get("/v2/hub/busy/tags/list").send().await.unwrap();
            if answer.status == 429 {
                break answer;
            }
            assert!(since.elapsed() < PATIENCE, "all requests are served");
        };
        assert_eq!(refused.error_code().as_deref(), Some("TOOMANYREQUESTS"));
        let head = client.head("/v2/hub/busy/manifests/v1").send().await;
        for answer in [refused, head.unwrap().expect(429).unwrap()] {
            let wait: u32 = answer.header("Retry-After").unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
        }
        let healthy = client.get("/healthz").send().await.unwrap();
        healthy.expect(200).unwrap();
        end.send(true).unwrap();
    };
    let (written, ()) = futures::future::join(join_all(writers), asked).await;
    for answer in written {
        let answer = answer.unwrap().expect(202).unwrap();
        assert_eq!(answer.header("Range"), Some("0-1"), "nothing was lost");
    }
    let again = client.get("/v2/").send().await.unwrap();
    again.expect(200).unwrap();
}
