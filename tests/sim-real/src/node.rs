//! One member of the simulated world: a folder that outlives it, and a process, which is a runtime with the real member in
//! it. Dropping the runtime is the end of the process, in the middle of whatever it did.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use metadata::LogTime;
use metadata_raft::{FirstStart, Member, MemberConfig};
use parking_lot::Mutex;
use ports::Clock;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::machine;
use crate::network::{Network, NodeId};

/// A clock that is off by so many milliseconds.
#[derive(Default)]
pub struct OffClock(AtomicI64);

impl OffClock {
    /// Sets how far it is off.
    pub fn set_off_ms(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl Clock for OffClock {
    fn now(&self) -> LogTime {
        LogTime(machine::day_ms().saturating_add_signed(self.0.load(Ordering::Relaxed)))
    }
}

/// What a process says of itself.
#[derive(Default)]
pub struct Life {
    member: Mutex<Option<Arc<Member>>>,
    ended: Mutex<Option<String>>,
}

impl Life {
    /// The member, once it is open.
    #[must_use]
    pub fn member(&self) -> Option<Arc<Member>> {
        self.member.lock().clone()
    }

    /// Why the process ended by itself, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.ended.lock().clone()
    }
}

/// A running process.
pub struct Process {
    runtime: Runtime,
    life: Arc<Life>,
}

/// See the module.
pub struct Node {
    /// Its number.
    pub id: NodeId,
    folder: PathBuf,
    network: Network,
    clock: Arc<OffClock>,
    process: Option<Process>,
}

impl Node {
    /// A machine that is off.
    #[must_use]
    pub fn new(id: NodeId, folder: PathBuf, network: Network) -> Node {
        Node {
            id,
            folder,
            network,
            clock: Arc::default(),
            process: None,
        }
    }

    fn config(&self) -> MemberConfig {
        MemberConfig {
            start: if self.id == 1 {
                FirstStart::FormGroup
            } else {
                FirstStart::AwaitGroup
            },
            address: format!("node-{}", self.id),
            transport: self.network.transport(self.id),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            segment_bytes: 16 * 1024,
            log_cache_bytes: 4 * 1024,
            table_cache_bytes: 1024 * 1024,
            snapshot_every_bytes: 24 * 1024,
            log_entries_kept: 10,
            free_bytes_min: 0,
            ..MemberConfig::new(self.folder.clone(), self.id)
        }
    }

    /// Starts the process.
    pub fn start(&mut self) {
        self.network.begin(self.id);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output needs nothing of the system");
        let life: Arc<Life> = Arc::default();
        let living = live(
            self.id,
            self.config(),
            self.network.clone(),
            Arc::clone(&life),
        );
        drop(runtime.spawn(living));
        self.process = Some(Process { runtime, life });
    }

    /// Ends the process at once.
    pub fn kill(&mut self, power_too: bool) {
        self.network.end(self.id, power_too);
        self.process = None;
    }

    /// Lets the process do what it does until the clock shows the present millisecond.
    pub fn poll(&self) {
        let Some(process) = &self.process else {
            return;
        };
        process.runtime.block_on(async {
            let now = tokio::time::Instant::from_std(std::time::Instant::now());
            tokio::time::sleep_until(now).await;
        });
    }

    /// Runs something in the process, if there is one.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(process) = &self.process {
            drop(process.runtime.spawn(work));
        }
    }

    /// The member, if the process runs and has opened it.
    #[must_use]
    pub fn member(&self) -> Option<Arc<Member>> {
        self.process.as_ref()?.life.member()
    }

    /// Whether there is a process.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Why the process ended by itself, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.process.as_ref()?.life.ended()
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &OffClock {
        &self.clock
    }
}

async fn live(id: NodeId, config: MemberConfig, network: Network, life: Arc<Life>) {
    let member = match Member::open(config).await {
        Ok(member) => member,
        Err(failure) => {
            *life.ended.lock() = Some(failure.to_string());
            return;
        }
    };
    let (accepted, connections) = tokio::sync::mpsc::unbounded_channel();
    network.listen(id, accepted);
    let served = Arc::clone(&member);
    drop(tokio::spawn(async move {
        // It ends with the process.
        drop(
            served
                .serve_peers(UnboundedReceiverStream::new(connections))
                .await,
        );
    }));
    *life.member.lock() = Some(Arc::clone(&member));
    let reason = member.failed().await;
    *life.ended.lock() = Some(reason);
}
