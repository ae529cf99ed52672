//! Tokens that let nobody in: used, expired, of another cluster, for another role, and no token at all. The node says why in
//! one line and ends; the cluster is as it was.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::cluster::Role;
use harness::{Cluster, Process, holdfast};

/// A refusal is told at once; a debug build starts slowly.
const REFUSED_MAX: Duration = Duration::from_secs(30);

/// A node that is not one of the cluster's places.
pub struct Stranger {
    folder: tempfile::TempDir,
}

impl Stranger {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
        })
    }

    /// Its data folder.
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Starts `holdfast serve` with its folder on any port.
    pub fn start(&self, cluster: &Cluster, more: &[&str]) -> anyhow::Result<Process> {
        let [peer] = harness::ports::free_at(cluster.host())?;
        let host = cluster.host();
        let mut command = Command::new(holdfast::program()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(self.data());
        command.args(["--peer-address", &format!("{host}:{peer}")]);
        command
            .args(more)
            .envs(cluster.environment().iter().cloned());
        Process::start("stranger", &mut command)
    }

    /// Starts it and waits for its end, which must be a bad one with one line that says all of `why`.
    pub fn is_refused(&self, cluster: &Cluster, more: &[&str], why: &[&str]) -> anyhow::Result<()> {
        let mut process = self.start(cluster, more)?;
        let status = process.wait(REFUSED_MAX)?;
        ensure!(!status.success(), "it was not refused");
        let said = process.said();
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("holdfast: "))
            .collect();
        ensure!(lines.len() == 1, "not one line but {lines:?} of\n{said}");
        for word in why {
            ensure!(
                lines[0].contains(word),
                "{:?} does not say {word:?}",
                lines[0]
            );
        }
        println!("{}", lines[0]);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_lets_in_one_node_of_its_role_in_its_time() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(1).places(3).start()?;
    let seed = cluster.node(0).peer_address().to_owned();
    let before = cluster.status()?.nodes.len();
    let refused = |token: &str, why: &[&str]| {
        Stranger::new()?
            .is_refused(&cluster, &["--join", &seed, "--token", token], why)
            .with_context(|| format!("{why:?}"))
    };
    refused("hf1.nonsense", &["token"])?;
    let mut torn = cluster.token(Role::Member)?;
    torn.replace_range(20..21, if &torn[20..21] == "A" { "B" } else { "A" });
    refused(&torn, &["token"])?;
    let said = cluster.command(&["add", "--role", "gateway", "--life", "1s", "--json"])?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    let expired = said["token"].as_str().context("no token")?.to_owned();
    // Until it has expired by the cluster's clock, which may be a moment behind.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    refused(&expired, &["expired", "holdfast cluster add"])?;
    let foreign = Cluster::with().members(1).start()?;
    let token = foreign.token(Role::Member)?;
    refused(&token, &["another cluster"])?;
    foreign.passed();
    ensure!(cluster.status()?.nodes.len() == before, "somebody came in");
    let token = cluster.token(Role::Gateway)?;
    cluster.join(1, Role::Gateway, &token)?;
    cluster.wait_in_order()?;
    let used = Stranger::new()?;
    used.is_refused(
        &cluster,
        &["--join", &seed, "--token", &token],
        &["used", "holdfast cluster add"],
    )?;
    ensure!(
        cluster.status()?.nodes.len() == before + 1,
        "somebody came in"
    );
    cluster.wait_in_order()?;
    cluster.passed();
    Ok(())
}
