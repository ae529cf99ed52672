//! Questions: asked of one member after the other until somebody answers.

use std::time::Duration;

use metadata::Query;
use peers::Code;
use ports::{Answered, Deadline, MetadataFailure};
use wire::peer::{AskReply, AskRequest};

use crate::{Shared, unavailable};

/// A member that says nothing for so long may be cut off or stopped: another one is asked.
const ATTEMPT_MAX: Duration = Duration::from_millis(700);
/// After everybody was asked once, in vain.
const RETRY_AFTER: Duration = Duration::from_millis(10);

impl Shared {
    pub(crate) async fn ask(
        &self,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let query = wire::encode_query(query);
        let mut problem = "there is no member to ask".to_owned();
        while Deadline::now() < deadline {
            let Some(member) = self.roster.next() else {
                break;
            };
            let until = deadline.min(Deadline::now() + ATTEMPT_MAX);
            let patience = until.saturating_duration_since(Deadline::now());
            let request = AskRequest {
                query: query.clone().into(),
                patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
            };
            let mut client = self.connections.client(member.node, &member.address);
            match tokio::time::timeout_at(until, client.ask(request)).await {
                Ok(Ok(reply)) => match reply.into_inner() {
                    AskReply::Answer { answer, stale } => match wire::decode_answer(&answer) {
                        Ok(answer) => {
                            if !stale {
                                self.pulse.felt();
                            }
                            return Ok(Answered { answer, stale });
                        }
                        Err(error) => problem = error.to_string(),
                    },
                    AskReply::Unavailable(reason) => problem = reason,
                },
                Ok(Err(status)) if status.code() == Code::PermissionDenied => {
                    return Err(unavailable(status.message()));
                }
                Ok(Err(status)) => problem = status.to_string(),
                Err(_) => problem = format!("node {} did not answer in time", member.node),
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
        Err(unavailable(format!(
            "no member answered before the deadline; the last problem: {problem}"
        )))
    }
}
