//! How the nodes of the cluster are, by their own account and by the log's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use identity::Role;
use metadata::{Answer, NodeId, NodeView, Query};
use ports::Deadline;
use serde::Serialize;
use wire::nodes::{NodeStatus, StatusRequest};

use crate::admin::AdminFailure;
use crate::node::{Log, Shared};

/// How long a node may take to say how it is.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// How long the log may take to say who there is.
const LOG_TIME_MAX: Duration = Duration::from_secs(3);
/// So many nodes are asked at once, at most.
const NODES_ASKED_MAX: usize = 1_000;

/// The cluster.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterStatus {
    /// Its id.
    pub cluster: String,
    /// The format of its log.
    pub format: u32,
    /// Whether the log said so just now; else it is what this node last knew.
    pub confirmed: bool,
    /// The copy of the log beside the blobs, by the leader's account; none while no leader answers, or for a node alone.
    pub log_copy: Option<LogCopyLine>,
    /// Every node.
    pub nodes: Vec<NodeLine>,
}

/// The copy of the log beside the blobs.
#[derive(Debug, Clone, Serialize)]
pub struct LogCopyLine {
    /// The last entry that it has; 0 when that is not known.
    pub index: u64,
    /// How many entries it lacks.
    pub lag_entries: u64,
    /// For how long something has been missing in it, in milliseconds.
    pub lag_ms: u64,
    /// Why it does not get on, if it does not.
    pub problem: Option<String>,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeLine {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// `member` or `gateway`.
    pub role: String,
    /// Its process; 0 when it does not answer.
    pub pid: u32,
    /// Where clients reach it, if it says so, else where nodes do.
    pub address: String,
    /// Where other nodes reach it.
    pub peer_address: String,
    /// The version of its build.
    pub version: String,
    /// The highest format that its build knows.
    pub format: u32,
    /// The last entry that it has applied.
    pub log_index: u64,
    /// How many entries it is behind the leader.
    pub lag: u64,
    /// Whether it leads.
    pub leader: bool,
    /// Whether it votes.
    pub votes: bool,
    /// `ok`, `draining`, `no quorum`, or why it does not answer.
    pub health: String,
    /// Free bytes on the disk of its data.
    pub disk_free: u64,
    /// Bytes of that disk.
    pub disk_size: u64,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
}

impl NodeLine {
    /// Whether it answers and can confirm reads.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health == "ok"
    }
}

/// This node's own account.
pub(crate) async fn own(shared: &Shared) -> NodeStatus {
    let data = shared.data().clone();
    let space = crate::join::blocking(move || rustix::fs::statvfs(&data)).await;
    let (disk_free, disk_size) = space.map_or((0, 0), |space| {
        (
            space.f_bavail.saturating_mul(space.f_frsize),
            space.f_blocks.saturating_mul(space.f_frsize),
        )
    });
    let health = shared.store().health();
    let (leader, votes) = match shared.log() {
        Log::Member(member) => {
            let group = member.group();
            let votes = group.nodes.get(&group.node).is_some_and(|own| own.votes);
            (group.leader.map(NodeId), votes)
        }
        Log::Gateway(_) => (None, false),
    };
    let announcement = shared.announcement();
    NodeStatus {
        node: shared.node(),
        pid: std::process::id(),
        version: announcement.version.clone(),
        format_max: announcement.format_max,
        role: shared.role(),
        leader,
        term: health.term,
        last_log: health.last_log.0.max(health.applied.0),
        applied: health.applied.0,
        can_confirm: health.can_confirm,
        votes,
        disk_free,
        disk_size,
        uptime_ms: u64::try_from(shared.uptime().as_millis()).unwrap_or(u64::MAX),
        draining: shared.is_draining(),
        log_copy: shared.copy().status(health.applied.0),
    }
}

