//! Members that name each other as the leader: each is believed, and none is asked without a pause.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::Stream;
use metadata::{ClusterId, Command};
use metadata_client::{Client, MemberAddress};
use peers::{
    CallNetwork, Caller, Calls, PeerCalls, PeerConnection, PeerTransport, Request, Response,
    Status, Streaming, WholeAnswer, WholeCall, async_trait,
};
use ports::{Deadline, MetadataFailure, MetadataStore, RandomIds};
use wire::peer::{
    AppendReply, AppendRequest, AskReply, AskRequest, ConfirmReply, ConfirmRequest, ProposeReply,
    ProposeRequest, SnapshotName, SnapshotPiece, SnapshotReceived, SnapshotTaken,
    TransferLeaderReply, TransferLeaderRequest, VoteReply, VoteRequest,
};

/// A member that has its log's word for an index, and takes another one for the leader.
struct Mistaken {
    leader: u64,
    asked: Arc<AtomicU64>,
}

fn unused<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("it is asked for a leader only"))
}

#[async_trait]
impl PeerCalls for Mistaken {
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

    async fn propose(&self, _: Request<ProposeRequest>) -> Result<Response<ProposeReply>, Status> {
        if self.asked.fetch_add(1, Ordering::Relaxed) > 10_000 {
            return unused();
        }
        Ok(Response::new(ProposeReply::NotLeader(Some(self.leader))))
    }

    async fn confirm(&self, _: Request<ConfirmRequest>) -> Result<Response<ConfirmReply>, Status> {
        Ok(Response::new(ConfirmReply::Index(1)))
    }

    async fn ask(&self, _: Request<AskRequest>) -> Result<Response<AskReply>, Status> {
        unused()
    }
}

/// Delivers each call at once.
struct Direct(Arc<AtomicU64>);

#[async_trait]
impl CallNetwork for Direct {
    async fn call(&self, node: u64, _address: &str, call: WholeCall) -> io::Result<WholeAnswer> {
        let mistaken = Mistaken {
            leader: 3 - node,
            asked: Arc::clone(&self.0),
        };
        let caller = Caller {
            node: 9,
            is_member: false,
        };
        Ok(Calls::default()
            .of_the_log(mistaken)
            .answer(caller, call)
            .await)
    }
}

struct Network(Arc<AtomicU64>);

#[async_trait]
impl PeerTransport for Network {
    async fn connect(&self, _node: u64, _address: &str) -> io::Result<PeerConnection> {
        Err(io::Error::other("calls are delivered whole"))
    }

    fn whole_calls(&self) -> Option<Arc<dyn CallNetwork>> {
        Some(Arc::new(Direct(Arc::clone(&self.0))))
    }
}

/// Time stands still here while anybody has something to do: without a pause the deadline would never come.
#[tokio::test(start_paused = true)]
async fn members_that_name_each_other_are_not_asked_without_a_pause() {
    let asked = Arc::new(AtomicU64::new(0));
    let members = [1, 2].map(|node| MemberAddress {
        node,
        address: node.to_string(),
    });
    let network = Arc::new(Network(Arc::clone(&asked)));
    let client = Client::new(members.into(), network, &RandomIds);
    let command = Command::InitializeCluster {
        cluster: ClusterId(7),
    };
    let deadline = Deadline::now() + Duration::from_secs(1);
    let proposed = client.propose(command, deadline).await;
    assert!(
        matches!(proposed, Err(MetadataFailure::Unavailable { .. })),
        "nobody took it: {proposed:?}"
    );
    let asked = asked.load(Ordering::Relaxed);
    assert!((10..=200).contains(&asked), "{asked} times");
}
