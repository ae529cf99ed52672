//! What a member of the pure log answers other nodes: the calls that gateways make, with the rules of `metadata_raft` about who
//! may make them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use metadata::{Answer, Query};
use peers::{Calls, PeerCalls, Request, Response, Status, Streaming};
use ports::Deadline;
use wire::peer::{
    AppendReply, AppendRequest, AskReply, AskRequest, ConfirmReply, ConfirmRequest, ProposeReply,
    ProposeRequest, SnapshotName, SnapshotPiece, SnapshotReceived, SnapshotTaken,
    TransferLeaderReply, TransferLeaderRequest, VoteReply, VoteRequest,
};

use super::disk::Content;
use super::member::{Member, proposed};

/// The calls that a member answers.
#[must_use]
pub fn calls(member: &Arc<Member>) -> Calls {
    Calls::default().of_the_log(Service(Arc::clone(member)))
}

struct Service(Arc<Member>);

fn after(patience_ms: u64) -> Deadline {
    Deadline::now() + Duration::from_millis(patience_ms)
}

fn unused<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented(
        "members of the pure log send messages",
    ))
}

#[peers::async_trait]
impl PeerCalls for Service {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<AppendReply, Status>> + Send>>;

    async fn append(
        &self,
        _: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        unused()
    }

    async fn ask_vote(&self, _: Request<VoteRequest>) -> Result<Response<VoteReply>, Status> {
        unused()
    }

    async fn snapshot_progress(
        &self,
        _: Request<SnapshotName>,
    ) -> Result<Response<SnapshotReceived>, Status> {
        unused()
    }

    async fn send_snapshot(
        &self,
        _: Request<Streaming<SnapshotPiece>>,
    ) -> Result<Response<SnapshotTaken>, Status> {
        unused()
    }

    async fn transfer_leader(
        &self,
        _: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderReply>, Status> {
        unused()
    }

    async fn propose(
        &self,
        request: Request<ProposeRequest>,
    ) -> Result<Response<ProposeReply>, Status> {
        let caller = peers::caller(&request)?;
        let request = request.into_inner();
        let entry = wire::decode_entry(&request.entry);
        let mut entry = entry.map_err(|error| Status::invalid_argument(error.to_string()))?;
        if !caller.is_member && entry.command.is_for_members_only() {
            return Err(Status::permission_denied("a member has to propose this"));
        }
        let deadline = after(request.patience_ms);
        // What the log's format does not have must not come into it.
        if entry.command.format() > metadata::FORMAT {
            let view = self.0.read(&Query::Cluster, deadline).await;
            if let Ok(Answer::Cluster(view)) = view.map(|answered| answered.answer)
                && let Some(refusal) = view.format_refusal(&entry.command)
            {
                let reply = metadata::Reply::Refused(refusal);
                let bytes = wire::encode_reply(&reply).into();
                return Ok(Response::new(ProposeReply::Reply(bytes)));
            }
        }
        entry.stamped = self.0.stamp();
        let content = Content::Command(Arc::new(entry));
        let outcome = self.0.propose(content, deadline).await;
        Ok(Response::new(proposed(outcome)))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmReply>, Status> {
        peers::caller(&request)?;
        let reply = match self.0.confirm_here().await {
            Ok(Some(index)) => ConfirmReply::Index(index),
            Ok(None) => ConfirmReply::Unavailable("no quorum".to_owned()),
            Err(leader) => ConfirmReply::NotLeader(leader),
        };
        Ok(Response::new(reply))
    }

    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<AskReply>, Status> {
        let caller = peers::caller(&request)?;
        let request = request.into_inner();
        let query = wire::decode_query(&request.query);
        let query = query.map_err(|error| Status::invalid_argument(error.to_string()))?;
        if !caller.is_member && query.is_for_members_only() {
            return Err(Status::permission_denied("only members may ask this"));
        }
        let deadline = after(request.patience_ms);
        let mut answered = Err("it is known that nobody confirms".to_owned());
        if !request.may_be_stale || !self.0.freshness.is_lost() {
            answered = self.0.read(&query, deadline).await;
        }
        if answered.is_err() && request.may_be_stale {
            answered = self.0.last_state(&query, true);
        }
        Ok(Response::new(match answered {
            Ok(answered) => AskReply::Answer {
                answer: wire::encode_answer(&answered.answer).into(),
                stale: answered.stale,
            },
            Err(reason) => AskReply::Unavailable(reason),
        }))
    }
}
