//! How the nodes of the cluster are, by their own account and by the log's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use identity::Role;
use metadata::{Answer, ClusterView, LogTime, NodeId, NodeView, Query};
use metadata_raft::{clock_is_off, median_clock};
use ports::Deadline;
use serde::Serialize;
use wire::nodes::{MoveProgress, NodeStatus, StatusRequest};

use crate::admin::AdminFailure;
use crate::node::{Log, Shared};
use crate::trust::{self, RotationLine};

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
    /// Its label, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether the log said so just now; else it is what this node last knew.
    pub confirmed: bool,
    /// The copy of the log beside the blobs, by the leader's account; none while no leader answers, or for a node alone.
    pub log_copy: Option<LogCopyLine>,
    /// The log's time, in milliseconds since 1970.
    pub log_time_ms: u64,
    /// Until when nothing is deleted that waited before the last correction of the log's time, if that was lately.
    pub deletions_wait_until_ms: Option<u64>,
    /// The clusters that this one was restored from and whose objects it does not delete: see `cluster adopt`.
    pub borrowed_from: Vec<String>,
    /// Since when every node has known the next format, if all do: it is raised a day later.
    pub next_format_since_ms: Option<u64>,
    /// How far the rotation of the authority is, while it is rotated.
    pub rotation: Option<RotationLine>,
    /// How far the blobs are moved to another store, by the account of the leader that moves them.
    pub storage_move: Option<MoveLine>,
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

/// How far the blobs are moved.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MoveLine {
    /// Objects in the new store.
    pub objects_done: u64,
    /// Objects that have to be.
    pub objects_total: u64,
    /// Their bytes in the new store.
    pub bytes_done: u64,
    /// Their bytes.
    pub bytes_total: u64,
    /// Open uploads that are waited for.
    pub uploads_waited_for: u64,
    /// How many nodes have not taken the step that the move is at.
    pub nodes_waited_for: u64,
    /// What holds it up.
    pub trouble: Option<String>,
}

impl From<MoveProgress> for MoveLine {
    fn from(moving: MoveProgress) -> MoveLine {
        MoveLine {
            objects_done: moving.objects_done,
            objects_total: moving.objects_total,
            bytes_done: moving.bytes_done,
            bytes_total: moving.bytes_total,
            uploads_waited_for: moving.uploads_waited_for,
            nodes_waited_for: moving.nodes_waited_for,
            trouble: moving.trouble,
        }
    }
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
    /// `ok`, `draining`, `disk full`, `no quorum`, how far its clock is off, or why it does not answer.
    pub health: String,
    /// How far its clock is ahead of the median of the voters' clocks, in milliseconds, as far as is known.
    pub clock_ahead_ms: Option<i64>,
    /// Free bytes on the disk of its data.
    pub disk_free: u64,
    /// Bytes of that disk.
    pub disk_size: u64,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
}

/// How the health of a node begins whose clock is off.
const CLOCK_OFF: &str = "clock off by ";

impl NodeLine {
    /// Whether it answers and can confirm reads.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health == "ok" || self.health.starts_with(CLOCK_OFF)
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
        clock: shared.clock(),
        disk_full: shared.member().is_some_and(|member| !member.has_room()),
        log_copy: shared.copy().status(health.applied.0),
        storage_move: shared.storage_move(),
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
    let began = Instant::now();
    let asked = listed.iter().map(|node| ask(shared, node, began));
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
    let storage_move = accounts
        .iter()
        .flatten()
        .filter(|status| leader == Some(status.node))
        .find_map(|status| status.storage_move.clone());
    let mut lines: Vec<NodeLine> = listed
        .iter()
        .zip(&accounts)
        .map(|(node, account)| line(node, account.as_ref(), leader, furthest.unwrap_or(0)))
        .collect();
    for line in &mut lines {
        line.votes = voters.contains(&line.id);
    }
    compare_clocks(&mut lines, &accounts);
    if lines.is_empty() {
        // A node that is alone.
        let status = own(shared).await;
        let leader = status.leader;
        let last = status.last_log;
        lines.push(line(&alone(shared), Ok(&status), leader, last));
    }
    let view = match shared.store().read(Query::Cluster, deadline).await {
        Ok(answered) => match answered.answer {
            Answer::Cluster(view) => Some(view),
            _ => None,
        },
        Err(_) => None,
    };
    let view = view.as_ref();
    let authorities = trust::ask(shared).await.unwrap_or_default();
    let wait = |view: &ClusterView| view.upkeep.suspended_until(view.time);
    let since = |view: &ClusterView| view.upkeep.next_format_since;
    let borrowed = view.into_iter().flat_map(ClusterView::borrowed_from);
    Ok(ClusterStatus {
        cluster: shared.cluster().to_string(),
        format: view.map_or(0, |view| view.format),
        label: view.and_then(|view| view.label.clone()),
        confirmed,
        log_time_ms: view.map_or(0, |view| view.time.0),
        deletions_wait_until_ms: view.and_then(wait).map(|time| time.0),
        borrowed_from: borrowed.map(|cluster| cluster.to_string()).collect(),
        rotation: authorities.rotation(&listed),
        next_format_since_ms: view.and_then(since).map(|time| time.0),
        log_copy: log_copy.map(|copy| LogCopyLine {
            index: copy.index,
            lag_entries: copy.lag_entries,
            lag_ms: copy.lag_ms,
            problem: copy.problem,
        }),
        storage_move: storage_move.map(MoveLine::from),
        nodes: lines,
    })
}

