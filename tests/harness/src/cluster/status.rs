//! What `holdfast cluster status --json` says.

use serde::Deserialize;

/// The cluster, as a node sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// The format of its log.
    #[serde(default)]
    pub format: u32,
    /// Its label.
    #[serde(default)]
    pub label: Option<String>,
    /// Every node that is not removed.
    pub nodes: Vec<NodeStatus>,
    /// How far the leader has moved the blobs, if it does.
    #[serde(default)]
    pub storage_move: Option<MoveStatus>,
}

/// How far the blobs are moved.
#[derive(Debug, Clone, Deserialize)]
pub struct MoveStatus {
    /// Objects in the new store.
    pub objects_done: u64,
    /// Objects that have to be.
    pub objects_total: u64,
    /// Open uploads that are waited for.
    pub uploads_waited_for: u64,
    /// Nodes that have not taken the step that the move is at.
    pub nodes_waited_for: u64,
}

/// A node. What tests do not ask for is left out.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeStatus {
    /// Its number, for ever.
    pub id: u64,
    /// `member` or `gateway`.
    pub role: String,
    /// Its process.
    #[serde(default)]
    pub pid: u32,
    /// Where other nodes reach it.
    #[serde(default)]
    pub address: String,
    /// The last entry of the log that it has.
    #[serde(default)]
    pub log_index: Option<u64>,
    /// How many entries it is behind.
    #[serde(default)]
    pub lag: Option<u64>,
    /// The highest format that it understands.
    #[serde(default)]
    pub format: u32,
    /// Whether it leads.
    #[serde(default)]
    pub leader: bool,
    /// Whether it votes.
    #[serde(default)]
    pub votes: bool,
    /// `ok`, or what is wrong.
    #[serde(default)]
    pub health: String,
    /// Free bytes on its disk.
    #[serde(default)]
    pub disk_free: u64,
}

impl Status {
    /// Who leads.
    pub fn leader(&self) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| node.leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_and_what_is_new_in_it_is_no_harm() {
        let text = r#"{"cluster": "0198", "nodes": [
            {"id": 1, "name": "a", "role": "member", "pid": 7, "address": "127.0.0.1:1", "version": "0.1.0", "format": 2,
             "log_index": 12, "lag": 0, "leader": false, "votes": true, "health": "ok", "disk": null},
            {"id": 2, "role": "member", "pid": 8, "leader": true, "votes": true, "lag": null}]}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.leader().unwrap().pid, 8);
        assert_eq!(status.nodes[0].log_index, Some(12));
    }
}
