//! A wrapper that makes any blob store fail, late, slowly or half-way, as a script or a seed says.
//!
//! It must never invent bytes or lose what the inner store acknowledged: a fault *after* a call means that the call
//! took effect and its answer was lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use metadata::{MultipartId, ObjectKey};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes, Target,
};

/// A call of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the method of the same name")]
pub enum Call {
    Stage,
    Append,
    Store,
    BeginMultipart,
    CompleteMultipart,
    AbortMultipart,
    Read,
    ObjectSize,
    Delete,
    List,
    ListMultipart,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and has no effect.
    Before,
    /// It takes effect, and the answer is lost.
    After,
    /// It works, this much later.
    Delay(Duration),
    /// It never ends.
    Hang,
    /// A read fails after this many bytes. Other calls: like [`Fault::Before`].
    CutAfter(u64),
}

/// Which calls meet which faults.
#[derive(Debug)]
pub struct FaultPlan {
    rule: Rule,
    calls: HashMap<Call, u64>,
}

#[derive(Debug)]
enum Rule {
    Script(Vec<(Call, u64, Fault)>),
    Seed {
        random: Box<StdRng>,
        faults_per_1000: u32,
    },
}

impl FaultPlan {
    /// Nothing fails until faults are added.
    #[must_use]
    pub fn none() -> FaultPlan {
        FaultPlan {
            rule: Rule::Script(Vec::new()),
            calls: HashMap::new(),
        }
    }

    /// The `nth` call of this kind (from 1) meets `fault`.
    #[must_use]
    pub fn on(mut self, call: Call, nth: u64, fault: Fault) -> FaultPlan {
        if let Rule::Script(faults) = &mut self.rule {
            faults.push((call, nth, fault));
        }
        self
    }

    /// Of a thousand calls of any kind, `faults_per_1000` fail before or after their effect. The same seed and the
    /// same order of calls give the same faults.
    #[must_use]
    pub fn seeded(seed: u64, faults_per_1000: u32) -> FaultPlan {
        let random = Box::new(StdRng::seed_from_u64(seed));
        FaultPlan {
            rule: Rule::Seed {
                random,
                faults_per_1000,
            },
            calls: HashMap::new(),
        }
    }

