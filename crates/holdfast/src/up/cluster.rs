//! What is asked of the cluster: over the socket of a node that runs, as the commands that people have do it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::plan::Role;
use crate::control::{self, Order};
use crate::failure::Failure;

/// The node whose data folder this is, as the one that is asked.
#[derive(Debug, Clone)]
pub struct Cluster(pub PathBuf);

/// What founding tells.
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

/// How the cluster is.
#[derive(Debug, Default, Deserialize)]
pub struct Status {
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
}

/// How a node is.
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
    /// What the node says.
    pub async fn found(&self, peer_address: SocketAddr) -> Result<Founded, Failure> {
        let peer_address = Some(peer_address.to_string());
        self.ask(Order::Init { peer_address }).await
    }

    /// Lets another node in, once.
    ///
    /// # Errors
    /// As above.
    pub async fn invite(&self, role: Role) -> Result<Invitation, Failure> {
        let role = role.name().to_owned();
        let seconds = None;
        self.ask(Order::Add { role, seconds }).await
    }

    /// How the nodes are.
    ///
    /// # Errors
    /// As above.
    pub async fn status(&self) -> Result<Status, Failure> {
        self.ask(Order::Status).await
    }

    async fn ask<T: DeserializeOwned>(&self, order: Order) -> Result<T, Failure> {
        let folder = self.0.clone();
        // Asking blocks, for a bounded time.
        let asked = tokio::task::spawn_blocking(move || control::ask(&folder, &order)).await;
        let answer =
            asked.map_err(|error| Failure::new(format!("the cluster cannot be asked: {error}")))?;
        serde_json::from_value(answer?).map_err(|error| {
            Failure::new(format!(
                "the cluster has answered what cannot be read: {error}"
            ))
        })
    }
}
