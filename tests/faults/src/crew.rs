//! Workers at the same server, at work until it dies, and what they know of it afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use harness::{Client, HoldfastServer};

use crate::choice::choose;
use crate::content::Dice;
use crate::{Step, Worker};

const WORKERS: usize = 4;

/// Between two deaths of the server at most so many operations are acknowledged.
const ACKNOWLEDGED_MAX: usize = 40;

/// The server is killed so much later at most, in the middle of something.
const DELAY_US_MAX: usize = 15_000;

/// A server that is to die by itself may live so long.
const DEATH_WAIT_MAX: Duration = Duration::from_secs(10);

/// Workers, each with its ledger and its choices.
pub struct Crew(Vec<(Worker, Dice)>);

/// How the server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// It is killed some time after some operations.
    Killed,
    /// By itself.
    Its,
}

impl Crew {
    /// Workers who know nothing yet.
    pub fn new(dice: &mut Dice) -> Crew {
        let workers = (0..WORKERS).map(|_| (Worker::default(), Dice::new(dice.next())));
        Crew(workers.collect())
    }

    /// Works until the server is dead.
    pub async fn work(
        &mut self,
        server: &mut HoldfastServer,
        dice: &mut Dice,
        death: Death,
    ) -> anyhow::Result<()> {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = self
            .0
            .drain(..)
            .enumerate()
            .map(|(number, worker)| {
                let counted = Arc::clone(&acknowledged);
                tokio::spawn(work(number, worker, server.client(), counted))
            })
            .collect();
        let enough = 1 + dice.below(ACKNOWLEDGED_MAX);
        let delay_us = dice.below(DELAY_US_MAX);
        let began = std::time::Instant::now();
        let is_over = || match death {
            Death::Killed => acknowledged.load(Ordering::Relaxed) >= enough,
            Death::Its => began.elapsed() > DEATH_WAIT_MAX,
        };
        while !is_over() && !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if death == Death::Killed {
            tokio::time::sleep(Duration::from_micros(u64::try_from(delay_us)?)).await;
        }
        server.kill();
        for task in tasks {
            self.0.push(task.await??);
        }
        Ok(())
    }

    /// Finds out what has become of the operations that were under way.
    pub async fn settle(&mut self, client: &Client) -> anyhow::Result<()> {
        for (worker, _) in &mut self.0 {
            worker.settle(client).await?;
        }
        Ok(())
    }

    /// Looks for everything that was acknowledged.
    pub async fn verify(&self, client: &Client) -> anyhow::Result<()> {
        for (worker, _) in &self.0 {
            worker.ledger.verify(client).await?;
        }
        Ok(())
    }

    /// What each of them finds wrong: first with what was under way, else with what was acknowledged.
    pub async fn complaints(&mut self, client: &Client) -> Vec<anyhow::Error> {
        let mut complaints = Vec::new();
        for (worker, _) in &mut self.0 {
            let checked = match worker.settle(client).await {
                Ok(_) => worker.ledger.verify(client).await,
                Err(wrong) => Err(wrong),
            };
            complaints.extend(checked.err());
        }
        complaints
    }

    /// How many acknowledged facts they know.
    pub fn known(&self) -> usize {
        self.0.iter().map(|(worker, _)| worker.ledger.len()).sum()
    }
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
        let step = worker.run(&client, operation).await;
        if step.context("before the server died")? == Step::Interrupted {
            return Ok((worker, dice));
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// The choices of a run: `FAULTS_SEED`, or others each time. It is printed.
pub fn seed() -> u64 {
    const VARIABLE: &str = "FAULTS_SEED";
    let seed = number(VARIABLE).unwrap_or_else(|| u64::from(std::process::id()));
    println!("{VARIABLE}={seed} repeats the choices of this run");
    seed
}

/// What a variable says, if it is a number.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// How often something is done: what a variable says, or so often.
pub fn times(variable: &str, usual: usize) -> usize {
    let given = number(variable).map(|times| usize::try_from(times).expect("a sane number"));
    given.unwrap_or(usual)
}
