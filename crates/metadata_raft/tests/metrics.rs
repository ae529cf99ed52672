//! What members count of themselves and of each other. Members of one process share a recorder: only what none of them
//! takes back can be looked at.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    dead_code,
    reason = "the other tests of groups use more of what they stand on"
)]

#[path = "group/world.rs"]
mod world;

use std::time::Duration;

use metadata_raft::FirstStart;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ports::Deadline;

use world::{World, pull, push, soon, until_confirms};

/// The number of a metric whose name and labels begin so, summed up.
fn sum(text: &str, begin: &str) -> Option<f64> {
    let lines = text.lines().filter(|line| line.starts_with(begin));
    let numbers = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    numbers.reduce(|sum, number| sum + number)
}

/// Waits until there is such a metric and its sum is at least so much.
async fn until(handle: &PrometheusHandle, begin: &str, least: f64) {
    let deadline = Deadline::now() + Duration::from_secs(20);
    while sum(&handle.render(), begin).is_none_or(|sum| sum < least) {
        assert!(
            Deadline::now() < deadline,
            "no {begin} of {least} in {}",
            handle.render()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_count_what_happens_between_them() {
    let handle = PrometheusBuilder::new().install_recorder().unwrap();
    let mut world = World::of(3).await;
    let leader = world.leader().await;
    let [one, other] = world.others(leader)[..] else {
        panic!("three members")
    };
    for n in 0..20 {
        push(&world.member(one), "tag", &n.to_string()).await;
        pull(&world.member(other), "tag", soon()).await.unwrap();
    }
    for follower in [one, other] {
        until(
            &handle,
            &format!("holdfast_metadata_peer_lag_entries{{peer=\"{follower}\"}}"),
            0.0,
        )
        .await;
        until(
            &handle,
            &format!("holdfast_metadata_peer_silence_seconds{{peer=\"{follower}\"}}"),
            0.0,
        )
        .await;
    }
    let to_leader = format!("holdfast_peer_calls_total{{peer=\"{leader}\",outcome=\"answered\"}}");
    until(&handle, &to_leader, 40.0).await;
    until(
        &handle,
        "holdfast_peer_call_seconds_count{call=\"Propose\"}",
        20.0,
    )
    .await;
    until(
        &handle,
        "holdfast_peer_call_seconds_count{call=\"Confirm\"}",
        20.0,
    )
    .await;
    until(
        &handle,
        "holdfast_peer_bytes_total{direction=\"in\"}",
        20_000.0,
    )
    .await;
    until(
        &handle,
        "holdfast_peer_bytes_total{direction=\"out\"}",
        20_000.0,
    )
    .await;
    until(&handle, "holdfast_peer_connections{opened=\"us\"}", 2.0).await;
    until(&handle, "holdfast_peer_connections{opened=\"them\"}", 2.0).await;
    until(
        &handle,
        "holdfast_metadata_proposals_total{outcome=\"reply\"}",
        20.0,
    )
    .await;
    until(
        &handle,
        "holdfast_metadata_reads_total{answer=\"confirmed\"}",
        20.0,
    )
    .await;
    until(
        &handle,
        "holdfast_metadata_confirmations_total{outcome=\"confirmed\"}",
        20.0,
    )
    .await;
    until(&handle, "holdfast_metadata_uploads_open", 0.0).await;

    let changes = sum(&handle.render(), "holdfast_metadata_leader_changes_total");
    let changes = changes.unwrap_or_default();
    world.crash(leader).await;
    push(&world.member(one), "tag", "after").await;
    until(
        &handle,
        "holdfast_metadata_leader_changes_total",
        changes + 2.0,
    )
    .await;
    until(&handle, "holdfast_metadata_elections_started_total", 1.0).await;
    until(
        &handle,
        &format!("holdfast_peer_connects_total{{peer=\"{leader}\",outcome=\"failed\"}}"),
        1.0,
    )
    .await;
    world.start(leader, FirstStart::FormGroup).await;
    until_confirms(&world.member(leader), true).await;
    let gone = sum(&handle.render(), "holdfast_peer_connections{opened=\"us\"}").unwrap();
    assert!(
        gone < 20.0,
        "{gone} connections are open between three members"
    );
}
