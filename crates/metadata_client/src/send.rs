//! Commands: sent to whoever leads, under one id, until there is a reply.

use std::time::{Duration, Instant};

use bytes::Bytes;
use metadata::{Entry, Reply};
use peers::Code;
use ports::{Deadline, MetadataFailure};
use wire::peer::{ProposeReply, ProposeRequest};

use crate::roster::MemberAddress;
use crate::{Shared, unavailable};

/// A leader that has not decided for so long is tried again, and the log recognizes the command if it was only slow.
const ATTEMPT_MAX: Duration = Duration::from_millis(1_500);
/// A leader that says nothing for so long may be cut off or stopped: all are asked who leads, while it is still waited for.
const SILENCE_MAX: Duration = Duration::from_millis(150);
/// Between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(15);

/// What one attempt came to.
enum Attempt {
    Reply(Reply),
    /// It had no effect; this node leads, as far as is known.
    Elsewhere(Option<u64>),
    /// It had no effect.
    Refused(String),
    /// It had no effect, and will have none at any member.
    Denied(String),
    /// It may have had an effect.
    Unknown(String),
}

impl Shared {
    /// Sends the command until the log has decided it or the deadline has come.
    pub(crate) async fn send(
        &self,
        entry: &Entry,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        let mut may_have_effect = false;
        let mut problem = "no member could be reached".to_owned();
        // Whoever was asked last named another one.
        let mut follows_a_hint = false;
        while Deadline::now() < deadline {
            let Some(member) = self.roster.leader() else {
                break;
            };
            let began = Instant::now();
            let attempt = tokio::select! {
                attempt = self.attempt(&member, entry, deadline) => attempt,
                () = self.another_leads(member.node, began) => {
                    Attempt::Unknown(format!("node {} leads no more", member.node))
                }
            };
            match attempt {
                Attempt::Reply(reply) => {
                    self.roster.set_leader(Some(member.node));
                    return Ok(reply);
                }
                Attempt::Elsewhere(Some(leader)) if leader != member.node => {
                    self.roster.set_leader(Some(leader));
                    // Members that know no better name each other, or one that is not known here: they need time.
                    if !std::mem::replace(&mut follows_a_hint, true) {
                        continue;
                    }
                }
                Attempt::Elsewhere(_) => {}
                Attempt::Denied(reason) if !may_have_effect => return Err(unavailable(reason)),
                Attempt::Refused(reason) | Attempt::Denied(reason) => problem = reason,
                Attempt::Unknown(reason) => {
                    may_have_effect = true;
                    problem = reason;
                }
            }
            follows_a_hint = false;
            self.roster.forget_leader(member.node);
            tokio::time::sleep(RETRY_AFTER).await;
        }
        let reason = format!("no reply before the deadline; the last problem: {problem}");
        Err(
            if may_have_effect && !mutants::active!("say_no_effect_when_unknown") {
                MetadataFailure::OutcomeUnknown { reason }
            } else {
                unavailable(reason)
            },
        )
    }

    /// Completes when another one is known to lead; has that looked for when `node` is silent for long.
    async fn another_leads(&self, node: u64, began: Instant) {
        let another = self.roster.another_leads(node, began);
        tokio::pin!(another);
        while tokio::time::timeout(SILENCE_MAX, &mut another)
            .await
            .is_err()
        {
            self.pulse.look_for_leader();
        }
    }

    async fn attempt(&self, member: &MemberAddress, entry: &Entry, deadline: Deadline) -> Attempt {
        let until = deadline.min(Deadline::now() + ATTEMPT_MAX);
        let patience = until.saturating_duration_since(Deadline::now());
        let request = ProposeRequest {
            entry: encoded(entry),
            patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        };
        let mut client = self.connections.client(member.node, &member.address);
        match tokio::time::timeout_at(until, client.propose(request)).await {
            Ok(Ok(reply)) => match reply.into_inner() {
                ProposeReply::Reply(bytes) => match wire::decode_reply(&bytes) {
                    Ok(reply) => Attempt::Reply(reply),
                    Err(error) => Attempt::Unknown(error.to_string()),
                },
                ProposeReply::NotLeader(leader) => Attempt::Elsewhere(leader),
                ProposeReply::Unavailable(reason) => Attempt::Refused(reason),
                ProposeReply::Unknown(reason) => Attempt::Unknown(reason),
            },
            Ok(Err(status)) if status.code() == Code::PermissionDenied => {
                Attempt::Denied(status.message().to_owned())
            }
            // The connection may have broken before or after the member took it: nobody knows.
            Ok(Err(status)) => {
                Attempt::Unknown(format!("node {} did not answer: {status}", member.node))
            }
            Err(_) => Attempt::Unknown(format!("node {} did not answer in time", member.node)),
        }
    }
}

/// The command as it is sent: with the id that it has in every attempt.
fn encoded(entry: &Entry) -> Bytes {
    if mutants::active!("take_a_new_id_for_each_attempt") {
        let mut entry = entry.clone();
        entry.id.sequence += mutants::count() << 32;
        return wire::encode_entry(&entry).into();
    }
    wire::encode_entry(entry).into()
}
