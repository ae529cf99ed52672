//! What an operator may ask of a running node: founding, tokens, removal, hand-over, and the format of the log.

use std::sync::Arc;
use std::time::Duration;

use identity::{JoinToken, NodeId, Role, UnixSeconds};
use metadata::{Answer, ClusterView, Command, JoinTokenId, LogTime, Query, Refusal, Reply};
use ports::Deadline;
use serde::Serialize;
use tokio::net::TcpListener;
use wire::nodes::{OrderReply, OrderRequest};

use crate::node::{Cluster, Shared};
use crate::{found, status, steward};

/// How long an order may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// It was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminFailure {
    /// The cluster was founded before.
    #[error(
        "the cluster was founded already: `holdfast cluster add` makes a join token, and the recovery key was shown when it was founded"
    )]
    AlreadyFounded,
    /// This node is alone.
    #[error("this node is alone: `holdfast cluster init` founds a cluster")]
    NotFounded,
    /// A gateway cannot do it.
    #[error("this node is a gateway: ask a member")]
    NotAMember,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// What founding gave.
#[derive(Debug, Serialize)]
pub struct Founded {
    /// The cluster's id.
    pub cluster: String,
    /// This node.
    pub node: u64,
    /// Where it is reached by other nodes.
    pub address: String,
    /// Lets one member in.
    pub token: String,
    /// The key of the cluster's secrets, shown this once.
    pub recovery_key: String,
}

/// A join token.
#[derive(Debug, Serialize)]
pub struct IssuedToken {
    /// The token.
    pub token: String,
    /// What it makes of a node.
    pub role: String,
    /// Until when, in seconds since 1970.
    pub expires: u64,
    /// Where to join.
    pub join: String,
}

impl Cluster {
    /// Founds the cluster: this node proves itself from now on, and listens for others at `listener`, which they reach at
    /// `address`.
    ///
    /// # Errors
    /// See [`AdminFailure`]. May be called again after a failure or a crash.
    pub async fn found(
        &self,
        listener: TcpListener,
        address: &str,
        token_life: Duration,
    ) -> Result<Founded, AdminFailure> {
        let shared = self.shared();
        let _only = shared.founding.lock().await;
        self.check_alone()?;
        let member = shared.member().ok_or(AdminFailure::NotAMember)?;
        shared.announce_at(address);
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let (identity, key) = found::found(shared, member, deadline).await?;
        self.connect(identity, listener)
            .map_err(|error| AdminFailure::Failed(error.to_string()))?;
        self.work();
        let issued = self.issue_token(Role::Member, token_life).await?;
        tracing::info!(address, "this node has founded its cluster");
        Ok(Founded {
            cluster: shared.cluster().to_string(),
            node: shared.node().0,
            address: address.to_owned(),
            token: issued.token,
            recovery_key: key.to_string(),
        })
    }

    /// Whether the cluster can be founded on this node.
    ///
    /// # Errors
    /// That it was, or that this node is a gateway.
    pub fn check_alone(&self) -> Result<(), AdminFailure> {
        match (self.shared().member(), self.shared().credentials()) {
            (Some(_), None) => Ok(()),
            (_, Some(_)) => Err(AdminFailure::AlreadyFounded),
            (None, None) => Err(AdminFailure::NotAMember),
        }
    }

    /// Makes a join token for one node, good for `life`.
    ///
    /// # Errors
    /// See [`AdminFailure`].
    pub async fn issue_token(
        &self,
        role: Role,
        life: Duration,
    ) -> Result<IssuedToken, AdminFailure> {
        let shared = self.founded_member()?;
        let credentials = shared.credentials().ok_or(AdminFailure::NotFounded)?;
        let member = shared.member().ok_or(AdminFailure::NotAMember)?;
        // By the log's time, which decides when it has expired, and not by a clock that may be off.
        let expires = UnixSeconds(member.log_clock().0 / 1_000).after(life);
        let fingerprint = credentials.identity().authority_fingerprint();
        let token = JoinToken::create(shared.cluster(), fingerprint, role, expires);
        let command = Command::IssueJoinToken {
            token: JoinTokenId(token.id().0),
            hash: token.hash().0,
            role,
            expires: LogTime(expires.0.saturating_mul(1_000)),
        };
        propose(shared, command).await?;
        Ok(IssuedToken {
            token: token.to_string(),
            role: role.to_string(),
            expires: expires.0,
            join: shared.announcement().peer_address.clone(),
        })
    }