    fn next(&mut self, call: Call) -> Option<Fault> {
        let nth = self.calls.entry(call).or_default();
        *nth += 1;
        match &mut self.rule {
            Rule::Script(faults) => faults
                .iter()
                .find(|(of, at, _)| *of == call && at == nth)
                .map(|(_, _, fault)| *fault),
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

/// A blob store whose calls fail as a [`FaultPlan`] says.
#[derive(Clone)]
pub struct FaultyBlobStore {
    inner: Arc<dyn BlobStore>,
    plan: Arc<Mutex<FaultPlan>>,
}

impl FaultyBlobStore {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: Arc<dyn BlobStore>, plan: FaultPlan) -> FaultyBlobStore {
        FaultyBlobStore {
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
        self.plan.lock().calls.get(&call).copied().unwrap_or(0)
    }
}

/// Runs `work` under the plan's next fault for `call`.
async fn meet<T>(
    plan: &Mutex<FaultPlan>,
    call: Call,
    work: impl Future<Output = Result<T, BlobFailure>>,
) -> Result<T, BlobFailure> {
    let fault = plan.lock().next(call);
    match fault {
        None => work.await,
        Some(Fault::Before | Fault::CutAfter(_)) => Err(injected(call, "before")),
        Some(Fault::After) => {
            work.await?;
            Err(injected(call, "after"))
        }
        Some(Fault::Delay(wait)) => {
            tokio::time::sleep(wait).await;
            work.await
        }
        Some(Fault::Hang) => std::future::pending().await,
    }
}

fn injected(call: Call, when: &str) -> BlobFailure {
    BlobFailure::Unavailable {
        reason: format!("a fault was injected {when} {call:?}"),
        retry_after: None,
    }
}

#[async_trait]
impl BlobStore for FaultyBlobStore {
    async fn stage(&self, size_max: u64) -> Result<Box<dyn StagedBytes>, BlobFailure> {
        let staged = meet(&self.plan, Call::Stage, self.inner.stage(size_max)).await?;
        Ok(Box::new(FaultyStaged {
            inner: staged,
            plan: Arc::clone(&self.plan),
        }))
    }

    async fn begin_multipart(&self, key: &ObjectKey) -> Result<MultipartId, BlobFailure> {
        meet(
            &self.plan,
            Call::BeginMultipart,
            self.inner.begin_multipart(key),
        )
        .await
    }

    async fn complete_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
        parts: &[CompletedPart],
    ) -> Result<(), BlobFailure> {
        meet(
            &self.plan,
            Call::CompleteMultipart,
            self.inner.complete_multipart(key, multipart, parts),
        )
        .await
    }

    async fn abort_multipart(
        &self,
        key: &ObjectKey,
        multipart: &MultipartId,
    ) -> Result<(), BlobFailure> {
        meet(
            &self.plan,
            Call::AbortMultipart,
            self.inner.abort_multipart(key, multipart),
        )
        .await
    }

    async fn read(&self, key: &ObjectKey, span: ByteSpan) -> Result<ByteStream, BlobFailure> {
        let fault = self.plan.lock().next(Call::Read);
        match fault {
            None => self.inner.read(key, span).await,
            Some(Fault::Before | Fault::After) => Err(injected(Call::Read, "before")),
            Some(Fault::Delay(wait)) => {
                tokio::time::sleep(wait).await;
                self.inner.read(key, span).await
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::CutAfter(bytes)) => Ok(cut(self.inner.read(key, span).await?, bytes)),
        }
    }

    async fn object_size(&self, key: &ObjectKey) -> Result<u64, BlobFailure> {
        meet(&self.plan, Call::ObjectSize, self.inner.object_size(key)).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Result<(), BlobFailure> {
        meet(&self.plan, Call::Delete, self.inner.delete(keys)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Vec<ListedObject>, BlobFailure> {
        meet(&self.plan, Call::List, self.inner.list(prefix, after)).await
    }

    async fn list_multipart(&self, prefix: &str) -> Result<Vec<ListedUpload>, BlobFailure> {
        meet(
            &self.plan,
            Call::ListMultipart,
            self.inner.list_multipart(prefix),
        )
        .await
    }

    fn describe(&self) -> String {
        format!("{} with injected faults", self.inner.describe())
    }
}

/// The stream as far as `bytes`, then a failure.
fn cut(stream: ByteStream, bytes: u64) -> ByteStream {
    let mut left = bytes;
    let broken = futures::stream::once(async { Err(injected(Call::Read, "within")) });
    let head = stream.map_ok(move |mut block| {
        let kept = left.min(block.len() as u64);
        left -= kept;
        block.split_to(kept as usize)
    });
    let head = head
        .take_while(|block| std::future::ready(!matches!(block, Ok(block) if block.is_empty())));
    head.chain(broken).boxed()
}

struct FaultyStaged {
    inner: Box<dyn StagedBytes>,
    plan: Arc<Mutex<FaultPlan>>,
}

#[async_trait]
impl StagedBytes for FaultyStaged {
    async fn append(&mut self, bytes: Bytes) -> Result<(), BlobFailure> {
        meet(&self.plan, Call::Append, self.inner.append(bytes)).await
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    async fn store(&mut self, target: &Target) -> Result<String, BlobFailure> {
        meet(&self.plan, Call::Store, self.inner.store(target)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob_store::memory::MemoryBlobStore;
    use crate::blob_store::suite::Subject;

    fn key() -> ObjectKey {
        ObjectKey::probe(metadata::ClusterId(1), 1)
    }

    async fn put(store: &FaultyBlobStore) -> Result<String, BlobFailure> {
        let mut staged = store.stage(10).await?;
        staged.append(Bytes::from_static(b"0123456789")).await?;
        staged.store(&Target::Object(key())).await
    }

    async fn unharmed() -> Subject {
        Subject::new(Arc::new(FaultyBlobStore::new(
            Arc::new(MemoryBlobStore::new()),
            FaultPlan::none(),
        )))
    }

    crate::blob_store_suite!(unharmed);

    #[tokio::test]
    async fn a_fault_before_has_no_effect_and_one_after_has() {
        let memory = MemoryBlobStore::new();
        let plan =
            FaultPlan::none()
                .on(Call::Store, 1, Fault::Before)
                .on(Call::Store, 2, Fault::After);
        let store = FaultyBlobStore::new(Arc::new(memory.clone()), plan);
        assert!(put(&store).await.is_err());
        assert_eq!(memory.keys().len(), 0);
        assert!(put(&store).await.is_err());
        assert_eq!(memory.keys().len(), 1);
        assert!(put(&store).await.is_ok());
        assert_eq!(store.calls(Call::Store), 3);
    }

    #[tokio::test]
    async fn a_cut_read_gives_its_bytes_and_then_fails() {
        let store = FaultyBlobStore::new(Arc::new(MemoryBlobStore::new()), FaultPlan::none());
        put(&store).await.unwrap();
        store.set_plan(FaultPlan::none().on(Call::Read, 1, Fault::CutAfter(4)));
        let mut stream = store
            .read(&key(), ByteSpan { start: 0, len: 10 })
            .await
            .unwrap();
        assert_eq!(
            stream.next().await.unwrap().unwrap(),
            Bytes::from_static(b"0123")
        );
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }

    #[test]
    fn a_seed_repeats_itself() {
        let faults = |seed| {
            let mut plan = FaultPlan::seeded(seed, 500);
            (0..64).map(|_| plan.next(Call::Read)).collect::<Vec<_>>()
        };
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
    }
}
