//! Questions: asked of one member after the other until somebody answers.

use std::time::Duration;

use bytes::Bytes;
use metadata::Query;
use peers::Code;
use ports::{Answered, Deadline, MetadataFailure};
use wire::peer::{AskReply, AskRequest};

use crate::roster::MemberAddress;
use crate::{Shared, unavailable};

/// A member that says nothing for so long may be cut off or stopped: another one is asked.
const ATTEMPT_MAX: Duration = Duration::from_millis(700);
/// A member that may answer from its last state tries to have it confirmed for so long, unless it knows better.
const CONFIRM_TIME_MAX: Duration = Duration::from_millis(500);
/// A question that waits for longer is asked of another member, too: the first answer counts.
const HEDGE_AFTER: Duration = Duration::from_millis(150);
/// After an attempt in vain, times the attempts so far, and at most.
const RETRY_AFTER: Duration = Duration::from_millis(10);
const RETRY_AFTER_MAX: Duration = Duration::from_millis(100);

/// What one attempt came to.
enum Attempt {
    Answered(Box<Answered>),
    /// No member will answer it.
    Denied(String),
    Nothing(String),
}

impl Shared {
    /// Asks for a confirmed answer.
    pub(crate) async fn ask(
        &self,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        self.ask_members(query, false, deadline).await
    }

    /// Asks for a confirmed answer, and when nobody has confirmed anything for long, for the last state of anybody.
    pub(crate) async fn ask_even_stale(
        &self,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let confirmed = |until| self.ask_members(query, false, until);
        let freshness = &self.pulse.freshness;
        match freshness.confirmed_unless_lost(deadline, confirmed).await {
            Some(outcome) => outcome,
            None => self.ask_members(query, true, deadline).await,
        }
    }

    async fn ask_members(
        &self,
        query: &Query,
        may_be_stale: bool,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let query: Bytes = wire::encode_query(query).into();
        let mut problem = "there is no member to ask".to_owned();
        let mut pause = Duration::ZERO;
        while Deadline::now() < deadline {
            match self.ask_two(&query, may_be_stale, deadline).await {
                Some(Attempt::Answered(answered)) => {
                    if !answered.stale {
                        self.pulse.freshness.confirmed();
                    }
                    return Ok(*answered);
                }
                Some(Attempt::Denied(reason)) => return Err(unavailable(reason)),
                Some(Attempt::Nothing(reason)) => problem = reason,
                None => {}
            }
            pause = (pause + RETRY_AFTER).min(RETRY_AFTER_MAX);
            tokio::time::sleep_until(deadline.min(Deadline::now() + pause)).await;
        }
        Err(unavailable(format!(
            "no member answered before the deadline; the last problem: {problem}"
        )))
    }

    /// Asks the next member, and the one after it when that takes long. `None`: there is no member.
    async fn ask_two(
        &self,
        query: &Bytes,
        may_be_stale: bool,
        deadline: Deadline,
    ) -> Option<Attempt> {
        let member = self.roster.next()?;
        let first = self.ask_one(member.clone(), query, may_be_stale, deadline);
        tokio::pin!(first);
        if let Ok(attempt) = tokio::time::timeout(HEDGE_AFTER, &mut first).await {
            return Some(attempt);
        }
        // It has until its own time is up.
        let other = self.roster.next().filter(|other| *other != member);
        let Some(other) = other else {
            return Some(first.await);
        };
        let second = self.ask_one(other, query, may_be_stale, deadline);
        tokio::pin!(second);
        let (attempt, rest) = tokio::select! {
            attempt = &mut first => (attempt, second),
            attempt = &mut second => {
                if matches!(attempt, Attempt::Answered(_)) {
                    self.roster.was_silent(member.node);
                }
                (attempt, first)
            }
        };
        match attempt {
            Attempt::Nothing(_) => Some(rest.await),
            attempt => Some(attempt),
        }
    }

    /// One attempt at one member.
    async fn ask_one(
        &self,
        member: MemberAddress,
        query: &Bytes,
        may_be_stale: bool,
        deadline: Deadline,
    ) -> Attempt {
        let until = deadline.min(Deadline::now() + ATTEMPT_MAX);
        let mut patience = until.saturating_duration_since(Deadline::now());
        if may_be_stale {
            // Its last state has to arrive before it is given up.
            patience = patience.min(CONFIRM_TIME_MAX);
        }
        let trusts = mutants::active!("read_without_a_confirmation");
        if trusts {
            patience = Duration::ZERO;
        }
        let request = AskRequest {
            query: query.clone(),
            patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
            may_be_stale: may_be_stale || trusts,
        };
        let mut client = self.connections.client(member.node, &member.address);
        match tokio::time::timeout_at(until, client.ask(request)).await {
            Ok(Ok(reply)) => match reply.into_inner() {
                // Nobody asked for it.
                AskReply::Answer { stale: true, .. } if !may_be_stale && !trusts => {
                    Attempt::Nothing(format!("node {} is stale", member.node))
                }
                AskReply::Answer { answer, stale } => match wire::decode_answer(&answer) {
                    Ok(answer) => Attempt::Answered(Box::new(Answered {
                        answer,
                        stale: stale && !trusts,
                    })),
                    Err(error) => Attempt::Nothing(error.to_string()),
                },
                AskReply::Unavailable(reason) => Attempt::Nothing(reason),
            },
            Ok(Err(status)) if status.code() == Code::PermissionDenied => {
                Attempt::Denied(status.message().to_owned())
            }
            Ok(Err(status)) => Attempt::Nothing(status.to_string()),
            Err(_) => {
                self.roster.was_silent(member.node);
                Attempt::Nothing(format!("node {} did not answer in time", member.node))
            }
        }
    }
}
