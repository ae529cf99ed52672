//! 200 kills (`kill -9`) at random instants during concurrent pushes, deletes and mounts: after each restart what was
//! under way has happened or has not, and at the end everything ever acknowledged is there byte for byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use faults::choice::choose;
use faults::content::Dice;
use faults::{Step, Worker};
use harness::{Client, HoldfastServer};

const WORKERS: usize = 4;
const KILLS: usize = 200;

/// Sets another number of kills, for longer runs.
const KILLS_VARIABLE: &str = "FAULTS_KILLS";

/// Repeats a run that failed.
const SEED_VARIABLE: &str = "FAULTS_SEED";

/// Between two kills at most so many operations are acknowledged.
const ACKNOWLEDGED_MAX: usize = 40;

/// The kill comes so much later at most, in the middle of something.
const DELAY_US_MAX: usize = 15_000;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_200_kills() {
    let kills = number(KILLS_VARIABLE).map_or(KILLS, |kills| {
        usize::try_from(kills).expect("a sane number")
    });
    let seed = number(SEED_VARIABLE).unwrap_or_else(|| u64::from(std::process::id()));
    println!("{SEED_VARIABLE}={seed} repeats the choices of this run");
    kill_and_check(kills, seed)
        .await
        .with_context(|| format!("{SEED_VARIABLE}={seed}"))
        .unwrap();
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

async fn kill_and_check(kills: usize, seed: u64) -> anyhow::Result<()> {
    let mut dice = Dice::new(seed);
    // Small snapshots and parts, so that the kills meet them often.
    let settings = HoldfastServer::with().env("HOLDFAST_METADATA_SNAPSHOT_AFTER", "1MiB");
    let mut server = settings.env("HOLDFAST_UPLOADS_PART_SIZE", "5MiB").start()?;
    let mut workers: Vec<(Worker, Dice)> = (0..WORKERS)
        .map(|_| (Worker::default(), Dice::new(dice.next())))
        .collect();
    for kill in 0..kills {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = workers
            .drain(..)
            .enumerate()
            .map(|(number, worker)| {
                tokio::spawn(work(
                    number,
                    worker,
                    server.client(),
                    Arc::clone(&acknowledged),
                ))
            })
            .collect();
        let enough = 1 + dice.below(ACKNOWLEDGED_MAX);
        while acknowledged.load(Ordering::Relaxed) < enough
            && !tasks.iter().all(tokio::task::JoinHandle::is_finished)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let delay_us = dice.below(DELAY_US_MAX);
        tokio::time::sleep(Duration::from_micros(u64::try_from(delay_us)?)).await;
        server.kill();
        for task in tasks {
            workers.push(task.await?.with_context(|| format!("before kill {kill}"))?);
        }
        server.restart()?;
        let client = server.client();
        for (worker, _) in &mut workers {
            worker
                .settle(&client)
                .await
                .with_context(|| format!("after kill {kill}"))?;
        }
        // Everything is checked at the end, and now and then before, to learn early which kill did it.
        if kill % 25 == 24 || kill + 1 == kills {
            for (worker, _) in &workers {
                worker
                    .ledger
                    .verify(&client)
                    .await
                    .with_context(|| format!("after kill {kill}"))?;
            }
        }
    }
    let known: usize = workers.iter().map(|(worker, _)| worker.ledger.len()).sum();
    println!("{kills} kills, {known} acknowledged facts checked");
    Ok(())
}

/// Runs operations until the server dies.
async fn work(
    number: usize,
    (mut worker, mut dice): (Worker, Dice),
    client: Client,
    acknowledged: Arc<AtomicUsize>,
) -> anyhow::Result<(Worker, Dice)> {
    loop {
        let operation = choose(number, &worker.ledger, &mut dice);
        if worker.run(&client, operation).await? == Step::Interrupted {
            return Ok((worker, dice));
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}
