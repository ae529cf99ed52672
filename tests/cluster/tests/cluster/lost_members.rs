//! Members that are lost for ever: two of three, whose survivor goes on alone and grows again, and all three, whose cluster is
//! restored from the bucket. Everything that was acknowledged is pulled; those that were lost and come back do no harm.

use std::ops::RangeInclusive;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use harness::cluster::Role;
use harness::{Cluster, Images, Process, holdfast, tools};
use serde_json::Value;

const IMAGES: usize = 9;

/// A start that is refused may wait for the other voters' records first.
const REFUSED_MAX: Duration = Duration::from_secs(40);

/// About the hold time of ten seconds.
const HELD: RangeInclusive<Duration> = Duration::from_secs(9)..=Duration::from_secs(14);

/// Longer than a node needs to be sure that nobody confirms.
const UNCONFIRMED_AFTER: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn survivor_of_three_goes_on_and_grows() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).places(5).start()?;
    let mut images = Images::new();
    images.push(&cluster.client(), IMAGES).await?;
    let survivor = cluster.follower()?;
    // What it was not sent would be gone, as the command says.
    wait_for_all_entries(&mut cluster, survivor)?;
    let mut lost = cluster.running(Role::Member);
    lost.retain(|place| *place != survivor);
    for place in &lost {
        cluster.kill(*place);
    }
    nothing_is_confirmed(&cluster, &images).await?;
    cluster.stop(survivor)?;

    let shown = at(&mut cluster, survivor, &["recover"])?;
    println!("{shown}");
    ensure!(shown.contains("Nothing was changed") && shown.contains("--yes"));
    let again = at(&mut cluster, survivor, &["recover"])?;
    ensure!(shown == again, "it says another thing now: {again}");
    at(&mut cluster, survivor, &["recover", "--yes"])?;
    cluster.restart(survivor)?;
    images.pull(&cluster.client_of(survivor), false).await?;
    let load = Load::start(cluster.address(), 2, 2)?;
    for _ in 0..2 {
        cluster.add(Role::Member)?;
    }
    images.push(&cluster.client(), 3).await?;
    images.pull(&cluster.client(), false).await?;
    for place in lost {
        let line = refused(&mut cluster, place)?;
        ensure!(
            line.contains("removed") || line.contains("recover"),
            "{line}"
        );
    }
    cluster.wait_in_order()?;
    ensure!(cluster.running(Role::Member).len() == 3);
    load.end()?.ensure_unnoticed()?;
    cluster.passed();
    Ok(())
}

/// Without a quorum, and through the balancer: pulls are answered and say that they may be stale, and a write is held before it
/// is refused by a node.
async fn nothing_is_confirmed(cluster: &Cluster, images: &Images) -> anyhow::Result<()> {
    let client = cluster.client();
    let began = Instant::now();
    let write = async {
        let opened = client.post("/v2/team/app0/blobs/uploads/").send().await?;
        anyhow::Ok((opened, began.elapsed()))
    };
    let pulls = async {
        tokio::time::sleep(UNCONFIRMED_AFTER).await;
        images.pull(&client, true).await?;
        let pulled = client.get("/v2/team/app0/manifests/v0").send().await?;
        ensure!(pulled.header("Warning").is_some(), "{pulled:?}");
        Ok(())
    };
    let (written, pulled) = tokio::join!(write, pulls);
    pulled?;
    let (opened, held) = written?;
    println!("a write was held for {held:?}");
    let text = String::from_utf8_lossy(&opened.body).into_owned();
    ensure!(
        opened.status.as_u16() == 503 && text.contains("UNAVAILABLE"),
        "{opened:?}"
    );
    ensure!(
        opened.header("X-Request-Id").is_some(),
        "no node said it: {opened:?}"
    );
    ensure!(HELD.contains(&held), "it was held for {held:?}");
    Ok(())
}

/// Waits until a member has applied what the others have.
fn wait_for_all_entries(cluster: &mut Cluster, place: usize) -> anyhow::Result<()> {
    let id = cluster.id_of(place)?;
    cluster.wait_for("the survivor to have everything", || {
        let status = cluster.status();
        let mine = status
            .ok()
            .and_then(|status| status.nodes.into_iter().find(|node| node.id == id));
        mine.is_some_and(|node| node.lag == Some(0))
    })
}

