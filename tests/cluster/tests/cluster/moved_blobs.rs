//! The blobs go from a folder to Garage while clients push and pull: those of one node that then grows into a cluster, and those of a
//! cluster whose leader is killed and one of whose members sleeps through the switch. Nothing acknowledged is lost, and no
//! request fails.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use faults::choice::choose;
use faults::content::Dice;
use faults::{Content, Operation, Step, Worker};
use harness::cluster::{MoveStatus, Role};
use harness::{Client, Cluster, Process};

const MIB: usize = 1 << 20;

/// Small layers, and images of them.
const OPERATIONS: usize = 60;
/// Large layers, so that copying takes a moment.
const LAYERS: u64 = 6;
const MOVE_MAX: Duration = Duration::from_secs(60);
/// The smallest parts that there are, so that an upload soon has one.
const PART_SIZE: &str = "5MiB";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_moves_to_garage_and_grows_to_three() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().places(3).in_folder().alone().start()?;
    let keeper = filled(&cluster.client()).await?;
    let load = Load::start(cluster.address(), 3, 3)?;
    let outcome = move_and_grow(&mut cluster, &keeper).await;
    let report = load.end()?;
    println!("one node, moved and grown: {}", report.line());
    outcome?;
    report.ensure_harmless()?;
    cluster.passed();
    Ok(())
}

