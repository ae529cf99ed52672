//! Voters learn each other's clocks, whoever leads, and say how far their own is off.

use anyhow::ensure;
use harness::Cluster;
use harness::cluster::Role;
use serde_json::Value;

const OFFSET: &str = "holdfast_metadata_clock_offset_seconds";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_voter_knows_the_clocks_of_the_others() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).start()?;
    for place in cluster.running(Role::Member) {
        // Until it knows them, it shows none.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let offset = cluster.node(place).metric(OFFSET)?;
            if offset.is_finite() {
                ensure!(offset.abs() < 2.0, "node {place} is off by {offset} s");
                break;
            }
            ensure!(
                std::time::Instant::now() < deadline,
                "node {place} knows none"
            );
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    let leader = cluster.leader()?;
    let behind = cluster
        .node(leader)
        .metric("holdfast_metadata_time_behind_seconds")?;
    ensure!(behind.abs() < 5.0, "the log's time is behind by {behind} s");
    let status: Value = serde_json::from_str(&cluster.command(&["status", "--json"])?)?;
    for node in status["nodes"].as_array().into_iter().flatten() {
        let ahead = node["clock_ahead_ms"].as_i64();
        ensure!(
            ahead.is_some_and(|ahead| ahead.abs() < 2_000) && node["health"] == "ok",
            "{node}"
        );
    }
    ensure!(status["deletions_wait_until_ms"].is_null(), "{status}");
    cluster.passed();
    Ok(())
}
