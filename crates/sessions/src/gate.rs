//! The gates: what this node knows decides at once, and what nodes share is told and heard in the background.
//!
//! Nothing of [`PullGate`] may ever become `async` or block: its locks are held for a look at a table, and what it tells
//! goes into a bounded queue, or is not told. What is not told is counted by this node alone.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use parking_lot::Mutex;
use ports::{
    AddressPrefix, LoginAttempt, LoginGate, LoginOutcome, LoginTicket, PullAnswer, PullGate,
    PullLimit, PullSource, RandomIds, SharedCounts, ThrottlePolicy,
};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::bounded::Bounded;
use crate::lease::Leases;
use crate::memory::Ticks;
use crate::throttle::AddressFailures;

/// How many addresses with failures a node knows.
const ADDRESSES_MAX: usize = 50_000;

/// How many begins and ends of logins wait to be told.
const TOLD_MAX: usize = 4096;

/// How many sources are settled at once.
const SETTLED_AT_ONCE: usize = 32;

/// How often what nobody used is looked for.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub struct Gate {
    policy: ThrottlePolicy,
    failures: Mutex<Bounded<AddressPrefix, AddressFailures>>,
    leases: Mutex<Leases>,
    ticks: Ticks,
    shared: Option<Shared>,
    /// For tickets, which outlive a call.
    own: Weak<Gate>,
}

struct Shared {
    counts: Arc<dyn SharedCounts>,
    tell: mpsc::Sender<Told>,
    unsettled: Notify,
}

/// What other nodes are told of a login.
enum Told {
    Begun(LoginAttempt),
    Ended(LoginAttempt, bool),
}

/// A gate that shares its counts, and the tasks that do it.
pub fn shared(
    policy: ThrottlePolicy,
    counts: Arc<dyn SharedCounts>,
) -> (Arc<Gate>, Vec<JoinHandle<()>>) {
    let (tell, told) = mpsc::channel(TOLD_MAX);
    let gate = Gate::new(
        policy,
        Some(Shared {
            counts,
            tell,
            unsettled: Notify::new(),
        }),
    );
    let telling = tokio::spawn(tell_logins(Arc::clone(&gate), told));
    let settling = tokio::spawn(settle_pulls(Arc::clone(&gate)));
    (gate, vec![telling, settling])
}

/// A gate that counts for this node alone.
pub fn alone(policy: ThrottlePolicy) -> Arc<Gate> {
    Gate::new(policy, None)
}

impl Gate {
    fn new(policy: ThrottlePolicy, shared: Option<Shared>) -> Arc<Gate> {
        Arc::new_cyclic(|own| Gate {
            policy,
            failures: Mutex::new(Bounded::new(ADDRESSES_MAX)),
            leases: Mutex::new(Leases::new(shared.is_some())),
            ticks: Ticks::start(),
            shared,
            own: Weak::clone(own),
        })
    }