async fn move_and_grow(cluster: &mut Cluster, keeper: &Worker) -> anyhow::Result<()> {
    let mut moving = order(cluster, 0)?;
    finished(&mut moving)?;
    keeper.ledger.verify(&cluster.client()).await?;
    std::fs::remove_dir_all(cluster.path("blobs"))?;
    cluster.use_garage();
    let token = cluster
        .init_at(0)?
        .context("`cluster init` tells no token")?;
    cluster.join(1, Role::Member, &token)?;
    cluster.wait_in_order()?;
    cluster.add(Role::Member)?;
    for place in 0..3 {
        let verified = keeper.ledger.verify(&cluster.client_of(place)).await;
        verified.with_context(|| format!("at node {place}"))?;
    }
    // The one that everything came from.
    cluster.kill(0);
    keeper.ledger.verify(&cluster.client()).await?;
    cluster.restart(0)?;
    cluster.wait_in_order()?;
    keeper.ledger.verify(&cluster.client_of(0)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_moves_to_garage_while_its_leader_dies_and_a_member_sleeps() -> anyhow::Result<()> {
    let cluster = Cluster::with().members(3).gateways(1).in_folder();
    let mut cluster = cluster
        .env("HOLDFAST_UPLOADS_PART_SIZE", PART_SIZE)
        .start()?;
    let mut keeper = filled(&cluster.client()).await?;
    open_upload(&cluster.client(), &mut keeper).await?;
    let load = Load::start(cluster.address(), 3, 3)?;
    let outcome = kill_and_sleep(&mut cluster, &mut keeper).await;
    let report = load.end()?;
    println!("three members and a gateway, moved: {}", report.line());
    outcome?;
    report.ensure_harmless()?;
    cluster.passed();
    Ok(())
}

async fn kill_and_sleep(cluster: &mut Cluster, keeper: &mut Worker) -> anyhow::Result<()> {
    let leader = cluster.leader()?;
    let members = cluster.running(Role::Member);
    let others: Vec<usize> = members.into_iter().filter(|it| *it != leader).collect();
    let (asked, sleeper) = (others[0], others[1]);
    let mut moving = order(cluster, asked)?;
    // An upload has parts in the folder: the move cannot end before it.
    let is_copied = |it: &MoveStatus| it.objects_total > 0 && it.objects_done >= it.objects_total;
    wait_for_move(cluster, "the first copies", is_copied)?;
    cluster.kill(leader);
    keeper.ledger.verify(&cluster.client()).await?;
    cluster.restart(leader)?;
    cluster.wait_in_order()?;
    let is_waiting = |it: &MoveStatus| it.nodes_waited_for == 0 && it.uploads_waited_for > 0;
    wait_for_move(cluster, "another leader to go on", |it| {
        is_copied(it) && is_waiting(it)
    })?;
    cluster.node(sleeper).pause()?;
    let ended = keeper
        .run(&cluster.client_of(asked), Operation::Close)
        .await?;
    ensure!(ended == Step::Acknowledged, "the upload was not finished");
    let switched = finished(&mut moving);
    cluster.node(sleeper).resume()?;
    switched?;
    // It has slept through the switch: what it takes now is there for everybody, and it has all that they have.
    let pushed = Operation::PushBlob {
        repository: "moved/late".to_owned(),
        content: Content::new(901, 300_000),
    };
    ensure!(keeper.run(&cluster.client_of(sleeper), pushed).await? == Step::Acknowledged);
    std::fs::remove_dir_all(cluster.path("blobs"))?;
    cluster.wait_in_order()?;
    // With the settings of before: it finds the new store by itself.
    cluster.kill(sleeper);
    cluster.restart(sleeper)?;
    cluster.wait_in_order()?;
    for place in 0..4 {
        let verified = keeper.ledger.verify(&cluster.client_of(place)).await;
        verified.with_context(|| format!("at node {place}"))?;
    }
    Ok(())
}

/// A node that cannot use the new store says why, nothing is moved, and the move can be given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_without_credentials_holds_the_move_up() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(2).in_folder().start()?;
    let keeper = filled(&cluster.client()).await?;
    let follower = cluster.follower()?;
    let wrong = ("HOLDFAST_STORAGE_S3_SECRET_ACCESS_KEY", "0".repeat(64));
    let wrong = [(wrong.0.to_owned(), wrong.1)];
    cluster.restart_with(follower, &wrong)?;
    cluster.wait_in_order()?;
    // The one with the wrong ones may lead by now.
    let other = 1 - follower;
    let id = cluster.id_of(follower)?;
    let mut moving = order(&mut cluster, other)?;
    let why = moving.wait_for_line(&format!("holdfast: waiting for node {id} "), MOVE_MAX)?;
    ensure!(why.contains("cannot be used"), "{why}");
    let mut cancel = cluster
        .node(other)
        .start_command(&["storage", "move", "--cancel"])?;
    let status = cancel.wait(MOVE_MAX)?;
    ensure!(status.success(), "{}", cancel.said());
    moving.wait_for_line("holdfast: the move was given up", MOVE_MAX)?;
    ensure!(!moving.wait(MOVE_MAX)?.success());
    // The same with the right credentials.
    cluster.restart(follower)?;
    cluster.wait_in_order()?;
    let mut moving = order(&mut cluster, other)?;
    finished(&mut moving)?;
    std::fs::remove_dir_all(cluster.path("blobs"))?;
    for place in 0..2 {
        keeper.ledger.verify(&cluster.client_of(place)).await?;
    }
    cluster.passed();
    Ok(())
}

/// `holdfast storage move` beside a node.
fn order(cluster: &mut Cluster, place: usize) -> anyhow::Result<Process> {
    let garage = cluster.garage();
    let to = format!(
        "{}/{}?region={}",
        garage.endpoint, garage.bucket, garage.region
    );
    let node = cluster.node(place);
    node.start_command(&["storage", "move", "--to", &to])
}

fn finished(moving: &mut Process) -> anyhow::Result<()> {
    moving.wait_for_line("  storage.s3.bucket", MOVE_MAX)?;
    let status = moving.wait(MOVE_MAX)?;
    ensure!(status.success(), "{status}: {}", moving.said());
    Ok(())
}

fn wait_for_move(
    cluster: &Cluster,
    what: &str,
    is_so: impl Fn(&MoveStatus) -> bool,
) -> anyhow::Result<()> {
    let mut last = None;
    let waited = cluster.wait_for(what, || {
        last = cluster.status().ok().and_then(|status| status.storage_move);
        last.as_ref().is_some_and(&is_so)
    });
    waited.with_context(|| format!("{last:?}"))
}

/// A registry with images, and layers that take a moment to copy.
async fn filled(client: &Client) -> anyhow::Result<Worker> {
    let mut keeper = Worker::default();
    for seed in 0..LAYERS {
        let push = Operation::PushBlob {
            repository: "moved/layers".to_owned(),
            content: Content::new(seed, 3 * MIB),
        };
        ensure!(keeper.run(client, push).await? == Step::Acknowledged);
    }
    let mut dice = Dice::new(7);
    for _ in 0..OPERATIONS {
        let operation = choose(7, &keeper.ledger, &mut dice);
        ensure!(keeper.run(client, operation).await? == Step::Acknowledged);
    }
    while !keeper.ledger.uploads.is_empty() {
        ensure!(keeper.run(client, Operation::Close).await? == Step::Acknowledged);
    }
    Ok(keeper)
}

/// An upload with a part in the store that there is.
async fn open_upload(client: &Client, keeper: &mut Worker) -> anyhow::Result<()> {
    let open = Operation::Open {
        repository: "moved/layers".to_owned(),
        content: Content::new(900, 7 * MIB),
    };
    ensure!(keeper.run(client, open).await? == Step::Acknowledged);
    let write = Operation::Write { to: 6 * MIB };
    ensure!(keeper.run(client, write).await? == Step::Acknowledged);
    Ok(())
}
