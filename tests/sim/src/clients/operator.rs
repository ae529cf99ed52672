//! What operators and nodes propose about the cluster itself: nodes join and leave, authorities are rotated, blobs are moved, time is
//! corrected, the format is raised. Each is a row of commands, which crashes and other operators interrupt. What the commands mean
//! outside the log is not simulated here; that the log decides them alike everywhere is.

use std::sync::Arc;

use bytes::Bytes;
use metadata::{
    Answer, ClusterView, Command, FoundCluster, JoinNode, JoinProof, JoinTokenId, LogTime,
    NodeAnnouncement, NodeId, NodeRole, NodeTrust, Query, Reply,
};
use ports::MetadataStore;
use tokio::time::Instant;

use super::Client;

/// One operator at work, through one member.
struct Work<'a> {
    client: &'a Client,
    log: Arc<metadata_client::Client>,
    /// The cluster as it was when the work began.
    view: ClusterView,
    /// The nodes that were not removed then.
    nodes: Vec<NodeId>,
}

impl Client {
    /// Does one of the things that operators do.
    pub(super) async fn command_cluster(&self) {
        let Some(work) = self.begin_work().await else {
            return;
        };
        if work.nodes.is_empty() {
            work.found().await;
        }
        match self.dice.within(0..12) {
            0 | 1 => work.grow().await,
            2 | 3 => work.shrink().await,
            4 => work.rotate_authority().await,
            5 | 6 => work.move_blobs().await,
            7 => work.correct_time().await,
            8 | 9 => work.raise_format().await,
            _ => work.do_anything().await,
        }
    }

    async fn begin_work(&self) -> Option<Work<'_>> {
        let members = self.world.members_up();
        let member = (!members.is_empty()).then(|| self.dice.pick(&members).life.node)?;
        let log = self.world.node(member)?.alive()?.client;
        let deadline = Instant::now() + self.world.plan.settings.hold;
        let Answer::Cluster(view) = log.read(Query::Cluster, deadline).await.ok()?.answer else {
            return None;
        };
        let Answer::Nodes { nodes } = log.read(Query::Nodes, deadline).await.ok()?.answer else {
            return None;
        };
        let there = nodes.into_iter().filter(|node| node.removed.is_none());
        Some(Work {
            client: self,
            log,
            view,
            nodes: there.map(|node| node.node).collect(),
        })
    }
}