/// Every node's account.
pub(crate) async fn of_all(shared: &Arc<Shared>) -> Result<ClusterStatus, AdminFailure> {
    let deadline = Deadline::now() + LOG_TIME_MAX;
    let (nodes, confirmed) = match shared.store().read(Query::Nodes, deadline).await {
        Ok(answered) => match answered.answer {
            Answer::Nodes { nodes } => (nodes, !answered.stale),
            _ => (Vec::new(), true),
        },
        Err(_) => (known_nodes(shared), false),
    };
    let mut listed: Vec<NodeView> = nodes.into_iter().filter(|n| n.removed.is_none()).collect();
    listed.truncate(NODES_ASKED_MAX);
    let asked = listed.iter().map(|node| ask(shared, node));
    let accounts = join_all(asked).await;
    // A leader is who says so of itself, in the latest term.
    let leader = accounts
        .iter()
        .flatten()
        .filter(|status| status.leader == Some(status.node))
        .max_by_key(|status| status.term)
        .map(|status| status.node);
    let furthest = accounts
        .iter()
        .flatten()
        .map(|status| status.last_log)
        .max();
    let voters = voters(shared, &accounts);
    let log_copy = accounts
        .iter()
        .flatten()
        .filter(|status| leader == Some(status.node))
        .find_map(|status| status.log_copy.clone());
    let mut lines: Vec<NodeLine> = listed
        .iter()
        .zip(&accounts)
        .map(|(node, account)| line(node, account.as_ref(), leader, furthest.unwrap_or(0)))
        .collect();
    for line in &mut lines {
        line.votes = voters.contains(&line.id);
    }
    if lines.is_empty() {
        // A node that is alone.
        let status = own(shared).await;
        let leader = status.leader;
        let last = status.last_log;
        lines.push(line(&alone(shared), Ok(&status), leader, last));
    }
    let format = match shared.store().read(Query::Cluster, deadline).await {
        Ok(answered) => match answered.answer {
            Answer::Cluster(view) => view.format,
            _ => 0,
        },
        Err(_) => 0,
    };
    Ok(ClusterStatus {
        cluster: shared.cluster().to_string(),
        format,
        confirmed,
        log_copy: log_copy.map(|copy| LogCopyLine {
            index: copy.index,
            lag_entries: copy.lag_entries,
            lag_ms: copy.lag_ms,
            problem: copy.problem,
        }),
        nodes: lines,
    })
}

/// Who votes: as this member's log has it, and for a gateway, as the nodes say.
fn voters(shared: &Shared, accounts: &[Result<NodeStatus, String>]) -> BTreeSet<u64> {
    if let Log::Member(member) = shared.log() {
        let nodes = member.group().nodes.into_iter();
        return nodes
            .filter(|(_, peer)| peer.votes)
            .map(|(node, _)| node)
            .collect();
    }
    let accounts = accounts.iter().flatten();
    accounts
        .filter(|status| status.votes)
        .map(|status| status.node.0)
        .collect()
}

/// What a member's own tables say of the nodes, when nobody can confirm it.
fn known_nodes(shared: &Shared) -> Vec<NodeView> {
    let members = shared.folder().members();
    let own = alone(shared);
    members
        .into_iter()
        .map(|(node, peer_address)| {
            let mut view = own.clone();
            if node != shared.node() {
                view.node = node;
                view.announcement.name = format!("node-{node}");
                view.announcement.client_address = String::new();
                view.announcement.version = String::new();
                view.announcement.peer_address = peer_address;
            }
            view.role = Role::Member;
            view
        })
        .collect()
}

/// A node that the log does not list.
fn alone(shared: &Shared) -> NodeView {
    NodeView {
        node: shared.node(),
        role: shared.role(),
        key_hash: [0; 32],
        announcement: (*shared.announcement()).clone(),
        joined: metadata::LogTime(0),
        announced: metadata::LogTime(0),
        removed: None,
    }
}

async fn ask(shared: &Shared, node: &NodeView) -> Result<NodeStatus, String> {
    if node.node == shared.node() {
        return Ok(own(shared).await);
    }
    let address = &node.announcement.peer_address;
    let mut client = shared.connections().node_client(node.node.0, address);
    match tokio::time::timeout(ANSWER_TIME_MAX, client.status(StatusRequest)).await {
        Ok(Ok(status)) => Ok(status.into_inner()),
        Ok(Err(_)) => Err("unreachable".to_owned()),
        Err(_) => Err("does not answer".to_owned()),
    }
}

fn line(
    node: &NodeView,
    account: Result<&NodeStatus, &String>,
    leader: Option<NodeId>,
    furthest: u64,
) -> NodeLine {
    let said = &node.announcement;
    let status = account.ok();
    let health = match account {
        Err(why) => why.clone(),
        Ok(status) if status.draining => "draining".to_owned(),
        Ok(status) if !status.can_confirm => "no quorum".to_owned(),
        Ok(_) => "ok".to_owned(),
    };
    let address = match said.client_address.as_str() {
        "" => said.peer_address.clone(),
        address => address.to_owned(),
    };
    let log_index = status.map_or(0, |status| status.applied);
    NodeLine {
        id: node.node.0,
        name: said.name.clone(),
        role: node.role.to_string(),
        pid: status.map_or(0, |status| status.pid),
        address,
        peer_address: said.peer_address.clone(),
        version: status.map_or_else(|| said.version.clone(), |status| status.version.clone()),
        format: status.map_or(said.format_max, |status| status.format_max),
        log_index,
        lag: status.map_or(0, |_| furthest.saturating_sub(log_index)),
        leader: leader == Some(node.node),
        votes: status.is_some_and(|status| status.votes),
        health,
        disk_free: status.map_or(0, |status| status.disk_free),
        disk_size: status.map_or(0, |status| status.disk_size),
        uptime_ms: status.map_or(0, |status| status.uptime_ms),
    }
}
