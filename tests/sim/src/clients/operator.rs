//! Proposes what operators and nodes propose about the cluster itself: nodes join and leave, authorities are rotated, blobs are
//! moved, the format is raised. What the commands mean outside the log is not simulated here; that the log decides them
//! alike everywhere is.

use bytes::Bytes;
use metadata::{
    Answer, Command, FoundCluster, JoinNode, JoinProof, JoinTokenId, LogTime, NodeAnnouncement,
    NodeId, NodeRole, NodeTrust, Query,
};
use ports::MetadataStore;
use tokio::time::Instant;

use super::Client;

impl Client {
    /// Proposes some such commands, one after the other.
    pub(super) async fn command_cluster(&self) {
        for _ in 0..self.dice.within(1..8) {
            self.command_cluster_once().await;
        }
    }

    /// Proposes one through a member.
    async fn command_cluster_once(&self) {
        let members = self.world.members_up();
        let Some(member) = (!members.is_empty()).then(|| self.dice.pick(&members).life.node) else {
            return;
        };
        let Some(alive) = self.world.node(member).and_then(|node| node.alive()) else {
            return;
        };
        let deadline = Instant::now() + self.world.plan.settings.hold;
        let Ok(answered) = alive.client.read(Query::Cluster, deadline).await else {
            return;
        };
        let Answer::Cluster(view) = answered.answer else {
            return;
        };
        let command = self.some_command(view.time, view.storage.step);
        let name = crate::log::command_name(&command);
        let replied = alive.client.propose(command, deadline).await;
        let number = self.number;
        match replied {
            Ok(reply) => {
                self.world
                    .trace
                    .note(format_args!("client {number}: {name}: {reply:?}"));
                self.world.answered("cluster command");
            }
            Err(failure) => {
                self.world
                    .trace
                    .note(format_args!("client {number}: {name}: {failure}"));
            }
        }
    }

    fn announcement(&self, node: u64) -> NodeAnnouncement {
        NodeAnnouncement {
            name: format!("node-{node}"),
            peer_address: format!("node-{node}:1"),
            client_address: String::new(),
            version: "1".to_owned(),
            format_max: self.known_format(),
        }
    }

    /// What a node's build knows: in some runs all are new, so that the format can be raised.
    fn known_format(&self) -> u32 {
        let all_are_new = self.world.plan.seed.is_multiple_of(2);
        match all_are_new || self.dice.hits(700) {
            true => metadata::FORMAT_MAX,
            false => 1,
        }
    }

    fn some_command(&self, now: LogTime, step: u64) -> Command {
        // Few of each kind, so that commands meet what others have left.
        let few = self.dice.within(1..5);
        let node = NodeId(few);
        let hash = [few as u8; 32];
        let role = *self.dice.pick(&[NodeRole::Member, NodeRole::Gateway]);
        let token = JoinTokenId(u128::from(self.dice.within(0..4)));
        let certificate = Bytes::from(format!("certificate {}", self.dice.number()));
        match self.dice.within(0..30) {
            0 | 1 => Command::FoundCluster(Box::new(FoundCluster {
                node: NodeId(1),
                key_hash: [1; 32],
                announcement: self.announcement(1),
                authority_certificate: certificate,
                sealed_authority_key: Bytes::from_static(b"sealed"),
            })),
            2 | 3 => Command::IssueJoinToken {
                token,
                hash: [7; 32],
                role,
                expires: now.plus_ms(self.dice.within(1..100_000)),
            },
            4..7 => Command::JoinNode(Box::new(JoinNode {
                proof: JoinProof::Token {
                    token,
                    hash: [7; 32],
                },
                role,
                key_hash: hash,
                announcement: self.announcement(few),
            })),
            7..9 => Command::AnnounceNode {
                node,
                announcement: self.announcement(few),
            },
            9 => Command::RemoveNode { node },
            10 => Command::RaiseFormat {
                to: if self.dice.hits(800) { 2 } else { 1 },
            },
            11 => Command::RaiseFormatInTime {
                to: self.dice.within(1..3) as u32,
            },
            12 | 27 | 28 => Command::SetLabel {
                label: format!("label-{few}"),
            },
            13 | 14 | 29 => self.some_move(few, step),
            15 | 16 => Command::ConfirmStorage {
                node,
                step,
                problem: self.dice.hits(200).then(|| "no such bucket".to_owned()),
            },
            17 => Command::CorrectTime {
                to: now.plus_ms(self.dice.within(0..70_000)),
            },
            18 => Command::RemoveGoneGateway { gateway: node },
            19 => Command::ReplaceVoter {
                dead: node,
                spare: NodeId(self.dice.within(1..5)),
            },
            20 | 21 => Command::AddAuthority {
                certificate,
                sealed_key: Bytes::from_static(b"sealed"),
            },
            22 | 23 => Command::NoteTrust {
                node,
                trust: NodeTrust::default(),
            },
            24 => Command::SignWithNextAuthority,
            25 => Command::DropAuthority,
            _ => Command::AdoptBlobs,
        }
    }

    fn some_move(&self, few: u64, step: u64) -> Command {
        match self.dice.within(0..4) {
            0 => Command::MoveStorage {
                to: format!("s3://bucket-{few}"),
                uploads_idle_ms: 1_000,
            },
            1 => Command::FillStorage { step },
            2 => Command::CancelMove { step },
            _ => Command::SwitchStorage {
                generation: self.dice.within(1..3),
            },
        }
    }
}
