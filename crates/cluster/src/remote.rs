//! Proofs and signatures of a gateway: it has members make them, one after the other, whoever answered last first.
//!
//! Each member is asked for what it can confirm; only when none can, each is asked once more for what it knows. Nothing is asked
//! after the deadline.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use auth::{Claims, ProofFailure, Proved, Prover, Purpose, Scope, Signer};
use futures::future::BoxFuture;
use metadata::access::AccountName;
use metadata_client::MemberAddress;
use peers::{NodeClient, Status};
use ports::Deadline;
use wire::proofs::{ProveReply, ProveRequest, SignReply, SignRequest, TokenPurpose};
use zeroize::Zeroizing;

use crate::node::{Log, Shared};
use crate::proofs::{proved, told};

/// A member that says nothing for so long may be cut off or stopped: another one is asked. Passwords take their time.
const ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// Nobody is given less, as long as the deadline allows.
const ATTEMPT_MIN: Duration = Duration::from_millis(300);

/// Has members prove and sign.
pub(crate) struct Remote {
    shared: Weak<Shared>,
    /// What tokens are signed for.
    service: String,
    /// Who answered last; 0 for nobody.
    last_good: AtomicU64,
}

/// What a member is told of the call itself.
#[derive(Clone, Copy)]
struct Terms {
    patience: Duration,
    may_be_stale: bool,
}

impl Terms {
    fn patience_ms(self) -> u64 {
        u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a member said.
enum Heard<T> {
    Answer(T),
    Busy,
    Unavailable(String),
}

type Calling<T> = BoxFuture<'static, Result<Heard<T>, Status>>;

impl Remote {
    pub(crate) fn new(shared: &Arc<Shared>, service: String) -> Remote {
        Remote {
            shared: Arc::downgrade(shared),
            service,
            last_good: AtomicU64::new(0),
        }
    }

    /// The members: who answered last, then the others, in turn from one that differs from gateway to gateway.
    fn in_order(&self, shared: &Shared) -> Vec<MemberAddress> {
        let mut members = match shared.log() {
            Log::Gateway(client) => client.members(),
            Log::Member(_) => Vec::new(),
        };
        members.sort_unstable_by_key(|member| member.node);
        if !members.is_empty() {
            let count = u64::try_from(members.len()).unwrap_or(1);
            let first = usize::try_from(shared.node().0 % count).unwrap_or(0);
            members.rotate_left(first);
        }
        let good = self.last_good.load(Ordering::Relaxed);
        members.sort_by_key(|member| member.node != good);
        members
    }

    async fn ask<T>(
        &self,
        deadline: Deadline,
        call: impl Fn(NodeClient, Terms) -> Calling<T>,
    ) -> Result<T, ProofFailure> {
        let unavailable = |reason: String| ProofFailure::Unavailable { reason };
        let shared = self.shared.upgrade();
        let shared = shared.ok_or_else(|| unavailable("this node has stopped".to_owned()))?;
        let mut problem = "there is no member to ask".to_owned();
        for may_be_stale in [false, true] {
            let members = self.in_order(&shared);
            let mut was_busy = false;
            for (asked, member) in members.iter().enumerate() {
                let left = deadline.saturating_duration_since(Deadline::now());
                if left.is_zero() {
                    return Err(unavailable(problem));
                }
                let others = u32::try_from(members.len() - asked).unwrap_or(1);
                let share = (left / others).clamp(ATTEMPT_MIN, ATTEMPT_MAX);
                let terms = Terms {
                    patience: share.min(left),
                    may_be_stale,
                };
                let client = shared
                    .connections()
                    .node_client(member.node, &member.address);
                match tokio::time::timeout(terms.patience, call(client, terms)).await {
                    Ok(Ok(Heard::Answer(answer))) => {
                        self.last_good.store(member.node, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Ok(Ok(Heard::Busy)) => was_busy = true,
                    Ok(Ok(Heard::Unavailable(why))) => problem = why,
                    Ok(Err(status)) => problem = status.message().to_owned(),
                    Err(_) => problem = format!("node {} did not answer in time", member.node),
                }
            }
            if was_busy {
                return Err(ProofFailure::Busy);
            }
        }
        Err(unavailable(problem))
    }
}

#[async_trait]
impl Prover for Remote {
    async fn prove(
        &self,
        name: &AccountName,
        secret: Zeroizing<String>,
        deadline: Deadline,
    ) -> Result<Option<Proved>, ProofFailure> {
        let call = |mut client: NodeClient, terms: Terms| -> Calling<Option<Proved>> {
            let request = ProveRequest {
                name: name.clone(),
                secret: secret.clone(),
                patience_ms: terms.patience_ms(),
                may_be_stale: terms.may_be_stale,
            };
            Box::pin(async move {
                let reply = client.prove(request).await?.into_inner();
                Ok(match reply {
                    ProveReply::Proved(account) => Heard::Answer(Some(proved(account))),
                    ProveReply::Wrong => Heard::Answer(None),
                    ProveReply::Busy => Heard::Busy,
                    ProveReply::Unavailable(why) => Heard::Unavailable(why),
                })
            })
        };
        self.ask(deadline, call).await
    }
}

#[async_trait]
impl Signer for Remote {
    async fn sign(
        &self,
        purpose: Purpose,
        claims: &Claims,
        life: Duration,
        deadline: Deadline,
    ) -> Result<String, ProofFailure> {
        let scopes: Vec<String> = claims.scopes.iter().map(text).collect();
        let call = |mut client: NodeClient, terms: Terms| -> Calling<String> {
            let request = SignRequest {
                purpose: match purpose {
                    Purpose::Access => TokenPurpose::Access,
                    Purpose::Refresh => TokenPurpose::Refresh,
                },
                account: claims.account.as_ref().map(told),
                scopes: scopes.clone(),
                life_ms: u64::try_from(life.as_millis()).unwrap_or(u64::MAX),
                service: self.service.clone(),
                patience_ms: terms.patience_ms(),
                may_be_stale: terms.may_be_stale,
            };
            Box::pin(async move {
                let reply = client.sign(request).await?.into_inner();
                Ok(match reply {
                    SignReply::Signed(token) => Heard::Answer(token),
                    SignReply::Unavailable(why) => Heard::Unavailable(why),
                })
            })
        };
        self.ask(deadline, call).await
    }
}

/// A scope as clients write it.
fn text(scope: &Scope) -> String {
    match scope {
        Scope::Repository(repository, rights) => {
            let rights: Vec<&str> = rights.iter().map(|right| right.name()).collect();
            format!("repository:{repository}:{}", rights.join(","))
        }
        Scope::Catalog => "registry:catalog:*".to_owned(),
    }
}
