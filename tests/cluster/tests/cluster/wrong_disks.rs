//! Data folders in the wrong place: of another cluster, of a node that runs already, and an old copy. The process that has one
//! says so in one line and does no harm.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use harness::cluster::Role;
use harness::{Cluster, Process, holdfast, tools};

use crate::refused_joins::Stranger;

/// A start that is refused waits for the other voters' records first.
const REFUSED_MAX: Duration = Duration::from_secs(40);

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    tools::run(Command::new("cp").arg("-a").arg(from).arg(to)).map(drop)
}

/// A member that is started from an older copy of its disk is refused; with its own disk it comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_copy_of_a_disk_is_refused() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).start()?;
    let load = Load::start(cluster.address(), 2, 2)?;
    let place = cluster.follower()?;
    let data = cluster.node(place).data();
    let (old, new) = (data.with_extension("old"), data.with_extension("new"));
    cluster.stop(place)?;
    copy(&data, &old)?;
    cluster.restart(place)?;
    cluster.wait_in_order()?;
    cluster.stop(place)?;
    std::fs::rename(&data, &new)?;
    std::fs::rename(&old, &data)?;
    let said = end_of_start(&mut cluster, place)?;
    one_line(&said, &["old copy", "holdfast cluster remove"])?;
    std::fs::remove_dir_all(&data)?;
    std::fs::rename(&new, &data)?;
    cluster.restart(place)?;
    cluster.wait_in_order()?;
    load.end()?.ensure_unnoticed()?;
    cluster.passed();
    Ok(())
}

/// Starts the node at a place, which is to end by itself; gives what it said.
fn end_of_start(cluster: &mut Cluster, place: usize) -> anyhow::Result<String> {
    let mut command = Command::new(holdfast::program()?);
    let node = cluster.node(place);
    command.args(["serve", "--listen", node.address()]);
    command.args(["--peer-address", node.peer_address(), "--data"]);
    command.arg(node.data());
    command.envs(cluster.environment().iter().cloned());
    let mut process = Process::start("refused", &mut command)?;
    let status = process.wait(REFUSED_MAX)?;
    ensure!(!status.success(), "it was not refused: {status}");
    Ok(process.said())
}

fn one_line(said: &str, words: &[&str]) -> anyhow::Result<()> {
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("holdfast: "))
        .collect();
    ensure!(lines.len() == 1, "not one line but {lines:?} of\n{said}");
    for word in words {
        ensure!(
            lines[0].contains(word),
            "{:?} does not say {word:?}",
            lines[0]
        );
    }
    println!("{}", lines[0]);
    Ok(())
}

/// A second process with a copy of a running member's folder: the one that started first ends and says why, and its disk is
/// an old one from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_with_one_identity_do_no_harm() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).start()?;
    let load = Load::start(cluster.address(), 2, 2)?;
    let place = cluster.follower()?;
    let id = cluster.id_of(place)?;
    let twin = Stranger::new()?;
    copy(&cluster.node(place).data(), &twin.data())?;
    let mut second = twin.start(&cluster, &[])?;
    let status = cluster.node(place).wait_end(REFUSED_MAX)?;
    ensure!(!status.success(), "{status}");
    let words = [
        "another process runs with the same data",
        "holdfast cluster remove",
    ];
    one_line(&cluster.said(place), &words)?;
    cluster.wait_in_order()?;
    ensure!(
        second.exited()?.is_none(),
        "both have ended: {}",
        second.said()
    );
    second.kill();
    one_line(&end_of_start(&mut cluster, place)?, &words)?;
    cluster.command(&["remove", &id.to_string(), "--force"])?;
    cluster.wait_in_order()?;
    // One of two nodes ended without a word to the balancer, as in a crash.
    load.end()?.ensure_harmless()?;
    cluster.passed();
    Ok(())
}

/// The disk of another cluster's member in a member's place: the others refuse it, and it serves nobody of theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folder_of_another_cluster_is_a_stranger() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).start()?;
    let mut foreign = Cluster::with().members(3).start()?;
    let place = cluster.follower()?;
    let theirs = foreign.follower()?;
    let id = cluster.id_of(place)?;
    foreign.stop(theirs)?;
    cluster.stop(place)?;
    let data = cluster.node(place).data();
    let own = data.with_extension("own");
    std::fs::rename(&data, &own)?;
    copy(&foreign.node(theirs).data(), &data)?;
    let load = Load::start(cluster.address(), 2, 2)?;
    let mut command = Command::new(holdfast::program()?);
    let node = cluster.node(place);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.args(["--peer-address", node.peer_address(), "--data"]);
    command
        .arg(&data)
        .envs(cluster.environment().iter().cloned());
    let mut stranger = Process::start("stranger", &mut command)?;
    let leader = cluster.leader()?;
    cluster.wait_for("the leader to say who answers there", || {
        cluster.said(leader).contains("another cluster")
            || stranger.exited().is_ok_and(|ended| ended.is_some())
    })?;
    let status = cluster.status()?;
    let shown = status
        .nodes
        .iter()
        .find(|node| node.id == id)
        .context("it was removed")?;
    ensure!(shown.health != "ok", "{shown:?}");
    stranger.kill();
    println!("{}", stranger.said());
    std::fs::remove_dir_all(&data)?;
    std::fs::rename(&own, &data)?;
    cluster.restart(place)?;
    cluster.wait_in_order()?;
    load.end()?.ensure_unnoticed()?;
    ensure!(foreign.running(Role::Member).len() == 2);
    foreign.restart(theirs)?;
    foreign.wait_in_order()?;
    foreign.passed();
    cluster.passed();
    Ok(())
}
