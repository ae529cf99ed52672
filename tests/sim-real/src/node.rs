//! One member of the simulated world: a disk that outlives it, and a process, which is a runtime with the real member in
//! it. Dropping the runtime is the end of the process, in the middle of whatever it did.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use metadata::LogTime;
use metadata_raft::{FirstStart, Member, MemberConfig};
use parking_lot::Mutex;
use peers::{Calls, Connections};
use ports::Clock;
use powerloss::Survives;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::machine;
use crate::network::{Network, NodeId};
use crate::witness::{self, Bucket, Witness};

/// A clock that is off by so many milliseconds.
#[derive(Default)]
pub struct OffClock(AtomicI64);

impl OffClock {
    /// Sets how far it is off.
    pub fn set_off_ms(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }

    /// Whether it is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

impl Clock for OffClock {
    fn now(&self) -> LogTime {
        LogTime(machine::day_ms().saturating_add_signed(self.0.load(Ordering::Relaxed)))
    }
}

/// How a process came to its end by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its start was contradicted: its disk is an old one.
    OldDisk,
    /// Its folder cannot be opened, or its log has stopped.
    Failed(String),
}

/// What a process says of itself.
#[derive(Default)]
pub struct Life {
    opened: Mutex<Option<Arc<Member>>>,
    admitted: Mutex<Option<Arc<Member>>>,
    ended: Mutex<Option<End>>,
    heard: Arc<AtomicBool>,
}

/// A running process.
struct Process {
    runtime: Runtime,
    life: Arc<Life>,
    /// When it goes on, if it stands still.
    paused_until: Option<u64>,
}

/// See the module.
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// How often it was started.
    pub starts: u64,
    /// The last start that took part.
    pub admitted_start: u64,
    disk: PathBuf,
    network: Network,
    bucket: Arc<Bucket>,
    clock: Arc<OffClock>,
    process: Option<Process>,
    /// How much slower its disk is than others, in milliseconds.
    slow_disk: Arc<AtomicU64>,
}

impl Node {
    /// A machine that is off, with an empty disk.
    #[must_use]
    pub fn new(id: NodeId, folder: &Path, network: Network, bucket: Arc<Bucket>) -> Node {
        let disk = folder.join(id.to_string());
        std::fs::create_dir_all(&disk).expect("the folder of a run can be written");
        powerloss::watch(&disk, &journal(&disk));
        network.disk_of(id, disk.clone());
        Node {
            id,
            starts: 0,
            admitted_start: 0,
            disk,
            network,
            bucket,
            clock: Arc::default(),
            process: None,
            slow_disk: Arc::default(),
        }
    }

    fn config(&self) -> MemberConfig {
        let is_first = self.id == 1 && self.starts == 1;
        MemberConfig {
            start: if self.id == 1 {
                FirstStart::FormGroup
            } else {
                FirstStart::AwaitGroup
            },
            admitted: is_first,
            address: format!("node-{}", self.id),
            transport: self.network.transport(self.id),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            segment_bytes: 16 * 1024,
            log_cache_bytes: 4 * 1024,
            table_cache_bytes: 1024 * 1024,
            snapshot_every_bytes: 24 * 1024,
            log_entries_kept: 10,
            free_bytes_min: 0,
            ..MemberConfig::new(self.disk.join("metadata"), self.id)
        }
    }

    /// Starts the process, which knows these members before it has a log.
    pub fn start(&mut self, known: Vec<NodeId>) {
        self.starts += 1;
        powerloss::revive(&self.disk);
        self.network.begin(self.id);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without input and output needs nothing of the system");
        let life: Arc<Life> = Arc::default();
        let living = live(Living {
            config: self.config(),
            disk: self.disk.clone(),
            network: self.network.clone(),
            bucket: Arc::clone(&self.bucket),
            life: Arc::clone(&life),
            known,
        });
        drop(runtime.spawn(living));
        self.process = Some(Process {
            runtime,
            life,
            paused_until: None,
        });
    }

    /// Ends the process at once: nothing that it still does when it is dropped reaches its disk.
    pub fn kill(&mut self, power_too: bool) {
        powerloss::crash(&self.disk);
        self.network.end(self.id, power_too);
        self.process = None;
        powerloss::revive(&self.disk);
    }

