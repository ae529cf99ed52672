//! The disk of a member is full: a follower's, and the leader's. It says so, leads no more, takes nothing that it could not
//! keep, still votes, and goes on when there is room again; clients notice nothing.
//!
//! The disks are file systems in memory, which root mounts.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use faults::Content;
use harness::cluster::{NodeStatus, Role};
use harness::{Cluster, Process, holdfast};

const REPOSITORY: &str = "cluster/full";

const MIB: u64 = 1 << 20;

/// Room for the log, the tables and what is to stay free.
const DISK: u64 = 256 * MIB;

/// A leader without room is asked for nothing for so long, with room for a debug build on a busy machine.
const HANDED_OVER_MAX: Duration = Duration::from_secs(3);

/// A start that is refused is refused at once.
const REFUSED_MAX: Duration = Duration::from_secs(20);

const FULL: &str = "the disk of the metadata is nearly full";
const ROOM: &str = "the disk of the metadata has room again";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_of_a_member_harms_nobody() -> anyhow::Result<()> {
    let mut cluster = Cluster::with()
        .members(3)
        .disks(DISK)
        .env("HOLDFAST_SERVER_FREE_SPACE_MIN", "64MiB")
        .start()?;
    let load = Load::start(cluster.address(), 3, 3)?;
    let outcome = fill_and_empty(&mut cluster).await;
    let report = load.end()?;
    println!("{}", report.line());
    outcome?;
    report.ensure_unnoticed()?;
    ensure!(report.warned == 0, "{} answers were stale", report.warned);
    cluster.passed();
    Ok(())
}

async fn fill_and_empty(cluster: &mut Cluster) -> anyhow::Result<()> {
    let follower = cluster.follower()?;
    full_follower(cluster, follower)
        .await
        .context("a follower")?;
    let leader = cluster.leader()?;
    full_leader(cluster, leader).await.context("the leader")
}

/// It is not sent what it cannot keep, and its vote still counts.
async fn full_follower(cluster: &mut Cluster, place: usize) -> anyhow::Result<()> {
    cluster.disk(place)?.fill(0)?;
    wait_until_full(cluster, place)?;
    push(cluster, 1).await?;
    let leader = cluster.leader()?;
    let mut others = cluster.running(Role::Member);
    others.retain(|other| ![place, leader].contains(other));
    let before = cluster.node(place).metric("holdfast_metadata_term")?;
    cluster.node(leader).pause()?;
    let voted = cluster.wait_for("the one with room to be elected by the one without", || {
        is_elected(cluster, others[0], place, before).unwrap_or(false)
    });
    cluster.node(leader).resume()?;
    voted?;
    push(cluster, 2).await?;
    ensure!(cluster.node(place).runs(), "it has ended");
    cluster.disk(place)?.empty()?;
    cluster.wait_in_order()?;
    once(cluster, place, FULL)?;
    once(cluster, place, ROOM)
}

/// Whether a node leads, and another one is in its term.
fn is_elected(cluster: &Cluster, leader: usize, voter: usize, before: f64) -> anyhow::Result<bool> {
    let term = |place| cluster.metric_of(place, "holdfast_metadata_term");
    let leads = cluster.metric_of(leader, "holdfast_metadata_is_leader")? == 1.0;
    Ok(leads && term(voter)? == term(leader)? && term(voter)? > before)
}

/// Another one leads at once. It is stopped and not started without room, and comes back with room.
async fn full_leader(cluster: &mut Cluster, place: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    cluster.disk(place)?.fill(0)?;
    while cluster.leader()? == place {
        ensure!(began.elapsed() < HANDED_OVER_MAX, "it still leads");
    }
    println!(
        "another leads {:?} after the disk was full",
        began.elapsed()
    );
    push(cluster, 3).await?;
    wait_until_full(cluster, place)?;
    ensure!(cluster.leader()? != place, "it leads again");
    cluster.stop(place)?;
    let said = end_of_start(cluster, place)?;
    let lines = said.lines().filter(|line| line.starts_with("holdfast: "));
    let lines: Vec<&str> = lines.collect();
    ensure!(
        lines.len() == 1 && lines[0].contains("nearly full"),
        "{said}"
    );
    println!("{}", lines[0]);
    cluster.disk(place)?.empty()?;
    cluster.restart(place)?;
    cluster.wait_in_order()?;
    once(cluster, place, FULL)
}

fn wait_until_full(cluster: &mut Cluster, place: usize) -> anyhow::Result<()> {
    let id = cluster.id_of(place)?;
    let mut shown = None;
    let is_full = |node: &NodeStatus| node.health == "disk full" && node.disk_free == 0;
    let outcome = cluster.wait_for("the status to tell of the full disk", || {
        let status = cluster.status();
        shown = status
            .ok()
            .and_then(|status| status.nodes.into_iter().find(|node| node.id == id));
        shown.as_ref().is_some_and(is_full)
    });
    outcome.with_context(|| format!("{shown:?}"))
}

/// That a node has said something in one line.
fn once(cluster: &Cluster, place: usize, what: &str) -> anyhow::Result<()> {
    let said = cluster.said(place);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(what)).collect();
    ensure!(lines.len() == 1, "{what}: {} times: {lines:?}", lines.len());
    Ok(())
}

/// Pushes by every node that is asked in turn.
async fn push(cluster: &Cluster, round: u64) -> anyhow::Result<()> {
    let client = cluster.client();
    for number in 0..9 {
        let content = Content::new(100 * round + number, 50_000);
        client.push_blob(REPOSITORY, content.bytes()).await?;
    }
    Ok(())
}

/// Starts the node at a place, which is to end by itself; gives what it said.
fn end_of_start(cluster: &mut Cluster, place: usize) -> anyhow::Result<String> {
    let mut command = Command::new(holdfast::program()?);
    let node = cluster.node(place);
    command.args(["serve", "--listen", node.address(), "--data"]);
    command.arg(node.data());
    command.envs(cluster.environment().iter().cloned());
    let mut process = Process::start("full", &mut command)?;
    let status = process.wait(REFUSED_MAX)?;
    ensure!(!status.success(), "it was not refused: {status}");
    Ok(process.said())
}