    /// Takes a node out of the cluster. Refused, unless it is `forced`, when too few voters would be left that answer.
    ///
    /// # Errors
    /// See [`AdminFailure`].
    pub async fn remove(&self, node: NodeId, forced: bool) -> Result<(), AdminFailure> {
        let shared = self.founded_member()?;
        if !forced {
            let status = self.status().await?;
            let left = status
                .nodes
                .iter()
                .filter(|line| line.votes && line.id != node.0);
            let (mut voters, mut healthy) = (0, 0);
            for line in left {
                voters += 1;
                healthy += usize::from(line.is_healthy());
            }
            if voters > 0 && healthy < voters / 2 + 1 {
                return Err(AdminFailure::Failed(format!(
                    "without node {node}, {healthy} of {voters} voters would answer, and the log needs more than half: bring others back first, or say --force"
                )));
            }
        }
        propose(shared, Command::RemoveNode { node }).await
    }

    /// Removes every other member after this one was made a group of its own, so that they are refused when they come back.
    /// Called before this node works; does nothing when it was not, and may be repeated.
    ///
    /// # Errors
    /// See [`AdminFailure`].
    pub async fn finish_recovery(&self) -> Result<(), AdminFailure> {
        let shared = self.shared();
        let folder = shared.folder().clone();
        let Some(member) = shared.member().filter(|_| folder.is_recovered()) else {
            return Ok(());
        };
        let failed = |error: &dyn std::fmt::Display| AdminFailure::Failed(error.to_string());
        let group = member.group();
        let is_alone = group.nodes.keys().eq([&group.node]);
        if is_alone {
            let deadline = Deadline::now() + ANSWER_TIME_MAX;
            let answered = shared.store().read(Query::Nodes, deadline).await;
            let Answer::Nodes { nodes } = answered.map_err(|e| failed(&e))?.answer else {
                return Err(failed(&"the log does not tell its nodes"));
            };
            let others = nodes.iter().filter(|node| {
                node.role == Role::Member && node.removed.is_none() && node.node != shared.node()
            });
            for other in others {
                let node = other.node;
                propose(shared, Command::RemoveNode { node }).await?;
                tracing::warn!(
                    node = node.0,
                    "a lost member is removed: it is refused from now on"
                );
            }
        }
        folder.forget_recovery().map_err(|e| failed(&e))
    }

    /// Has a member vote that learned so far.
    ///
    /// # Errors
    /// See [`AdminFailure`].
    pub async fn promote(&self, node: NodeId) -> Result<(), AdminFailure> {
        self.order(OrderRequest::Promote(node)).await
    }

    /// Hands the lead to `to`, or to whoever is furthest.
    ///
    /// # Errors
    /// See [`AdminFailure`].
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<(), AdminFailure> {
        self.order(OrderRequest::TransferLeader(to)).await
    }

    /// Raises the log's format by one, which every node has to know.
    ///
    /// # Errors
    /// See [`AdminFailure`].
    pub async fn upgrade(&self) -> Result<u32, AdminFailure> {
        let shared = self.founded_member()?;
        let format = cluster_view(shared).await?.format;
        if format >= metadata::FORMAT_MAX {
            return Err(AdminFailure::Failed(format!(
                "the log has format {format}, the newest that this version of Holdfast knows: nothing is to be done"
            )));
        }
        let to = format + 1;
        propose(shared, Command::RaiseFormat { to }).await?;
        Ok(to)
    }

    /// Gives the cluster a label, a command of the next format of the log. May be repeated.
    ///
    /// # Errors
    /// When the log has not been raised to that format, and as [`Self::upgrade`] has them.
    #[cfg(feature = "next-format")]
    pub async fn set_label(&self, label: &str) -> Result<(), AdminFailure> {
        let label = label.to_owned();
        propose(self.founded_member()?, Command::SetLabel { label }).await
    }