/// Says of each node how far its clock is from the median of the voters' clocks, which were all read for one moment.
fn compare_clocks(lines: &mut [NodeLine], accounts: &[Result<NodeStatus, String>]) {
    let known: BTreeMap<u64, LogTime> = accounts
        .iter()
        .flatten()
        .map(|status| (status.node.0, status.clock))
        .collect();
    let voting = lines.iter().filter(|line| line.votes);
    let clocks: Vec<LogTime> = voting
        .filter_map(|line| known.get(&line.id).copied())
        .collect();
    let Some(leading) = lines.iter().find(|line| line.leader) else {
        return;
    };
    let Some(near) = known.get(&leading.id) else {
        return;
    };
    let median = median_clock(clocks, *near);
    for line in lines {
        let Some(clock) = known.get(&line.id) else {
            continue;
        };
        let apart = i64::try_from(clock.0.abs_diff(median.0)).unwrap_or(i64::MAX);
        let ahead = if *clock < median { -apart } else { apart };
        line.clock_ahead_ms = Some(ahead);
        if clock_is_off(*clock, median) && line.health == "ok" {
            line.health = format!("{CLOCK_OFF}{:+.1} s", ahead as f64 / 1e3);
        }
    }
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
        trust: metadata::NodeTrust::default(),
        storage: metadata::StorageWord::default(),
    }
}

/// A node's own account; its clock is carried back to when it showed `began`.
async fn ask(shared: &Shared, node: &NodeView, began: Instant) -> Result<NodeStatus, String> {
    let asked = began.elapsed();
    let mut status = account(shared, node).await?;
    let read = (asked + began.elapsed()) / 2;
    let read_ms = u64::try_from(read.as_millis()).unwrap_or(u64::MAX);
    status.clock = status.clock.minus_ms(read_ms);
    Ok(status)
}

async fn account(shared: &Shared, node: &NodeView) -> Result<NodeStatus, String> {
    if node.node == shared.node() {
        return Ok(own(shared).await);
    }
    ask_at(shared, node.node.0, &node.announcement.peer_address).await
}

/// Another node's account.
pub(crate) async fn ask_at(
    shared: &Shared,
    node: u64,
    address: &str,
) -> Result<NodeStatus, String> {
    let mut client = shared.connections().node_client(node, address);
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
        Ok(status) if status.disk_full => "disk full".to_owned(),
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
        clock_ahead_ms: None,
        disk_free: status.map_or(0, |status| status.disk_free),
        disk_size: status.map_or(0, |status| status.disk_size),
        uptime_ms: status.map_or(0, |status| status.uptime_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(node: u64, clock: u64) -> NodeStatus {
        NodeStatus {
            node: NodeId(node),
            pid: 1,
            version: String::new(),
            format_max: 1,
            role: Role::Member,
            leader: Some(NodeId(1)),
            term: 1,
            last_log: 5,
            applied: 5,
            can_confirm: true,
            votes: true,
            disk_free: 1,
            disk_size: 2,
            uptime_ms: 3,
            draining: false,
            disk_full: false,
            clock: LogTime(clock),
            log_copy: None,
            storage_move: None,
        }
    }

    fn lines(accounts: &[Result<NodeStatus, String>]) -> Vec<NodeLine> {
        let view = |node| NodeView {
            node: NodeId(node),
            role: Role::Member,
            key_hash: [0; 32],
            announcement: metadata::NodeAnnouncement {
                name: String::new(),
                peer_address: String::new(),
                client_address: String::new(),
                version: String::new(),
                format_max: 1,
            },
            joined: LogTime(0),
            announced: LogTime(0),
            removed: None,
            trust: metadata::NodeTrust::default(),
            storage: metadata::StorageWord::default(),
        };
        let each = (1..).zip(accounts);
        each.map(|(node, account)| line(&view(node), account.as_ref(), Some(NodeId(1)), 5))
            .collect()
    }

    #[test]
    fn node_whose_clock_is_off_is_told_and_counts_as_healthy() {
        let accounts = [
            Ok(status(1, 1_000_000)),
            Ok(status(2, 1_004_000)),
            Ok(status(3, 900_000)),
            Err("unreachable".to_owned()),
        ];
        let mut lines = lines(&accounts);
        compare_clocks(&mut lines, &accounts);
        let ahead: Vec<_> = lines.iter().map(|line| line.clock_ahead_ms).collect();
        assert_eq!(ahead, [Some(0), Some(4_000), Some(-100_000), None]);
        let health: Vec<_> = lines.iter().map(|line| line.health.as_str()).collect();
        let off = "clock off by -100.0 s";
        assert_eq!(health, ["ok", "ok", off, "unreachable"]);
        assert!(lines[2].is_healthy() && !lines[3].is_healthy());
    }
}
