//! Answers nodes that want to join: the log decides, and this member signs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use identity::{ChannelBinding, Role, Side, SigningRequest, TokenSecret};
use mesh::Joiner;
use metadata::{Answer, Command, JoinNode, JoinProof, NodeId, Query, Refusal, Reply};
use ports::Deadline;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, mpsc};
use wire::nodes::{JoinReply, JoinRequest, Joined, JoinerProof};

use crate::follow::members_of;
use crate::join::{receive as receive_message, send};
use crate::node::Shared;

/// Joiners that are answered at once; more wait.
const JOINERS_MAX: usize = 16;
/// How long a joiner may take to say what it wants, and to take the answer.
const TALK_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the log may take.
const DECIDE_TIME_MAX: Duration = Duration::from_secs(10);

/// Answers joiners as long as the door is open.
pub(crate) async fn receive(shared: Weak<Shared>, mut joiners: mpsc::Receiver<Joiner>) {
    let places = Arc::new(Semaphore::new(JOINERS_MAX));
    while let Some(joiner) = joiners.recv().await {
        let place = Arc::clone(&places).acquire_owned().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            let _place = place;
            answer(&shared, joiner).await;
        });
    }
}

async fn answer(shared: &Shared, mut joiner: Joiner) {
    let asked = receive_message::<JoinRequest>(&mut joiner.stream);
    let request = match tokio::time::timeout(TALK_TIME_MAX, asked).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            tracing::warn!(from = %joiner.from, %error, "a caller that wanted to join did not say what it wants");
            return;
        }
        Err(_) => {
            tracing::warn!(from = %joiner.from, "a caller that wanted to join said nothing in time");
            return;
        }
    };
    let name = request.announcement.name.clone();
    let binding = ChannelBinding::of(joiner.stream.get_ref().1);
    let reply = match binding {
        Ok(binding) => decide(shared, request, binding).await,
        Err(error) => JoinReply::Later(error.to_string()),
    };
    match &reply {
        JoinReply::Joined(joined) => {
            tracing::info!(node = joined.node.0, name, from = %joiner.from, "a node has joined the cluster");
        }
        JoinReply::Refused(why) => {
            tracing::warn!(name, why, from = %joiner.from, "a node was not let into the cluster");
        }
        JoinReply::Later(why) => tracing::debug!(name, why, "a node has to try again to join"),
        // A member belongs to a cluster.
        JoinReply::Fresh { .. } => {}
    }
    let told = async {
        send(&mut joiner.stream, &reply).await?;
        joiner.stream.shutdown().await
    };
    if let Ok(Err(error)) = tokio::time::timeout(TALK_TIME_MAX, told).await {
        tracing::debug!(%error, "a joiner did not wait for its answer; it asks again");
    }
}

async fn decide(shared: &Shared, request: JoinRequest, binding: ChannelBinding) -> JoinReply {
    let mut answer = None;
    let proof = match request.proof {
        JoinerProof::Token { token, secret } => JoinProof::Token {
            token,
            hash: TokenSecret::from_bytes(secret).hash().0,
        },
        JoinerProof::Bootstrap(proof) => match shared.bootstrap_secret() {
            Some(secret) if secret.is_proven(Side::Asks, binding, &proof) => {
                answer = Some(secret.prove(Side::Answers, binding));
                JoinProof::BootstrapSecret
            }
            Some(_) => return JoinReply::Refused("its bootstrap secret is another".to_owned()),
            None => {
                return JoinReply::Refused(
                    "the member that it asked has no bootstrap secret: use a join token".to_owned(),
                );
            }
        },
    };
    let asked = match SigningRequest::from_der(Vec::from(request.signing_request)) {
        Ok(asked) => asked,
        Err(error) => return JoinReply::Refused(error.to_string()),
    };
    let role = request.role;
    let deadline = Deadline::now() + DECIDE_TIME_MAX;
    let command = Command::JoinNode(Box::new(JoinNode {
        proof,
        role,
        key_hash: asked.public_key_hash(),
        announcement: request.announcement,
    }));
    let node = match shared.store().propose(command, deadline).await {
        Ok(Reply::NodeJoined { node }) => node,
        Ok(Reply::Refused(refusal)) => return JoinReply::Refused(in_words(&refusal)),
        Ok(other) => return JoinReply::Later(format!("the log answered {other:?}")),
        Err(failure) => return JoinReply::Later(failure.to_string()),
    };
    match joined(shared, node, role, &asked, deadline).await {
        Ok(joined) => JoinReply::Joined(Box::new(Joined {
            proof: answer,
            ..joined
        })),
        // The log knows the node: it gets the same id when it asks again.
        Err(why) => JoinReply::Later(why),
    }
}

async fn joined(
    shared: &Shared,
    node: NodeId,
    role: Role,
    asked: &SigningRequest,
    deadline: Deadline,
) -> Result<Joined, String> {
    let answered = shared.store().read(Query::Nodes, deadline).await;
    let members = match answered.map_err(|failure| failure.to_string())?.answer {
        Answer::Nodes { nodes } => members_of(&nodes),
        _ => return Err("the log does not tell its nodes".to_owned()),
    };
    let signer = shared.signer();
    let signed = signer.sign(shared.cluster(), asked, node, role, deadline);
    let certificates = signed.await?;
    let cluster_key = match role {
        Role::Member => signer.key().map(|key| *key.as_bytes()),
        Role::Gateway => None,
    };
    Ok(Joined {
        node,
        certificates,
        members,
        cluster_key,
        proof: None,
    })
}

/// Why the log said no, for whoever operates the node.
fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::TokenUnknown => {
            "its join token is unknown here: make a new one with `holdfast cluster add`".to_owned()
        }
        Refusal::TokenUsed { node } => format!(
            "its join token was used by node {node}, and lets in one node only: make a new one with `holdfast cluster add`"
        ),
        Refusal::TokenExpired => {
            "its join token has expired: make a new one with `holdfast cluster add`".to_owned()
        }
        Refusal::TokenRole { role } => {
            format!("its join token is for a {role}: make one for what this node is to be")
        }
        Refusal::NodeRemoved => {
            "it was removed from the cluster: let it join with an empty data folder".to_owned()
        }
        Refusal::FormatTooOld { needed } => format!(
            "the cluster's log has format {needed}, which its version of Holdfast does not know: run the version that the other nodes run"
        ),
        Refusal::Invalid { reason } => reason.clone(),
        other => format!("{other:?}"),
    }
}
