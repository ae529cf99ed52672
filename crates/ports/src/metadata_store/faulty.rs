//! A wrapper that makes any metadata log fail, late, slowly or with an unknown outcome, as a script or a seed says.
//!
//! It must never invent replies or undo what the inner log decided: a fault *after* a call means that the command took
//! effect and its reply was lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use metadata::{Command, Query, Reply};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Answered, Health, MetadataFailure, MetadataStore};
use crate::Deadline;

/// A call of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// [`MetadataStore::propose`].
    Propose,
    /// [`MetadataStore::read`] and [`MetadataStore::read_even_stale`].
    Read,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and has no effect.
    Before,
    /// It takes effect, and the reply is lost: the outcome is unknown. Reads: like [`Fault::Before`].
    After,
    /// It works, this much later.
    Delay(Duration),
    /// It never ends.
    Hang,
    /// Nothing can be confirmed, and that is known: a read that may be stale is answered so. Everything else is like
    /// [`Fault::Before`].
    Stale,
    /// Like [`Fault::Stale`], but what fails does so at its deadline, as it does without a quorum.
    NoQuorum,
}

/// Which calls meet which faults.
#[derive(Debug)]
pub struct FaultPlan {
    rule: Rule,
    proposals: u64,
    reads: u64,
}

#[derive(Debug)]
enum Rule {
    Script(Vec<(Call, u64, Fault)>),
    Always(Call, Fault),
    All(Fault),
    Seed {
        random: Box<StdRng>,
        faults_per_1000: u32,
    },
}

impl FaultPlan {
    /// Nothing fails until faults are added.
    #[must_use]
    pub fn none() -> FaultPlan {
        FaultPlan::of(Rule::Script(Vec::new()))
    }

    /// The `nth` call of this kind (from 1) meets `fault`.
    #[must_use]
    pub fn on(mut self, call: Call, nth: u64, fault: Fault) -> FaultPlan {
        if let Rule::Script(faults) = &mut self.rule {
            faults.push((call, nth, fault));
        }
        self
    }

    /// Every call of this kind meets `fault`.
    #[must_use]
    pub fn always(call: Call, fault: Fault) -> FaultPlan {
        FaultPlan::of(Rule::Always(call, fault))
    }

    /// No quorum answers: writes fail at their deadline, and so do reads but those that may be stale.
    #[must_use]
    pub fn no_quorum() -> FaultPlan {
        FaultPlan::of(Rule::All(Fault::NoQuorum))
    }

    /// Of a thousand calls, `faults_per_1000` fail before or after their effect. The same seed and the same order of
    /// calls give the same faults.
    #[must_use]
    pub fn seeded(seed: u64, faults_per_1000: u32) -> FaultPlan {
        let random = Box::new(StdRng::seed_from_u64(seed));
        FaultPlan::of(Rule::Seed {
            random,
            faults_per_1000,
        })
    }

    fn of(rule: Rule) -> FaultPlan {
        FaultPlan {
            rule,
            proposals: 0,
            reads: 0,
        }
    }

    fn next(&mut self, call: Call) -> Option<Fault> {
        let count = match call {
            Call::Propose => &mut self.proposals,
            Call::Read => &mut self.reads,
        };
        *count += 1;
        match &mut self.rule {
            Rule::Script(faults) => {
                let met = faults.iter().find(|(of, at, _)| *of == call && at == count);
                met.map(|(_, _, fault)| *fault)
            }
            Rule::Always(of, fault) => (*of == call).then_some(*fault),
            Rule::All(fault) => Some(*fault),
            Rule::Seed {
                random,
                faults_per_1000,
            } => {
                let hit = random.random_range(0..1000) < *faults_per_1000;
                let fault = if random.random_bool(0.5) {
                    Fault::Before
                } else {
                    Fault::After
                };
                hit.then_some(fault)
            }
        }
    }
}

/// A metadata log whose calls fail as a [`FaultPlan`] says.
#[derive(Clone)]
pub struct FaultyMetadataStore {
    inner: Arc<dyn MetadataStore>,
    plan: Arc<Mutex<FaultPlan>>,
}

impl FaultyMetadataStore {
    /// Wraps a log.
    #[must_use]
    pub fn new(inner: Arc<dyn MetadataStore>, plan: FaultPlan) -> FaultyMetadataStore {
        FaultyMetadataStore {
            inner,
            plan: Arc::new(Mutex::new(plan)),
        }
    }

    /// From now on, this plan, with its counts from zero.
    pub fn set_plan(&self, plan: FaultPlan) {
        *self.plan.lock() = plan;
    }

    /// How many calls of this kind there were under the present plan.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        let plan = self.plan.lock();
        match call {
            Call::Propose => plan.proposals,
            Call::Read => plan.reads,
        }
    }
}