    async fn order(&self, order: OrderRequest) -> Result<(), AdminFailure> {
        let shared = self.founded_member()?;
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let mut at: Option<(NodeId, String)> = None;
        while Deadline::now() < deadline {
            let reply = match at.take() {
                None => shared.obey(order).await,
                Some((node, address)) => ask(shared, node, &address, order, deadline).await?,
            };
            match reply {
                OrderReply::Done => return Ok(()),
                OrderReply::Refused(why) => return Err(AdminFailure::Failed(why)),
                OrderReply::NotLeader(Some(leader)) => {
                    at = shared.other_member(leader);
                }
                OrderReply::NotLeader(None) => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(AdminFailure::Failed(
            "nobody leads the log now: try again".to_owned(),
        ))
    }

    pub(crate) fn founded_member(&self) -> Result<&Arc<Shared>, AdminFailure> {
        let shared = self.shared();
        if shared.member().is_none() {
            return Err(AdminFailure::NotAMember);
        }
        if shared.credentials().is_none() {
            return Err(AdminFailure::NotFounded);
        }
        Ok(shared)
    }

    /// How every node is.
    ///
    /// # Errors
    /// See [`AdminFailure`].
    pub async fn status(&self) -> Result<status::ClusterStatus, AdminFailure> {
        status::of_all(self.shared()).await
    }
}

async fn ask(
    shared: &Shared,
    node: NodeId,
    address: &str,
    order: OrderRequest,
    deadline: Deadline,
) -> Result<OrderReply, AdminFailure> {
    let mut client = shared.connections().node_client(node.0, address);
    match tokio::time::timeout_at(deadline, client.order(order)).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) => Err(AdminFailure::Failed(status.message().to_owned())),
        Err(_) => Err(AdminFailure::Failed(format!("node {node} does not answer"))),
    }
}

/// The cluster as the log has it now.
pub(crate) async fn cluster_view(shared: &Shared) -> Result<ClusterView, AdminFailure> {
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    let answered = shared.store().read(Query::Cluster, deadline).await;
    match answered.map(|answered| answered.answer) {
        Ok(Answer::Cluster(view)) => Ok(view),
        Ok(_) => Err(AdminFailure::Failed(
            "the log does not tell about the cluster".to_owned(),
        )),
        Err(failure) => Err(AdminFailure::Failed(failure.to_string())),
    }
}

pub(crate) async fn propose(shared: &Shared, command: Command) -> Result<(), AdminFailure> {
    let deadline = Deadline::now() + ANSWER_TIME_MAX;
    match shared.store().propose(command, deadline).await {
        Ok(Reply::Refused(refusal)) => Err(AdminFailure::Failed(in_words(&refusal))),
        Ok(_) => Ok(()),
        Err(failure) => Err(AdminFailure::Failed(failure.to_string())),
    }
}

fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NodeUnknown => "there is no such node".to_owned(),
        Refusal::LastMember => "it is the last member: the log would be gone".to_owned(),
        Refusal::FormatUnsupported { nodes } => {
            let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            format!(
                "these nodes run a version that does not know the next format: {}",
                nodes.join(", ")
            )
        }
        Refusal::FormatTooLow { needed, current } => format!(
            "the log has format {current}, and this needs format {needed}: `holdfast cluster upgrade` raises it, once all nodes run a version that knows it"
        ),
        Refusal::Invalid { reason } => reason.clone(),
        other => format!("{other:?}"),
    }
}

impl Shared {
    /// Where another member is.
    fn other_member(&self, node: NodeId) -> Option<(NodeId, String)> {
        let others = self.other_voters();
        others.into_iter().find(|(other, _)| *other == node)
    }

    /// What the leader does when it is told to.
    pub(crate) async fn obey(&self, order: OrderRequest) -> OrderReply {
        let Some(member) = self.member() else {
            return OrderReply::Refused("a gateway has no part in the log".to_owned());
        };
        if !member.leads() {
            return OrderReply::NotLeader(member.group().leader.map(NodeId));
        }
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let obeyed = match order {
            OrderRequest::Promote(node) => steward::promote(self, member, node).await,
            OrderRequest::TransferLeader(None) => member
                .step_down(deadline)
                .await
                .map_err(|failure| failure.to_string()),
            OrderRequest::TransferLeader(Some(node)) if node == self.node() => Ok(()),
            OrderRequest::TransferLeader(Some(node)) => {
                let votes = member.group().nodes.get(&node.0).is_some_and(|p| p.votes);
                match votes {
                    true => member
                        .transfer_leader(node.0, deadline)
                        .await
                        .map_err(|failure| failure.to_string()),
                    false => Err(format!("node {node} does not vote, so it cannot lead")),
                }
            }
        };
        match obeyed {
            Ok(()) => OrderReply::Done,
            Err(why) => OrderReply::Refused(why),
        }
    }
}
