//! Deaths: of each node while people push, and of the whole program.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rustix::process::Signal;
use up::{Up, signal, wait_until_gone};

use crate::{Progress, pull, push, work};

/// How many people push at once.
const WORKERS: usize = 4;

/// How many images are pushed between two blows.
const PUSHES_BETWEEN: usize = 12;

const NODES: [&str; 4] = ["member-1", "member-2", "member-3", "gateway-1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_push_fails_while_each_node_is_killed_in_turn() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut up = Up::start(folder.path(), &["--gateways", "1"])?;
    let client = up.client("balancer")?;
    let progress = Arc::new(Progress::default());
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let repository = format!("people/{worker}");
            tokio::spawn(work(client.clone(), repository, Arc::clone(&progress)))
        })
        .collect();
    let watched = Arc::clone(&progress);
    let killed = tokio::task::spawn_blocking(move || -> anyhow::Result<Up> {
        // One of the members leads, wherever that has moved meanwhile.
        for name in NODES {
            watched.wait_for(PUSHES_BETWEEN)?;
            up.kill(name)?;
            watched.wait_for(PUSHES_BETWEEN)?;
            up.start_again(name)?;
        }
        Ok(up)
    });
    let killed = killed.await?;
    progress.stop();
    let workers = futures::future::join_all(workers).await;
    // Why a push failed says more than that the next one was waited for in vain.
    let pushed = workers
        .into_iter()
        .map(|worker| anyhow::Ok(worker??))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut up = killed?;
    let mut count = 0;
    for (worker, pushed) in pushed.iter().enumerate() {
        // Every node has all of it, those that were dead as well.
        for (version, manifest) in pushed.iter().enumerate() {
            let name = NODES[version % NODES.len()];
            let node = up.client(name)?;
            pull(
                &node,
                &format!("people/{worker}"),
                &format!("v{version}"),
                manifest,
            )
            .await?;
            count += 1;
        }
    }
    println!("{count} images were pushed while four nodes were killed");
    assert!(count >= 2 * PUSHES_BETWEEN * NODES.len(), "{count}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_program_leaves_no_node_behind_and_the_next_run_goes_on() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut up = Up::start(folder.path(), &["--gateways", "1"])?;
    let manifest = push(&up.client("balancer")?, "kept/app", "v1").await?;
    let nodes: Vec<u32> = NODES
        .iter()
        .map(|name| Ok(up.process(name)?.pid))
        .collect::<anyhow::Result<_>>()?;
    let key = folder.path().join("recovery-key");
    assert_eq!(key.metadata()?.permissions().mode() & 0o777, 0o600);

    // Only its own process: not the group, nor its nodes.
    signal(up.id(), Signal::KILL)?;
    wait_until_gone(&nodes)?;
    drop(up);

    let mut up = Up::start(folder.path(), &[])?;
    assert_eq!(up.processes()?.len(), 5);
    for name in ["balancer"].iter().chain(&NODES) {
        pull(&up.client(name)?, "kept/app", "v1", &manifest).await?;
    }
    push(&up.client("balancer")?, "kept/app", "v2").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_of_one_grows_with_its_data() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut up = Up::start(folder.path(), &["--nodes", "1"])?;
    let manifest = push(&up.client("balancer")?, "kept/app", "v1").await?;
    drop(up);
    let mut up = Up::start(folder.path(), &["--nodes", "3", "--gateways", "1"])?;
    for name in NODES {
        pull(&up.client(name)?, "kept/app", "v1", &manifest).await?;
    }
    Ok(())
}

#[test]
fn node_is_started_again_when_a_build_has_taken_the_program_away() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("holdfast");
    std::fs::copy(harness::holdfast::program()?, &program)?;
    let data = folder.path().join("data");
    let wanted = up::command(&data, &["--json", "--nodes", "1"])?;
    let mut command = std::process::Command::new(&program);
    command.args(wanted.get_args());
    let mut up = Up::spawn(&command)?;
    up.wait_for("ready", "balancer")?;
    std::fs::remove_file(&program)?;
    up.kill("member-1")?;
    up.start_again("member-1")?;
    Ok(())
}