    /// Ends the process, and takes from its disk what was not synced.
    ///
    /// # Errors
    /// When the files of the run cannot be changed.
    pub fn lose_power(&mut self, survives: Survives) -> io::Result<powerloss::Lost> {
        self.kill(true);
        powerloss::lose_power(&self.disk, &journal(&self.disk), survives)
    }

    /// Lets the process do what it does until the clock shows the present millisecond.
    pub fn poll(&mut self) {
        let slow = self.slow_disk.load(Ordering::Relaxed);
        let Some(process) = &mut self.process else {
            return;
        };
        let pause = match process.paused_until {
            Some(until) if until > machine::now_ms() => return,
            other => other.is_some(),
        };
        process.paused_until = None;
        crate::world::set_disk(self.id, slow);
        process.runtime.block_on(async {
            let now = tokio::time::Instant::from_std(std::time::Instant::now());
            if pause {
                // Its clock went on meanwhile: every timer that is due ends at once.
                tokio::time::advance(now - tokio::time::Instant::now()).await;
            }
            tokio::time::sleep_until(now).await;
        });
    }

    /// Lets the process stand still until then.
    pub fn pause_until(&mut self, ms: u64) {
        if let Some(process) = &mut self.process {
            process.paused_until = Some(ms);
        }
    }

    /// Makes its disk slower by so much.
    pub fn slow_disk(&self, ms: u64) {
        self.slow_disk.store(ms, Ordering::Relaxed);
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
        self.process.as_ref()?.life.opened.lock().clone()
    }

    /// The member, if it takes part.
    #[must_use]
    pub fn admitted(&self) -> Option<Arc<Member>> {
        self.process.as_ref()?.life.admitted.lock().clone()
    }

    /// Whether another voter knows of this start.
    #[must_use]
    pub fn is_heard_of(&self) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| process.life.heard.load(Ordering::Relaxed))
    }

    /// Whether anything of the log has passed between this start and another member.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.member().is_some_and(|member| member.has_spoken())
    }

    /// Whether there is a process.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// How the process ended by itself, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        self.process.as_ref()?.life.ended.lock().clone()
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &OffClock {
        &self.clock
    }

    /// Where its disk is.
    #[must_use]
    pub fn disk(&self) -> &Path {
        &self.disk
    }
}

/// Beside a disk.
fn journal(disk: &Path) -> PathBuf {
    disk.with_extension("journal")
}

struct Living {
    config: MemberConfig,
    disk: PathBuf,
    network: Network,
    bucket: Arc<Bucket>,
    life: Arc<Life>,
    known: Vec<NodeId>,
}

async fn live(living: Living) {
    let life = Arc::clone(&living.life);
    let end = match live_on(living).await {
        Ok(end) => end,
        Err(failure) => End::Failed(failure),
    };
    *life.ended.lock() = Some(end);
}

async fn live_on(living: Living) -> Result<End, String> {
    let Living {
        config,
        disk,
        network,
        bucket,
        life,
        known,
    } = living;
    let (node, transport) = (config.node_id, Arc::clone(&config.transport));
    let member = Member::open(config).await.map_err(|e| e.to_string())?;
    let (accepted, connections) = tokio::sync::mpsc::unbounded_channel();
    network.listen(node, accepted);
    let calls = member.answering(Calls::default().of_nodes(Witness::of(&member, &disk)));
    drop(tokio::spawn(async move {
        // It ends with the process.
        drop(peers::serve(calls, UnboundedReceiverStream::new(connections)).await);
    }));
    *life.opened.lock() = Some(Arc::clone(&member));
    let connections = Connections::new(transport);
    let recording = async {
        match witness::record(&member, &connections, &bucket, &known).await {
            Some(heard) => life.heard.store(heard, Ordering::Relaxed),
            None => return Ok(false),
        }
        member.admit().await.map_err(|e| e.to_string())?;
        Ok::<bool, String>(true)
    };
    tokio::select! {
        recorded = recording => match recorded {
            Ok(true) => {}
            Ok(false) => return Ok(End::OldDisk),
            Err(failure) => return Err(failure),
        },
        reason = member.failed() => return Err(reason),
    }
    *life.admitted.lock() = Some(Arc::clone(&member));
    tokio::select! {
        reason = member.failed() => Err(reason),
        () = witness::watch(Arc::downgrade(&member), connections, Arc::clone(&life.heard)) => Ok(End::OldDisk),
    }
}
