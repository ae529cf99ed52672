//! The cluster grows and shrinks, gateways come and go, and every node is restarted, all under load: no request fails.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use harness::Cluster;
use harness::cluster::Role;

/// What a new gateway may take until it serves, and a new member until it votes: the figures of release builds (2 s and
/// 5 s), with room for a debug build on a machine that does other things.
const GATEWAY_MAX: Duration = Duration::from_secs(10);
const MEMBER_MAX: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_grows_shrinks_and_is_restarted_under_load() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().places(11).start()?;
    let load = Load::start(cluster.address(), 4, 4)?;
    let outcome = change_everything(&mut cluster);
    let report = load.end()?;
    println!("{}", report.line());
    outcome?;
    report.ensure_unnoticed()?;
    ensure!(report.warned == 0, "{} answers were stale", report.warned);
    cluster.passed();
    Ok(())
}

fn change_everything(cluster: &mut Cluster) -> anyhow::Result<()> {
    for members in [2, 3, 4, 5] {
        let began = Instant::now();
        cluster
            .add(Role::Member)
            .with_context(|| format!("member {members}"))?;
        println!("{members} members after {:?}", began.elapsed());
        ensure!(
            began.elapsed() < MEMBER_MAX,
            "it took {:?}",
            began.elapsed()
        );
    }
    for gateways in 1..=6 {
        let began = Instant::now();
        cluster
            .add(Role::Gateway)
            .with_context(|| format!("gateway {gateways}"))?;
        println!("{gateways} gateways after {:?}", began.elapsed());
        ensure!(
            began.elapsed() < GATEWAY_MAX,
            "it took {:?}",
            began.elapsed()
        );
    }
    // The leader is among those who go.
    for remove in 0..2 {
        let place = match remove {
            0 => cluster.leader()?,
            _ => cluster.follower()?,
        };
        cluster
            .remove(place)
            .with_context(|| format!("removing member {place}"))?;
        cluster.wait_in_order()?;
        println!("{} members", cluster.running(Role::Member).len());
    }
    for place in cluster.running(Role::Gateway).into_iter().skip(1) {
        cluster
            .remove(place)
            .with_context(|| format!("removing gateway {place}"))?;
    }
    cluster.wait_in_order()?;
    println!("{} gateways", cluster.running(Role::Gateway).len());
    roll(cluster)
}

/// Restarts every node in turn, the leader last, as an upgrade does.
fn roll(cluster: &mut Cluster) -> anyhow::Result<()> {
    let leader = cluster.leader()?;
    let mut places = cluster.running(Role::Gateway);
    places.extend(cluster.running(Role::Member));
    places.retain(|place| *place != leader);
    places.push(leader);
    for place in places {
        let began = Instant::now();
        cluster
            .stop(place)
            .with_context(|| format!("stopping node {place}"))?;
        cluster
            .restart(place)
            .with_context(|| format!("starting node {place}"))?;
        cluster.wait_in_order()?;
        println!("node {place} was restarted in {:?}", began.elapsed());
    }
    Ok(())
}
