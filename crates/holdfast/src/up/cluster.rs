//! What is asked of the cluster: by the commands that people have, of a node that runs.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::plan::Role;
use super::process;
use crate::failure::Failure;

/// How long a command may take.
const COMMAND_MAX: Duration = Duration::from_secs(30);

/// The commands, asked of the node whose data folder this is.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// This program.
    pub program: PathBuf,
    /// The data folder of a node that runs.
    pub folder: PathBuf,
}

/// What `cluster init` tells.
#[derive(Debug, Deserialize)]
pub struct Founded {
    /// Without it nothing that the cluster has sealed can be read after the loss of all members.
    pub recovery_key: String,
}

/// What lets a node in.
#[derive(Debug, Deserialize)]
pub struct Invitation {
    /// The token.
    pub token: String,
}

/// What `cluster status` tells.
#[derive(Debug, Default, Deserialize)]
pub struct Status {
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
}

/// What it tells about a node.
#[derive(Debug, Deserialize)]
pub struct NodeStatus {
    /// Its process.
    pub pid: Option<u32>,
    /// Whether it leads.
    #[serde(default)]
    pub leader: bool,
    /// `ok`, or what is wrong.
    #[serde(default)]
    pub health: String,
    /// How far its log is.
    pub log_index: Option<u64>,
    /// How many entries it is behind.
    pub lag: Option<u64>,
}

impl Cluster {
    /// Makes a cluster of the one node that there is.
    ///
    /// # Errors
    /// What the command says.
    pub async fn found(&self, peer_address: SocketAddr) -> Result<Founded, Failure> {
        let address = peer_address.to_string();
        self.ask(&["init", "--peer-address", &address]).await
    }

    /// Lets another node in, once.
    ///
    /// # Errors
    /// As above.
    pub async fn invite(&self, role: Role) -> Result<Invitation, Failure> {
        self.ask(&["add", "--role", role.name()]).await
    }

    /// How the nodes are.
    ///
    /// # Errors
    /// As above.
    pub async fn status(&self) -> Result<Status, Failure> {
        self.ask(&["status"]).await
    }

    async fn ask<T: DeserializeOwned>(&self, what: &[&str]) -> Result<T, Failure> {
        let shown = format!("`holdfast cluster {}`", what[0]);
        let output = output(&self.program, what, &self.folder).await;
        let output =
            output.map_err(|error| Failure::new(format!("{shown} cannot be run: {error}")))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = errors
                .lines()
                .filter_map(|line| line.strip_prefix("holdfast: "))
                .collect();
            let said = match lines.as_slice() {
                [] => errors.trim().to_owned(),
                lines => lines.join("; "),
            };
            return Err(Failure::new(format!("{shown} has failed: {said}")));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| {
            Failure::new(format!("{shown} has answered what cannot be read: {error}"))
        })
    }
}

async fn output(
    program: &Path,
    what: &[&str],
    folder: &Path,
) -> std::io::Result<std::process::Output> {
    let mut command = process::command(program);
    command
        .arg("cluster")
        .args(what)
        .args([
            OsStr::new("--json"),
            OsStr::new("--data"),
            folder.as_os_str(),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(COMMAND_MAX, command.output()).await?
}