impl FaultyMetadataStore {
    async fn read_with(
        &self,
        fault: Option<Fault>,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        match fault {
            None => self.inner.read(query, deadline).await,
            Some(Fault::Before | Fault::After | Fault::Stale) => Err(unavailable()),
            Some(Fault::Delay(wait)) => {
                tokio::time::sleep(wait).await;
                self.inner.read(query, deadline).await
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::NoQuorum) => Err(unavailable_at(deadline).await),
        }
    }
}

async fn unavailable_at(deadline: Deadline) -> MetadataFailure {
    tokio::time::sleep_until(deadline).await;
    unavailable()
}

fn unavailable() -> MetadataFailure {
    MetadataFailure::Unavailable {
        reason: "a fault was injected before the call".into(),
    }
}

#[async_trait]
impl MetadataStore for FaultyMetadataStore {
    async fn propose(
        &self,
        command: Command,
        deadline: Deadline,
    ) -> Result<Reply, MetadataFailure> {
        let fault = self.plan.lock().next(Call::Propose);
        match fault {
            None => self.inner.propose(command, deadline).await,
            Some(Fault::Before | Fault::Stale) => Err(unavailable()),
            Some(Fault::After) => {
                self.inner.propose(command, deadline).await?;
                Err(MetadataFailure::OutcomeUnknown {
                    reason: "a fault was injected after the call".into(),
                })
            }
            Some(Fault::Delay(wait)) => {
                tokio::time::sleep(wait).await;
                self.inner.propose(command, deadline).await
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::NoQuorum) => Err(unavailable_at(deadline).await),
        }
    }

    async fn read(&self, query: Query, deadline: Deadline) -> Result<Answered, MetadataFailure> {
        let fault = self.plan.lock().next(Call::Read);
        self.read_with(fault, query, deadline).await
    }

    async fn read_even_stale(
        &self,
        query: Query,
        deadline: Deadline,
    ) -> Result<Answered, MetadataFailure> {
        let fault = self.plan.lock().next(Call::Read);
        match fault {
            Some(Fault::Stale | Fault::NoQuorum) => {
                let answered = self.inner.read(query, deadline).await?;
                Ok(Answered {
                    stale: true,
                    ..answered
                })
            }
            other => self.read_with(other, query, deadline).await,
        }
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata_store::memory::MemoryMetadataStore;
    use metadata::{Answer, CreateUpload, PrincipalName};
    use oci::{Algorithm, RepositoryName, UploadId};

    fn deadline() -> Deadline {
        tokio::time::Instant::now() + Duration::from_secs(10)
    }

    fn create(upload: u128) -> Command {
        Command::CreateUpload(CreateUpload {
            upload: UploadId::from_u128(upload),
            repository: RepositoryName::parse("library/app").unwrap(),
            algorithm: Algorithm::Sha256,
            part_size: 16,
            write: false,
            principal: PrincipalName::anonymous(),
        })
    }

    #[tokio::test]
    async fn a_fault_before_has_no_effect_and_one_after_has() {
        let memory = MemoryMetadataStore::new();
        let plan = FaultPlan::none().on(Call::Propose, 1, Fault::Before);
        let plan = plan.on(Call::Propose, 2, Fault::After);
        let store = FaultyMetadataStore::new(Arc::new(memory.clone()), plan);
        let before = store.propose(create(1), deadline()).await;
        assert!(matches!(before, Err(MetadataFailure::Unavailable { .. })));
        assert_eq!(memory.commands(), []);
        let after = store.propose(create(1), deadline()).await;
        assert!(matches!(after, Err(MetadataFailure::OutcomeUnknown { .. })));
        assert_eq!(memory.commands(), [create(1)]);
        assert!(store.propose(create(2), deadline()).await.is_ok());
        assert_eq!(store.calls(Call::Propose), 3);
    }

    #[tokio::test]
    async fn only_who_asks_for_it_gets_a_stale_answer() {
        let plan = FaultPlan::none().on(Call::Read, 2, Fault::Stale);
        let plan = plan.on(Call::Read, 3, Fault::Stale);
        let store = FaultyMetadataStore::new(Arc::new(MemoryMetadataStore::new()), plan);
        let look = || store.read_even_stale(Query::Cluster, deadline());
        let first = look().await.unwrap();
        let second = look().await.unwrap();
        assert!(matches!(&first.answer, Answer::Cluster(view) if view.cluster.is_some()));
        assert_eq!((first.stale, second.stale), (false, true));
        assert_eq!(first.answer, second.answer);
        let third = store.read(Query::Cluster, deadline()).await;
        assert!(matches!(third, Err(MetadataFailure::Unavailable { .. })));
    }

    #[tokio::test]
    async fn without_a_quorum_the_deadline_is_waited_for() {
        let plan = FaultPlan::no_quorum();
        let store = FaultyMetadataStore::new(Arc::new(MemoryMetadataStore::new()), plan);
        let deadline = tokio::time::Instant::now() + Duration::from_millis(50);
        let proposed = store.propose(create(1), deadline).await;
        assert!(matches!(proposed, Err(MetadataFailure::Unavailable { .. })));
        assert!(deadline <= tokio::time::Instant::now());
    }
}
