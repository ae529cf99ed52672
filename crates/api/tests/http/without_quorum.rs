//! What clients see while no quorum confirms anything: pulls that warn, and writes that wait and are told to come back.

use std::time::{Duration, Instant};

use oci::Digest;
use ports::metadata_store::faulty::{Call as MetadataCall, Fault, FaultPlan};
use registry::StaleReads;

use crate::client::{Answer, call, get};
use crate::fixture::{Fixture, manifest_put, sha256};

const HOLD: Duration = Duration::from_millis(300);

/// A server that has an image with a tag, and then loses its quorum.
async fn without_quorum(stale_reads: StaleReads) -> (Fixture, Digest) {
    let server = Fixture::with_stale_reads(stale_reads, HOLD).await;
    let image = server.push_image("a", "v1", "one").await;
    server.metadata.set_plan(FaultPlan::no_quorum());
    (server, image)
}

fn warns(answer: &Answer) -> bool {
    let warning = answer.header("warning");
    warning.is_some_and(|text| text.starts_with("299 - \"This answer may be stale"))
}

/// Come back later, in OCI JSON, and when.
fn is_held_back(answer: Answer) {
    let answer = answer.expect_error(503, "UNAVAILABLE");
    let wait = answer.header("retry-after").expect("it says when");
    assert!(wait.parse::<u32>().is_ok_and(|wait| wait >= 1), "{wait}");
    assert!(!warns(&answer));
}

#[tokio::test]
async fn pulls_are_answered_and_warn() {
    let (server, image) = without_quorum(StaleReads::All).await;
    let layer = sha256(b"one");
    for path in [
        "/v2/a/manifests/v1".to_owned(),
        format!("/v2/a/manifests/{image}"),
        format!("/v2/a/blobs/{layer}"),
        "/v2/a/tags/list".to_owned(),
        format!("/v2/a/referrers/{image}"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = server.send(call(method, &path)).await.expect(200);
            assert!(warns(&answer), "{method} {path}");
        }
    }
    let part = get(format!("/v2/a/blobs/{layer}")).header("Range", "bytes=1-");
    let answer = server.send(part).await.expect(206);
    assert!(warns(&answer));
    assert_eq!(answer.body, b"ne");
    let known = get("/v2/a/manifests/v1").header("If-None-Match", format!("\"{image}\""));
    assert!(warns(&server.send(known).await.expect(304)));
    let other = get("/v2/a/manifests/v1").header("If-Match", format!("\"{layer}\""));
    assert!(warns(&server.send(other).await.expect_error(412, "DENIED")));
    let beyond = get(format!("/v2/a/blobs/{layer}")).header("Range", "bytes=9-");
    assert!(warns(&server.send(beyond).await.expect(416)));
}

#[tokio::test]
async fn what_is_not_known_is_not_denied() {
    let (server, _) = without_quorum(StaleReads::All).await;
    let absent = sha256(b"absent");
    for path in [
        "/v2/a/manifests/v2".to_owned(),
        format!("/v2/a/manifests/{absent}"),
        format!("/v2/a/blobs/{absent}"),
        "/v2/b/manifests/v1".to_owned(),
        "/v2/b/tags/list".to_owned(),
    ] {
        is_held_back(server.send(get(path)).await);
    }
}

#[tokio::test]
async fn settings_choose_which_pulls_are_answered() {
    let (server, image) = without_quorum(StaleReads::Digest).await;
    let by_digest = get(format!("/v2/a/manifests/{image}"));
    assert!(warns(&server.send(by_digest).await.expect(200)));
    let blob = get(format!("/v2/a/blobs/{}", sha256(b"one")));
    assert!(warns(&server.send(blob).await.expect(200)));
    is_held_back(server.send(get("/v2/a/manifests/v1")).await);
    is_held_back(server.send(get("/v2/a/tags/list")).await);
    is_held_back(server.send(get(format!("/v2/a/referrers/{image}"))).await);

    let (server, image) = without_quorum(StaleReads::Never).await;
    is_held_back(server.send(get("/v2/a/manifests/v1")).await);
    is_held_back(server.send(get(format!("/v2/a/manifests/{image}"))).await);
    is_held_back(
        server
            .send(get(format!("/v2/a/blobs/{}", sha256(b"one"))))
            .await,
    );
}

#[tokio::test]
async fn nothing_else_is_answered_from_an_old_state() {
    let server = Fixture::with_stale_reads(StaleReads::All, HOLD).await;
    let image = server.push_image("a", "v1", "one").await;
    let manifest = server.image("a", "two").await;
    let upload = server.open_upload("a").await;
    server.metadata.set_plan(FaultPlan::no_quorum());
    let digest = sha256(b"content");
    for write in [
        call("POST", "/v2/a/blobs/uploads/").body(""),
        call("POST", format!("/v2/a/blobs/uploads/?digest={digest}")).body("content"),
        call("PATCH", &upload).body("content"),
        call("PUT", format!("{upload}&digest={digest}")).body("content"),
        call("DELETE", &upload),
        manifest_put("a", "v2", &manifest),
        manifest_put("a", "v1", &manifest).header("If-Match", format!("\"{image}\"")),
        call("DELETE", "/v2/a/manifests/v1"),
        call("DELETE", format!("/v2/a/manifests/{image}")),
        get(&upload),
        get("/v2/_catalog"),
    ] {
        let began = Instant::now();
        is_held_back(server.send(write).await);
        assert!(began.elapsed() >= HOLD, "it was not held");
    }
    server.metadata.set_plan(FaultPlan::none());
    let answer = server.send(get("/v2/a/manifests/v1")).await.expect(200);
    assert!(!warns(&answer));
    assert_eq!(
        answer.header("docker-content-digest"),
        Some(image.to_string().as_str())
    );
}

#[tokio::test]
async fn outcome_that_is_not_known_is_503() {
    let server = Fixture::start().await;
    let lost = FaultPlan::always(MetadataCall::Propose, Fault::After);
    server.metadata.set_plan(lost);
    is_held_back(
        server
            .send(call("POST", "/v2/a/blobs/uploads/").body(""))
            .await,
    );
}
