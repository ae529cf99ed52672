//! Requests that another node may answer, and that this one cannot: a node that is cut off from the others still hears its
//! clients, and would hold their requests in vain. The balancer says which requests it can send again, and since when it
//! has had each ([`header::ARRIVED`]); those end without an answer here, which the balancer takes for the end of the node,
//! and asks another one.
//!
//! It must never give a request up that this node could have answered, nor one that the balancer has had for the whole hold
//! time: without a quorum no node can answer, and then the client is to be told. PROTOCOLS, "The balancer's part", rule 5.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use registry::Registry;
use tokio::time::Instant;

use crate::header;

/// No request is given up earlier: longer than an election takes, and than it takes an idle node to try a confirmation.
const PATIENCE_MIN: Duration = Duration::from_millis(700);
/// A request that goes on with an upload leaves a trace when it is given up half-way: what it asked of the log may yet be done,
/// and fence off the node that is asked instead. Nobody elects for so long; only who is cut off waits for it.
const UPLOAD_PATIENCE_MIN: Duration = Duration::from_millis(3500);
/// How often it is looked whether something was confirmed.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Clocks that differ by more say nothing about a request.
const AGE_MAX: Duration = Duration::from_secs(60);

/// What is to become of a request that this node cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Another node is asked.
    PassOn,
    /// It was with other nodes for so long that nobody is left to ask.
    Refuse,
}

/// A request that its balancer can send again. It came to the balancer so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeatable {
    age: Duration,
}

/// The node said, as an error, that it does not answer.
#[derive(Debug, thiserror::Error)]
#[error("this node is cut off: the balancer asks another one")]
pub(crate) struct PassedOn;

impl Repeatable {
    /// What the balancer says of a request; `None`: nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Repeatable> {
        let arrived: u64 = headers.get(header::ARRIVED)?.to_str().ok()?.parse().ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let age = now.saturating_sub(Duration::from_millis(arrived));
        // The balancer's clock may be ahead of ours: then it is as if the request had just come.
        (age < AGE_MAX).then_some(Repeatable { age })
    }

    /// How long this node keeps it without a confirmation, `min` at least, and what it does then.
    fn plan(self, hold: Duration, min: Duration) -> (Duration, Ending) {
        // As long as all before it, so that few tries last for the hold time.
        let patience = min.max(self.age);
        let left = hold.saturating_sub(self.age);
        if patience < left {
            (patience, Ending::PassOn)
        } else {
            (PATIENCE_MIN.max(left), Ending::Refuse)
        }
    }

    /// Waits until what changes something may begin here: at once, unless nothing was confirmed lately.
    ///
    /// # Errors
    /// When nothing was for too long. The request has left no trace then.
    pub(crate) async fn may_begin(self, registry: &Registry, hold: Duration) -> Result<(), Ending> {
        let began = Instant::now();
        let (patience, ending) = self.plan(hold, PATIENCE_MIN);
        while silence(registry) >= PATIENCE_MIN {
            if began.elapsed() >= patience {
                return Err(ending);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until this node has had nothing confirmed for too long since the request began.
    pub(crate) async fn is_hopeless(
        self,
        registry: &Registry,
        hold: Duration,
        goes_on_with_an_upload: bool,
    ) -> Ending {
        let began = Instant::now();
        let min = match goes_on_with_an_upload {
            true => UPLOAD_PATIENCE_MIN,
            false => PATIENCE_MIN,
        };
        let (patience, ending) = self.plan(hold, min);
        loop {
            // What was confirmed since the request came shows that the node is not cut off, or was not then.
            let silent = silence(registry).min(began.elapsed());
            match patience.checked_sub(silent) {
                None | Some(Duration::ZERO) => return ending,
                Some(left) => tokio::time::sleep(left.max(LOOK_EVERY)).await,
            }
        }
    }
}

/// How long nothing has been confirmed here.
fn silence(registry: &Registry) -> Duration {
    registry.health().confirmed_before.unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(10);

    fn arrived_before(age: Duration) -> Option<Repeatable> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::ARRIVED, ((now - age).as_millis() as u64).into());
        Repeatable::of(&headers)
    }

    #[test]
    fn only_what_the_balancer_marks_is_passed_on() {
        assert_eq!(Repeatable::of(&HeaderMap::new()), None);
        let mut headers = HeaderMap::new();
        headers.insert(header::ARRIVED, "yesterday".parse().unwrap());
        assert_eq!(Repeatable::of(&headers), None);
        assert_eq!(arrived_before(Duration::from_secs(3600)), None);
        let fresh = arrived_before(Duration::ZERO).unwrap();
        assert!(fresh.age < Duration::from_secs(1), "{fresh:?}");
    }

    /// HAProxy asks 21 times at most (`retries 20`), also nodes that are dead and not known to be: the client must hear a node's
    /// 503 before, and not before the hold time.
    #[test]
    fn tries_last_for_the_hold_time_and_end_with_an_answer() {
        let mut age = Duration::ZERO;
        let mut tries = 1;
        loop {
            let (patience, ending) = Repeatable { age }.plan(HOLD, PATIENCE_MIN);
            assert!(patience >= PATIENCE_MIN);
            age += patience;
            if ending == Ending::Refuse {
                break;
            }
            tries += 1;
        }
        assert!(tries <= 6, "{tries}");
        assert!(age >= HOLD && age < HOLD + 2 * PATIENCE_MIN, "{age:?}");
        let late = Repeatable { age: 2 * HOLD };
        assert_eq!(
            late.plan(HOLD, UPLOAD_PATIENCE_MIN),
            (PATIENCE_MIN, Ending::Refuse)
        );
    }
}