/// `holdfast cluster …` in the folder of the node at a place, with the settings of the nodes.
fn at(cluster: &mut Cluster, place: usize, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(holdfast::program()?);
    command.arg("cluster").args(arguments).arg("--data");
    command.arg(cluster.node(place).data());
    tools::run(command.envs(cluster.environment().iter().cloned()))
}

/// `holdfast serve` at a place.
fn serve(cluster: &mut Cluster, place: usize) -> anyhow::Result<Command> {
    let mut command = Command::new(holdfast::program()?);
    let node = cluster.node(place);
    command.args(["serve", "--listen", node.address()]);
    command.args(["--peer-address", node.peer_address(), "--data"]);
    command.arg(node.data());
    command.envs(cluster.environment().iter().cloned());
    Ok(command)
}

/// Starts the node at a place, which is to end by itself and say why in one line.
fn refused(cluster: &mut Cluster, place: usize) -> anyhow::Result<String> {
    let mut command = serve(cluster, place)?;
    let mut process = Process::start("lost", &mut command)?;
    let status = process.wait(REFUSED_MAX)?;
    ensure!(!status.success(), "it was not refused: {status}");
    let said = process.said();
    let lines = said.lines().filter(|line| line.starts_with("holdfast: "));
    let lines: Vec<&str> = lines.collect();
    ensure!(lines.len() == 1, "not one line but {lines:?} of\n{said}");
    println!("{}", lines[0]);
    Ok(lines[0].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_cluster_is_restored_and_its_members_stop_writing() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).places(6).start()?;
    let mut images = Images::new();
    images.push(&cluster.client(), IMAGES).await?;
    let id = wait_for_the_copy(&cluster)?;
    let lost = cluster.running(Role::Member);
    for place in &lost {
        cluster.kill(*place);
    }
    let key = cluster.path("recovery.key");
    std::fs::write(&key, cluster.recovery_key())?;
    let key = key.to_str().context("a path")?.to_owned();
    let place = lost.len();
    let restore = [
        "restore",
        "--from-cluster",
        &id,
        "--recovery-key-file",
        &key,
        "--json",
    ];
    let restored: Value = serde_json::from_str(&at(&mut cluster, place, &restore)?)?;
    ensure!(
        restored["tags"] == images.len() && restored["manifests"] == images.len(),
        "{restored}"
    );
    cluster.found_at(place)?;
    for _ in 0..2 {
        cluster.add(Role::Member)?;
    }
    images.pull(&cluster.client(), false).await?;
    images.push(&cluster.client(), 3).await?;
    let fresh = cluster.running(Role::Member);
    let before = images.len();
    // From here on the balancer has nodes of two clusters.
    for place in &lost {
        let environment = cluster.environment().to_vec();
        cluster.node(*place).start_again(&environment)?;
    }
    let known = "was restored in the place of this one";
    cluster.wait_for("all old members to find out", || {
        lost.iter()
            .all(|place| cluster.said(*place).contains(known))
    })?;
    for place in &lost {
        let client = cluster.client_of(*place);
        let opened = client.post("/v2/team/app0/blobs/uploads/").send().await?;
        ensure!(
            opened.status.as_u16() == 503,
            "it took an upload: {opened:?}"
        );
        client
            .get("/v2/team/app0/manifests/v0")
            .send()
            .await?
            .expect(200)?;
    }
    for place in &fresh {
        images.push(&cluster.client_of(*place), 1).await?;
    }
    images.pull(&cluster.client_of(fresh[0]), false).await?;
    ensure!(images.len() == before + fresh.len());
    cluster.passed();
    Ok(())
}

/// Waits until the copy beside the blobs has every entry. Gives the cluster's id.
fn wait_for_the_copy(cluster: &Cluster) -> anyhow::Result<String> {
    let mut last = Value::Null;
    let waited = cluster.wait_for("the copy of the log", || {
        let said = cluster.command(&["status", "--json"]).unwrap_or_default();
        last = serde_json::from_str(&said).unwrap_or_default();
        let copy = &last["log_copy"];
        copy["lag_entries"] == 0 && copy["index"].as_u64() > Some(0)
    });
    waited.with_context(|| last.to_string())?;
    let id = last["cluster"].as_str().context("no id")?;
    Ok(id.to_owned())
}
