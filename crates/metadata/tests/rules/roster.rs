//! Short ways to say what happens to nodes.

use bytes::Bytes;
use metadata::{
    Answer, Command, FORMAT_MAX, FoundCluster, JoinNode, JoinProof, JoinTokenId, JoinTokenRow,
    LogTime, NodeAnnouncement, NodeId, NodeRole, NodeRow, NodeView, Query, Refusal, Reply, keys,
};

use crate::world::World;

pub const HOUR_MS: u64 = 60 * 60 * 1_000;
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// The first member.
pub const FIRST: NodeId = NodeId(1);

/// What the node with the key `key` says of itself.
pub fn announcement(key: u8) -> NodeAnnouncement {
    NodeAnnouncement {
        name: format!("node-{key}"),
        peer_address: format!("10.0.0.{key}:7070"),
        client_address: format!("10.0.0.{key}:5000"),
        version: "0.1.0".to_owned(),
        format_max: FORMAT_MAX,
    }
}

/// The hash of the key that `key` stands for; the first member has key 1.
pub fn key_hash(key: u8) -> [u8; 32] {
    [key; 32]
}

/// The hash of the secret of a token.
pub fn secret_hash(token: u128) -> [u8; 32] {
    let mut hash = [0xcc; 32];
    hash[..16].copy_from_slice(&token.to_be_bytes());
    hash
}

pub fn found() -> FoundCluster {
    FoundCluster {
        node: FIRST,
        key_hash: key_hash(1),
        announcement: announcement(1),
        authority_certificate: Bytes::from_static(b"the authority"),
        sealed_authority_key: Bytes::from_static(b"its key, sealed"),
    }
}

/// Who knows the secret of a token.
pub fn by_token(token: u128, role: NodeRole, key: u8) -> JoinNode {
    JoinNode {
        proof: JoinProof::Token {
            token: JoinTokenId(token),
            hash: secret_hash(token),
        },
        role,
        key_hash: key_hash(key),
        announcement: announcement(key),
    }
}

/// Who knows the bootstrap secret.
pub fn by_secret(role: NodeRole, key: u8) -> JoinNode {
    JoinNode {
        proof: JoinProof::BootstrapSecret,
        ..by_token(0, role, key)
    }
}

impl World {
    /// A cluster with its first member.
    pub fn founded() -> World {
        let mut world = World::new();
        let reply = world.apply(Command::FoundCluster(Box::new(found())));
        assert_eq!(reply, Reply::Founded { node: FIRST });
        world
    }

    /// Issues a token that lives for an hour.
    pub fn issue(&mut self, token: u128, role: NodeRole) {
        let command = self.token(token, role, HOUR_MS);
        assert_eq!(self.apply(command), Reply::Done);
    }

    /// A token that lives for `life_ms`.
    pub fn token(&self, token: u128, role: NodeRole, life_ms: u64) -> Command {
        Command::IssueJoinToken {
            token: JoinTokenId(token),
            hash: secret_hash(token),
            role,
            expires: LogTime(self.now + life_ms),
        }
    }

    /// A join that must succeed.
    pub fn join(&mut self, join: JoinNode) -> NodeId {
        match self.apply(Command::JoinNode(Box::new(join))) {
            Reply::NodeJoined { node } => node,
            reply => panic!("it did not join: {reply:?}"),
        }
    }

    /// A join that must be refused.
    pub fn join_refused(&mut self, join: JoinNode) -> Refusal {
        self.refused(Command::JoinNode(Box::new(join)))
    }

    pub fn remove(&mut self, node: NodeId) {
        assert_eq!(self.apply(Command::RemoveNode { node }), Reply::Done);
    }

    pub fn node(&self, node: NodeId) -> Option<NodeRow> {
        self.row(&keys::node(node))
    }

    pub fn token_row(&self, token: u128) -> Option<JoinTokenRow> {
        self.row(&keys::join_token(JoinTokenId(token)))
    }

    pub fn nodes(&self) -> Vec<NodeView> {
        match self.ask(Query::Nodes) {
            Answer::Nodes { nodes } => nodes,
            answer => panic!("{answer:?}"),
        }
    }

    /// Changes the cluster's row behind the log's back, as if much had happened before.
    pub fn set_cluster(&mut self, change: impl FnOnce(&mut metadata::ClusterRow)) {
        let key = keys::cluster();
        let mut row = self.row(&key).expect("it has its name");
        change(&mut row);
        let row = metadata::Row::Cluster(row);
        metadata::Tables::put(&mut self.tables, key.table(), key.bytes(), row)
            .expect("memory can be written");
    }
}
