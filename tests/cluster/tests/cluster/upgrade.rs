//! Every node is replaced, one after the other and under load, by a build that knows the next format of the log. Until the
//! operator raises the format the new build behaves as the old one; afterwards the old build is refused.
//! Source: `docs/protocols.md`, 3.7.

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use harness::cluster::Role;
use harness::{Cluster, holdfast};

/// The log's format before, and the next one.
const BEFORE: u32 = 1;
const NEXT: u32 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_upgrade_to_the_next_format_is_not_noticed() -> anyhow::Result<()> {
    let earlier = holdfast::earlier_format_program()?;
    let cluster = Cluster::with().members(3).gateways(1);
    let mut cluster = cluster.program(earlier.clone()).start()?;
    let load = Load::start(cluster.address(), 4, 4)?;
    let outcome = upgrade(&mut cluster);
    let report = load.end()?;
    println!("{}", report.line());
    outcome?;
    report.ensure_unnoticed()?;
    ensure!(report.warned == 0, "{} answers were stale", report.warned);
    earlier_build_is_refused(&mut cluster, &earlier)?;
    cluster.passed();
    Ok(())
}

fn upgrade(cluster: &mut Cluster) -> anyhow::Result<()> {
    ensure_formats(cluster, BEFORE, &[BEFORE; 4])?;
    let newer = holdfast::program()?;
    let leader = cluster.leader()?;
    for gateway in cluster.running(Role::Gateway) {
        replace(cluster, gateway, &newer)?;
    }
    let members = cluster.running(Role::Member);
    for place in members.iter().copied().filter(|place| *place != leader) {
        replace(cluster, place, &newer)?;
        // What is new is refused, and the node that is still to be upgraded is named.
        refused(cluster, place, &["label", "Blue"], "format 1")?;
        let behind = cluster.id_of(leader)?.to_string();
        let why = refused(
            cluster,
            place,
            &["upgrade"],
            "does not know the next format",
        )?;
        ensure!(
            why.contains(&behind),
            "node {behind} is not named in: {why}"
        );
    }
    replace(cluster, leader, &newer)?;
    ensure_formats(cluster, BEFORE, &[NEXT; 4])?;
    refused(cluster, leader, &["label", "Blue"], "format 1")?;
    // From here on nothing is restarted.
    cluster.command(&["upgrade"])?;
    for place in members {
        let label = format!("Blue {place}");
        cluster.node(place).command(&["label", &label])?;
        let status = cluster.node(place).command(&["status", "--json"])?;
        ensure!(status.contains(&label), "{label} is not in {status}");
    }
    ensure_formats(cluster, NEXT, &[NEXT; 4])
}

/// A node is stopped politely and started again with another program, as a package's upgrade does.
fn replace(cluster: &mut Cluster, place: usize, program: &std::path::Path) -> anyhow::Result<()> {
    cluster
        .stop(place)
        .with_context(|| format!("stopping node {place}"))?;
    cluster.node(place).use_program(program);
    cluster
        .restart(place)
        .with_context(|| format!("starting node {place}"))?;
    cluster.wait_in_order()
}

fn refused(
    cluster: &mut Cluster,
    place: usize,
    command: &[&str],
    why: &str,
) -> anyhow::Result<String> {
    let refusal = match cluster.node(place).command(command) {
        Ok(said) => anyhow::bail!("node {place} carried out {command:?}: {said}"),
        Err(refusal) => format!("{refusal:#}"),
    };
    ensure!(refusal.contains(why), "{command:?}: {refusal}");
    Ok(refusal)
}

fn ensure_formats(cluster: &Cluster, log: u32, nodes: &[u32]) -> anyhow::Result<()> {
    let status = cluster.status()?;
    let known: Vec<u32> = status.nodes.iter().map(|node| node.format).collect();
    ensure!(status.format == log, "the log has format {}", status.format);
    ensure!(known == nodes, "the nodes know the formats {known:?}");
    Ok(())
}

/// A member that comes back with the old build says why it cannot go on, ends, and does no harm.
fn earlier_build_is_refused(
    cluster: &mut Cluster,
    earlier: &std::path::Path,
) -> anyhow::Result<()> {
    let place = cluster.follower()?;
    cluster.stop(place)?;
    cluster.node(place).use_program(earlier);
    ensure!(cluster.restart(place).is_err(), "the old build runs");
    let said = cluster.said(place);
    ensure!(
        said.contains("this build knows formats up to 1"),
        "it said {said}"
    );
    cluster.node(place).kill();
    cluster.node(place).use_program(&holdfast::program()?);
    cluster.restart(place)?;
    cluster.wait_in_order()
}
