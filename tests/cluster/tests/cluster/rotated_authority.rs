//! The authority is rotated while clients push and pull: nobody notices, a node that is down holds it up until it is back, and
//! afterwards only the new authority counts.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use harness::Cluster;
use harness::cluster::Role;
use serde_json::Value;

use crate::refused_joins::Stranger;

fn rotation(cluster: &Cluster) -> anyhow::Result<Value> {
    let said = cluster.command(&["status", "--json"])?;
    let mut said: Value = serde_json::from_str(&said)?;
    Ok(said["rotation"].take())
}

/// The certificates of the authorities that a node believes, as its file has them.
fn believed(cluster: &mut Cluster, place: usize) -> anyhow::Result<Vec<String>> {
    let file = cluster.node(place).data().join("node/node.pem");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let certificates = text.split("-----BEGIN CERTIFICATE-----").skip(2);
    Ok(certificates.map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authority_is_rotated_under_load_and_waits_for_a_node_that_is_down() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).places(5).start()?;
    let old_token = cluster.token(Role::Member)?;
    let [old] = &believed(&mut cluster, 0)?[..] else {
        anyhow::bail!("it believes more than one authority");
    };
    let load = Load::start(cluster.address(), 2, 2)?;
    let down = cluster.follower()?;
    let down_id = cluster.id_of(down)?;
    cluster.stop(down)?;
    cluster.command(&["rotate-authority"])?;
    let again = cluster.command(&["rotate-authority"]);
    ensure!(again.is_err(), "two rotations at once: {again:?}");
    // All others believe the new one; the one that is down does not, and it does not sign before.
    cluster.wait_for("all others to believe the new authority", || {
        rotation(&cluster).is_ok_and(|rotation| {
            rotation["step"] == "trust" && rotation["waits_for"] == serde_json::json!([down_id])
        })
    })?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    ensure!(
        rotation(&cluster)?["step"] == "trust",
        "it waited for nobody"
    );
    cluster.restart(down)?;
    cluster.wait_for("the rotation to end", || {
        rotation(&cluster).is_ok_and(|rotation| rotation.is_null())
    })?;
    let old = old.clone();
    for place in 0..4 {
        // Dropped within some seconds after the log has.
        let mut now = believed(&mut cluster, place)?;
        for _ in 0..200 {
            if now.len() == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            now = believed(&mut cluster, place)?;
        }
        ensure!(now.len() == 1, "node {place} believes {}", now.len());
        ensure!(now[0] != old, "node {place} believes the old one");
    }
    // Everybody starts again with what is kept, and new nodes come in by new tokens only.
    let leader = cluster.leader()?;
    cluster.kill(leader);
    cluster.restart(leader)?;
    cluster.wait_in_order()?;
    let seed = cluster.node(down).peer_address().to_owned();
    let arguments = ["--join", &seed, "--token", &old_token];
    Stranger::new()?.is_refused(&cluster, &arguments, &["older than"])?;
    cluster.add(Role::Member)?;
    cluster.wait_in_order()?;
    let report = load.end()?;
    println!("{}", report.line());
    report.ensure_harmless()?;
    cluster.passed();
    Ok(())
}
