//! How nodes are and what happens to them, as far as their processes tell.

use std::net::SocketAddr;

use super::plan::Role;

/// Something that has happened to a node.
#[derive(Debug, Clone)]
pub struct Event {
    /// What.
    pub what: Happened,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its process.
    pub pid: u32,
    /// Where it serves clients.
    pub address: SocketAddr,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// It was started again.
    Started,
    /// It serves.
    Ready,
    /// It has ended, and how.
    Ended(String),
}

/// How a node is, as far as its process tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was not started in this run.
    Off,
    /// It runs.
    Running {
        /// Its process.
        pid: u32,
        /// Where it serves clients.
        address: SocketAddr,
        /// Whether it has been ready.
        was_ready: bool,
    },
    /// It has ended, and how.
    Ended(String),
}

/// A node as it is shown.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// How its process is.
    pub state: State,
}
