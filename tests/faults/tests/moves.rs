//! The blobs of a one-node registry move from its folder to Garage while clients push, tag and delete, and the node is killed
//! (`kill -9`) again and again: the move goes on, and with the old folder gone everything acknowledged is there.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use faults::choice::choose;
use faults::content::Dice;
use faults::{Content, Operation, Step, Worker};
use harness::{Client, GarageServer, HoldfastServer, Process};

const WORKERS: usize = 3;
const KILLS: usize = 6;
/// Layers that are there before the move, so that it takes a while.
const LAYERS: u64 = 40;
const LAYER_BYTES: usize = 2 << 20;
/// Between two kills.
const ACKNOWLEDGED: usize = 25;
const MOVE_MAX: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_a_move_to_garage() {
    move_and_check().await.unwrap();
}

async fn move_and_check() -> anyhow::Result<()> {
    let garage = GarageServer::start()?;
    let place = format!("{}/{}/moved", garage.endpoint, garage.bucket);
    let part_size = [("HOLDFAST_UPLOADS_PART_SIZE".to_owned(), "5MiB".to_owned())];
    // The keys of the store that is to come, and no other settings of it.
    let keys = garage
        .environment()
        .into_iter()
        .filter(|(name, _)| name.contains("KEY"));
    let mut server = HoldfastServer::with();
    for (name, value) in part_size.iter().cloned().chain(keys) {
        server = server.env(name, value);
    }
    let mut server = server.start()?;
    let mut keeper = filled(&server.client()).await?;
    let mut workers: Vec<(Worker, Dice)> = (0..WORKERS)
        .map(|number| (Worker::default(), Dice::new(number as u64)))
        .collect();
    let to = format!("{place}?region={}", garage.region);
    for kill in 0..KILLS {
        let mut moving = order(server.data(), &to)?;
        let crowd = Crowd::work(&mut workers, &server);
        crowd.acknowledge(ACKNOWLEDGED).await;
        server.kill();
        workers = crowd
            .join()
            .await
            .with_context(|| format!("before kill {kill}"))?;
        ensure!(
            !moving.wait(MOVE_MAX)?.success(),
            "the open upload was not waited for"
        );
        server.restart()?;
        for (worker, _) in &mut workers {
            let settled = worker.settle(&server.client()).await;
            settled.with_context(|| format!("after kill {kill}"))?;
        }
        // Pulled from whichever store has it, while the move goes on.
        for ledger in workers
            .iter()
            .map(|(worker, _)| &worker.ledger)
            .chain([&keeper.ledger])
        {
            let verified = ledger.verify(&server.client()).await;
            verified.with_context(|| format!("after kill {kill}"))?;
        }
    }
    let mut moving = order(server.data(), &to)?;
    let crowd = Crowd::work(&mut workers, &server);
    crowd.acknowledge(ACKNOWLEDGED).await;
    // Its parts are in the old store: now the move can end.
    keeper.run(&server.client(), Operation::Close).await?;
    let ended = moving.wait(MOVE_MAX)?;
    ensure!(ended.success(), "the move failed: {}", moving.said());
    ensure!(
        moving.said().contains("storage.s3.bucket"),
        "{}",
        moving.said()
    );
    // The same node goes on with the new store.
    crowd.acknowledge(ACKNOWLEDGED).await;
    crowd.stop.store(true, Ordering::Relaxed);
    let workers = crowd.join().await?;
    assert_old_settings_are_refused(&mut server)?;
    std::fs::remove_dir_all(server.data().join("blobs"))?;
    let mut environment: Vec<(String, String)> = garage.environment();
    environment.push(("HOLDFAST_STORAGE_S3_PREFIX".to_owned(), "moved".to_owned()));
    environment.extend(part_size);
    restart(&mut server, &environment)?;
    let client = server.client();
    keeper.ledger.verify(&client).await?;
    let mut known = keeper.ledger.len();
    for (worker, _) in &workers {
        worker.ledger.verify(&client).await?;
        known += worker.ledger.len();
    }
    println!("{KILLS} kills, {known} acknowledged facts checked");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_move_may_be_the_last_one() {
    let listed = Command::new(harness::holdfast::program().unwrap())
        .arg("steps")
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let steps: Vec<&str> = listed
        .lines()
        .filter(|step| step.starts_with("registry::move::"))
        .collect();
    assert!(
        steps.len() > 5,
        "too few steps: is this a build with fail points?\n{listed}"
    );
    let garage = GarageServer::start().unwrap();
    for (number, step) in steps.iter().enumerate() {
        let died = die_at(&garage, step, &format!("step-{number}")).await;
        died.with_context(|| (*step).to_owned()).unwrap();
    }
}

/// The node dies at the step, and the move is ordered again.
async fn die_at(garage: &GarageServer, step: &str, prefix: &str) -> anyhow::Result<()> {
    let mut keys: Vec<(String, String)> = garage.environment();
    keys.retain(|(name, _)| name.contains("KEY"));
    let mut server = HoldfastServer::with().env("HOLDFAST_CRASH_AT", format!("{step}:1"));
    for (name, value) in &keys {
        server = server.env(name, value);
    }
    let mut server = server.start()?;
    let mut keeper = Worker::default();
    for seed in 0..3 {
        let push = Operation::PushBlob {
            repository: "faults/keeper".to_owned(),
            content: Content::new(seed, 3_000_000),
        };
        ensure!(keeper.run(&server.client(), push).await? == Step::Acknowledged);
    }
    let to = format!(
        "{}/{}/{prefix}?region={}",
        garage.endpoint, garage.bucket, garage.region
    );
    let mut moving = order(server.data(), &to)?;
    let status = server.process().wait(MOVE_MAX)?;
    ensure!(
        status.to_string().contains("SIGKILL"),
        "{status}: {}",
        server.process().said()
    );
    moving.wait(MOVE_MAX)?;
    let mut new = garage.environment();
    new.push(("HOLDFAST_STORAGE_S3_PREFIX".to_owned(), prefix.to_owned()));
    if !step.ends_with("after_switch") {
        restart(&mut server, &keys)?;
        keeper.ledger.verify(&server.client()).await?;
        let mut again = order(server.data(), &to)?;
        let status = again.wait(MOVE_MAX)?;
        ensure!(status.success(), "{status}: {}", again.said());
        keeper.ledger.verify(&server.client()).await?;
    }
    assert_old_settings_are_refused(&mut server)?;
    std::fs::remove_dir_all(server.data().join("blobs"))?;
    restart(&mut server, &new)?;
    keeper.ledger.verify(&server.client()).await
}

fn restart(server: &mut HoldfastServer, environment: &[(String, String)]) -> anyhow::Result<()> {
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    server.restart_with_env(&environment)
}

/// A registry with some layers, and an upload that has a part.
async fn filled(client: &Client) -> anyhow::Result<Worker> {
    let mut keeper = Worker::default();
    let repository = || "faults/keeper".to_owned();
    for seed in 0..LAYERS {
        let content = Content::new(seed, LAYER_BYTES);
        let push = Operation::PushBlob {
            repository: repository(),
            content,
        };
        ensure!(keeper.run(client, push).await? == Step::Acknowledged);
    }
    let open = Operation::Open {
        repository: repository(),
        content: Content::new(LAYERS, 7 << 20),
    };
    ensure!(keeper.run(client, open).await? == Step::Acknowledged);
    let write = Operation::Write { to: 6 << 20 };
    ensure!(keeper.run(client, write).await? == Step::Acknowledged);
    Ok(keeper)
}

/// The program, without the settings of whoever runs the test.
fn program() -> anyhow::Result<Command> {
    let mut command = Command::new(harness::holdfast::program()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDFAST_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// `holdfast storage move`, as an operator runs it.
fn order(data: &Path, to: &str) -> anyhow::Result<Process> {
    let mut command = program()?;
    command
        .args(["storage", "move", "--to", to, "--data"])
        .arg(data);
    Process::start("holdfast storage move", &mut command)
}

fn assert_old_settings_are_refused(server: &mut HoldfastServer) -> anyhow::Result<()> {
    let mut command = program()?;
    server.kill();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data());
    // It cannot find the new store by itself.
    for name in ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"] {
        command.env(format!("HOLDFAST_STORAGE_S3_{name}"), "another");
    }
    let mut refused = Process::start("holdfast", &mut command)?;
    let status = refused.wait(Duration::from_secs(60))?;
    let said = refused.said();
    ensure!(status.code() == Some(1), "{status}: {said}");
    ensure!(
        said.contains("were moved to") && said.contains("storage.s3.bucket"),
        "{said}"
    );
    Ok(())
}

/// Workers under way.
struct Crowd {
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<(Worker, Dice)>>>,
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    fn work(workers: &mut Vec<(Worker, Dice)>, server: &HoldfastServer) -> Crowd {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = workers.drain(..).enumerate().map(|(number, worker)| {
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(work(number, worker, server.client(), acknowledged, stop))
        });
        Crowd {
            tasks: tasks.collect(),
            acknowledged,
            stop,
        }
    }

    /// Waits for so many operations from now on.
    async fn acknowledge(&self, more: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + more;
        while self.acknowledged.load(Ordering::Relaxed) < enough
            && !self.tasks.iter().any(tokio::task::JoinHandle::is_finished)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn join(self) -> anyhow::Result<Vec<(Worker, Dice)>> {
        let mut workers = Vec::new();
        for task in self.tasks {
            workers.push(task.await??);
        }
        Ok(workers)
    }
}

/// Runs operations until the server dies or it is enough.
async fn work(
    number: usize,
    (mut worker, mut dice): (Worker, Dice),
    client: Client,
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<(Worker, Dice)> {
    while !stop.load(Ordering::Relaxed) {
        let operation = choose(number, &worker.ledger, &mut dice);
        if worker.run(&client, operation).await? == Step::Interrupted {
            break;
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    Ok((worker, dice))
}