impl Work<'_> {
    /// Proposes a command. Whether it was done.
    async fn propose(&self, command: Command) -> bool {
        let client = self.client;
        let deadline = Instant::now() + client.world.plan.settings.hold;
        let name = crate::log::command_name(&command);
        let replied = self.log.propose(command, deadline).await;
        let number = client.number;
        match replied {
            Ok(reply) => {
                let trace = &client.world.trace;
                trace.note(format_args!("client {number}: {name}: {reply:?}"));
                let is_done = !matches!(reply, Reply::Refused(_));
                client.world.answered(match is_done {
                    true => "cluster command",
                    false => "cluster command refused",
                });
                is_done
            }
            Err(failure) => {
                let trace = &client.world.trace;
                trace.note(format_args!("client {number}: {name}: {failure}"));
                false
            }
        }
    }

    fn hits(&self, per_mille: u64) -> bool {
        self.client.dice.hits(per_mille)
    }

    fn any_node(&self) -> NodeId {
        match self.nodes.is_empty() || self.hits(100) {
            true => NodeId(self.client.dice.within(1..6)),
            false => *self.client.dice.pick(&self.nodes),
        }
    }

    fn certificate(&self) -> Bytes {
        Bytes::from(format!("certificate {}", self.client.dice.number()))
    }

    fn announcement(&self, node: u64) -> NodeAnnouncement {
        // What a node's build knows: in some runs all are new, so that the format can be raised.
        let all_are_new = !self.client.world.plan.seed.is_multiple_of(4);
        NodeAnnouncement {
            name: format!("node-{node}"),
            peer_address: format!("node-{node}:1"),
            client_address: String::new(),
            version: "1".to_owned(),
            format_max: match all_are_new || self.hits(700) {
                true => metadata::FORMAT_MAX,
                false => 1,
            },
        }
    }

    async fn found(&self) {
        self.propose(Command::FoundCluster(Box::new(FoundCluster {
            node: NodeId(1),
            key_hash: [1; 32],
            announcement: self.announcement(1),
            authority_certificate: self.certificate(),
            sealed_authority_key: Bytes::from_static(b"sealed"),
        })))
        .await;
    }

    /// A node joins with a token, and says what it is.
    async fn grow(&self) {
        let dice = &self.client.dice;
        let role = *dice.pick(&[NodeRole::Member, NodeRole::Gateway]);
        // Few of each kind, so that commands meet what others have left.
        let token = JoinTokenId(u128::from(dice.within(0..12)));
        let few = dice.within(2..30);
        let expires = self.view.time.plus_ms(dice.within(100..100_000));
        let hash = [7; 32];
        self.propose(Command::IssueJoinToken {
            token,
            hash,
            role,
            expires,
        })
        .await;
        let joined = self
            .propose(Command::JoinNode(Box::new(JoinNode {
                proof: JoinProof::Token { token, hash },
                role,
                key_hash: [few as u8; 32],
                announcement: self.announcement(few),
            })))
            .await;
        if joined {
            self.client.world.answered("node joined");
            self.announce(self.any_node()).await;
        }
    }

    async fn announce(&self, node: NodeId) {
        let announcement = self.announcement(node.0);
        self.propose(Command::AnnounceNode { node, announcement })
            .await;
    }

    async fn shrink(&self) {
        let node = self.any_node();
        let removed = match self.client.dice.within(0..3) {
            0 => {
                let spare = self.any_node();
                self.propose(Command::ReplaceVoter { dead: node, spare })
                    .await
                    && self.propose(Command::RemoveNode { node }).await
            }
            1 => {
                self.propose(Command::RemoveGoneGateway { gateway: node })
                    .await
            }
            _ => self.propose(Command::RemoveNode { node }).await,
        };
        if removed {
            self.client.world.answered("node removed");
        }
    }

    /// A new authority is believed by all, signs, and the old one ends.
    async fn rotate_authority(&self) {
        let added = self
            .propose(Command::AddAuthority {
                certificate: self.certificate(),
                sealed_key: Bytes::from_static(b"sealed"),
            })
            .await;
        let deadline = Instant::now() + self.client.world.plan.settings.hold;
        let asked = self.log.read(Query::Authorities, deadline).await;
        let Ok(Answer::Authorities { authorities, .. }) = asked.map(|asked| asked.answer) else {
            return;
        };
        let last = authorities.last().map_or(0, |(number, _)| *number);
        let mut trust = NodeTrust {
            believes: last,
            signed_by: last.saturating_sub(1),
        };
        self.note_trust(trust).await;
        self.propose(Command::SignWithNextAuthority).await;
        trust.signed_by = last;
        self.note_trust(trust).await;
        if self.propose(Command::DropAuthority).await && added {
            self.client.world.answered("authority rotated");
        }
    }

    async fn note_trust(&self, trust: NodeTrust) {
        for node in &self.nodes {
            // One that is forgotten holds the rotation up.
            if !self.hits(30) {
                let node = *node;
                self.propose(Command::NoteTrust { node, trust }).await;
            }
        }
    }

    /// The blobs are moved to another store, step by step, or the move is cancelled.
    async fn move_blobs(&self) {
        let storage = &self.view.storage;
        let mut step = storage.step;
        if storage.moving_to.is_none() {
            let to = format!("s3://bucket-{}", self.client.dice.within(1..4));
            let uploads_idle_ms = 1_000;
            if !self
                .propose(Command::MoveStorage {
                    to,
                    uploads_idle_ms,
                })
                .await
            {
                return;
            }
            step += 1;
        }
        if self.hits(250) {
            if self.propose(Command::CancelMove { step }).await {
                self.client.world.answered("move cancelled");
            }
            return;
        }
        self.confirm_storage(step).await;
        if !storage.writes_to_new && self.propose(Command::FillStorage { step }).await {
            step += 1;
        }
        self.confirm_storage(step).await;
        let generation = storage.generation + 1;
        if self.propose(Command::SwitchStorage { generation }).await {
            self.client.world.answered("blobs moved");
        }
    }

    async fn confirm_storage(&self, step: u64) {
        for node in &self.nodes {
            let problem = self.hits(20).then(|| "no such bucket".to_owned());
            let node = *node;
            self.propose(Command::ConfirmStorage {
                node,
                step,
                problem,
            })
            .await;
        }
    }

    async fn correct_time(&self) {
        let to = self
            .view
            .time
            .plus_ms(self.client.dice.within(30_000..90_000));
        self.propose(Command::CorrectTime { to }).await;
    }

    /// All nodes say what they know, the format is raised, and what it brings is used.
    async fn raise_format(&self) {
        for node in &self.nodes {
            self.announce(*node).await;
        }
        let to = self.view.format + 1;
        let raised = match self.hits(300) {
            true => self.propose(Command::RaiseFormatInTime { to }).await,
            false => self.propose(Command::RaiseFormat { to }).await,
        };
        if raised {
            self.client.world.answered("format raised");
        }
        self.set_label().await;
    }

    async fn set_label(&self) {
        let label = format!("label-{}", self.client.dice.within(1..5));
        if self.propose(Command::SetLabel { label }).await {
            self.client.world.answered("label set");
        }
    }

    /// Some command at a wrong time, or twice.
    async fn do_anything(&self) {
        let dice = &self.client.dice;
        let node = self.any_node();
        let step = self.view.storage.step;
        let command = match dice.within(0..14) {
            0 => return self.found().await,
            1 => Command::RemoveGoneGateway { gateway: node },
            2 => Command::ReplaceVoter {
                dead: node,
                spare: self.any_node(),
            },
            3 => Command::RaiseFormatInTime {
                to: dice.within(1..3) as u32,
            },
            4 => Command::FillStorage { step },
            5 => Command::CancelMove { step },
            6 => Command::SwitchStorage {
                generation: dice.within(1..3),
            },
            7 => Command::DropAuthority,
            8 => Command::SignWithNextAuthority,
            9 => Command::RaiseFormat {
                to: dice.within(1..4) as u32,
            },
            10 => Command::CorrectTime {
                to: LogTime(self.view.time.0.saturating_sub(60_000)),
            },
            11 => return self.set_label().await,
            _ => Command::AdoptBlobs,
        };
        self.propose(command).await;
    }
}
