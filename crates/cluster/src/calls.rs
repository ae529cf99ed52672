//! What this node answers about itself and to the requests of other nodes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use identity::{NodeId, Role, SigningRequest};
use metadata::{Answer, Query};
use peers::{NodeCalls, Request, Response, Status};
use ports::Deadline;
use wire::nodes::{
    NodeStatus, OrderReply, OrderRequest, RenewReply, RenewRequest, StartNote, StartNoted,
    StatusRequest,
};
use wire::proofs::{ProveReply, ProveRequest, SignReply, SignRequest};

use crate::node::Shared;
use crate::{proofs, status};

/// How long a call may take that asks the log.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The calls of one node.
pub(crate) struct Calls(pub(crate) Weak<Shared>);

impl Calls {
    fn shared(&self) -> Result<Arc<Shared>, Status> {
        let gone = || Status::unavailable("this node has stopped");
        self.0.upgrade().ok_or_else(gone)
    }
}

/// The calling member.
fn member<T>(request: &Request<T>) -> Result<NodeId, Status> {
    let caller = peers::caller(request)?;
    if caller.is_member {
        return Ok(NodeId(caller.node));
    }
    Err(Status::permission_denied(format!(
        "node {} is no member",
        caller.node
    )))
}

#[peers::async_trait]
impl NodeCalls for Calls {
    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<NodeStatus>, Status> {
        peers::caller(&request)?;
        Ok(Response::new(status::own(&*self.shared()?).await))
    }

    async fn note_start(
        &self,
        request: Request<StartNote>,
    ) -> Result<Response<StartNoted>, Status> {
        let caller = member(&request)?;
        let note = request.into_inner();
        let shared = self.shared()?;
        let noted = crate::join::blocking(move || shared.start_book().note(caller, &note)).await;
        let refusal = match noted {
            Ok(true) => None,
            Ok(false) => {
                tracing::error!(
                    node = caller.0,
                    "a member started from an old copy of its disk, or twice: it is not let in"
                );
                Some("another start of this node is known, and later than its data".to_owned())
            }
            Err(error) => {
                return Err(Status::unavailable(format!(
                    "the start cannot be recorded: {error}"
                )));
            }
        };
        let clock = self.shared()?.clock();
        Ok(Response::new(StartNoted { refusal, clock }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewReply>, Status> {
        let caller = peers::caller(&request)?;
        let role = match caller.is_member {
            true => Role::Member,
            false => Role::Gateway,
        };
        let shared = self.shared()?;
        let deadline = Deadline::now() + ANSWER_TIME_MAX;
        let asked = SigningRequest::from_der(Vec::from(request.into_inner().signing_request));
        let asked = asked.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let node = NodeId(caller.node);
        let belongs = match shared.store().read(Query::Nodes, deadline).await {
            Ok(answered) => match answered.answer {
                Answer::Nodes { nodes } => nodes.iter().any(|known| {
                    known.node == node && known.removed.is_none() && known.role == role
                }),
                _ => false,
            },
            Err(failure) => return Err(Status::unavailable(failure.to_string())),
        };
        if !belongs {
            let refusal = "the log knows of no such node".to_owned();
            return Ok(Response::new(RenewReply::Refused(refusal)));
        }
        let signed = shared
            .signer()
            .sign(shared.cluster(), &asked, node, role, deadline)
            .await;
        Ok(Response::new(match signed {
            Ok(certificates) => RenewReply::Renewed(certificates),
            Err(why) => RenewReply::Refused(why),
        }))
    }

    async fn order(&self, request: Request<OrderRequest>) -> Result<Response<OrderReply>, Status> {
        member(&request)?;
        let reply = self.shared()?.obey(request.into_inner()).await;
        Ok(Response::new(reply))
    }

    async fn prove(&self, request: Request<ProveRequest>) -> Result<Response<ProveReply>, Status> {
        peers::caller(&request)?;
        let shared = self.shared()?;
        Ok(Response::new(
            proofs::prove(&shared, request.into_inner()).await,
        ))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignReply>, Status> {
        peers::caller(&request)?;
        let shared = self.shared()?;
        Ok(Response::new(
            proofs::sign(&shared, request.into_inner()).await,
        ))
    }
}