    /// Asks what this node knows.
    fn begin(&self, attempt: &LoginAttempt) -> Result<(), Duration> {
        let mut failures = self.failures.lock();
        let of_address = failures.get_or(&attempt.from, AddressFailures::default);
        match of_address.begin(attempt, &self.policy, self.ticks.now()) {
            None => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    fn ticket(&self, attempt: LoginAttempt) -> LoginTicket {
        let own = Weak::clone(&self.own);
        LoginTicket::new(move |outcome| {
            let Some(gate) = own.upgrade() else { return };
            match outcome {
                LoginOutcome::Succeeded => gate.end(attempt, true),
                LoginOutcome::Failed => gate.end(attempt, false),
                // What others were told of it ends by itself: see `ATTEMPT_MAX`.
                LoginOutcome::Undecided => gate.withdraw(&attempt),
            }
        })
    }

    fn end(&self, attempt: LoginAttempt, succeeded: bool) {
        let now = self.ticks.now();
        if let Some(of_address) = self.failures.lock().get(&attempt.from) {
            of_address.end(&attempt, succeeded, &self.policy, now);
        }
        self.tell(Told::Ended(attempt, succeeded));
    }

    fn tell(&self, told: Told) {
        if let Some(shared) = &self.shared {
            // A full queue means that the store is away or that there is a flood; this node counts alone then.
            let _ = shared.tell.try_send(told);
        }
    }

    /// What the store said holds here, too.
    fn hold(&self, attempt: &LoginAttempt, wait: Duration) {
        let mut failures = self.failures.lock();
        let of_address = failures.get_or(&attempt.from, AddressFailures::default);
        of_address.hold(attempt.account, wait, self.ticks.now());
    }

    fn withdraw(&self, attempt: &LoginAttempt) {
        if let Some(of_address) = self.failures.lock().get(&attempt.from) {
            of_address.withdraw(attempt);
        }
    }
}

impl PullGate for Gate {
    fn take_pull(&self, source: &PullSource, limit: PullLimit) -> PullAnswer {
        let now = self.ticks.now();
        let (answer, ask) = self.leases.lock().take(source, limit, now);
        if ask && let Some(shared) = &self.shared {
            shared.unsettled.notify_one();
        }
        answer
    }

    fn look_at_pulls(&self, source: &PullSource, limit: PullLimit) -> PullAnswer {
        self.leases.lock().look(source, limit, self.ticks.now())
    }

    fn begin_login_now(&self, account: &str, address: IpAddr) -> Result<LoginTicket, Duration> {
        let attempt = LoginAttempt::new(account, address, &RandomIds);
        self.begin(&attempt)?;
        self.tell(Told::Begun(attempt.clone()));
        Ok(self.ticket(attempt))
    }
}

#[async_trait]
impl LoginGate for Gate {
    async fn begin_login(&self, account: &str, address: IpAddr) -> Result<LoginTicket, Duration> {
        let attempt = LoginAttempt::new(account, address, &RandomIds);
        self.begin(&attempt)?;
        if let Some(shared) = &self.shared
            && let Ok(Some(wait)) = shared.counts.begin_login(&attempt, &self.policy).await
        {
            self.withdraw(&attempt);
            self.hold(&attempt, wait);
            return Err(wait);
        }
        Ok(self.ticket(attempt))
    }
}

/// Tells other nodes of logins, in the order in which they came, and hears how long the next ones have to wait.
async fn tell_logins(gate: Arc<Gate>, mut told: mpsc::Receiver<Told>) {
    let Some(shared) = &gate.shared else { return };
    while let Some(one) = told.recv().await {
        let (attempt, said) = match one {
            Told::Begun(attempt) => {
                let said = shared.counts.begin_login(&attempt, &gate.policy).await;
                (attempt, said)
            }
            Told::Ended(attempt, succeeded) => {
                let counts = &shared.counts;
                let said = counts.end_login(&attempt, succeeded, &gate.policy).await;
                (attempt, said)
            }
        };
        if let Ok(Some(wait)) = said {
            gate.hold(&attempt, wait);
        }
    }
}

/// Settles pulls as they come, and gives back what nobody used.
async fn settle_pulls(gate: Arc<Gate>) {
    let Some(shared) = &gate.shared else { return };
    let mut look = tokio::time::interval(IDLE_LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.unsettled.notified() => {}
            _ = look.tick() => gate.leases.lock().find_idle(gate.ticks.now()),
        }
        loop {
            let asked = gate
                .leases
                .lock()
                .take_unsettled(SETTLED_AT_ONCE, gate.ticks.now());
            if asked.is_empty() {
                break;
            }
            join_all(asked.iter().map(async |one| {
                let said = shared
                    .counts
                    .settle_pulls(&one.source, &one.report, one.limit);
                let said = said.await.ok();
                gate.leases.lock().settled(one, said, gate.ticks.now());
            }))
            .await;
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
