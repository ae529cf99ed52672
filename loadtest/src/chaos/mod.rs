//! `holdfast-chaos`: many clients of a cluster while things are done to it, and then proof of what was promised.
//!
//! Clients push, pull, move tags and upload without pause, and everything that they are told is taken down. Somebody else (a
//! schedule of commands, a test with its own cluster) does the faults and tells the [`Timeline`]. At the end every
//! acknowledged push is pulled through every node, every history is checked, and a [`Report`] says which promise broke.

mod ask;
mod audit;
mod images;
mod leader;
mod meter;
mod page;
mod picture;
mod probes;
mod programs;
mod report;
mod schedule;
mod tags;
mod timeline;
mod uploads;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use linearizability::{History, tag, upload};
use tokio::task::JoinHandle;

pub use audit::{Audit, Checked};
pub use meter::{Failed, Gap, Repeatable, Second};
pub use programs::ProgramRun;
pub use report::{Promise, Report};
pub use schedule::Schedule;
pub use timeline::{Class, Fault, LeaderChange, Timeline};

use crate::client::Target;
use crate::watch::{Calendar, StallMonitor};

/// So many breaches are told one by one.
const BREACHES_MAX: usize = 500;

/// What is done where.
pub struct Plan {
    /// The balancer.
    pub front: Arc<Target>,
    /// Every node by itself, with its name.
    pub nodes: Vec<(String, Arc<Target>)>,
    /// Repositories are made below this name; each run wants one of its own.
    pub repository: String,
    /// How many push images.
    pub pushers: u32,
    /// How many pull images.
    pub pullers: u32,
    /// How many work on tags.
    pub taggers: u32,
    /// On how many tags at once.
    pub tags: u32,
    /// How many make uploads.
    pub uploaders: u32,
    /// Commands that are run again and again beside them.
    pub programs: Vec<String>,
    /// Repeats the choices of a run.
    pub seed: u64,
    /// The longest time without an answer that is no breach.
    pub gap_max: Duration,
}

/// What all clients share.
struct World {
    plan: Plan,
    timeline: Timeline,
    meter: meter::Meter,
    ended: AtomicBool,
    warned: AtomicU64,
    pushed: Mutex<Vec<images::Pushed>>,
    tags: Mutex<History<String, tag::Input, tag::Output>>,
    uploads: Mutex<History<String, upload::Input, upload::Output>>,
    programs: Mutex<Vec<ProgramRun>>,
    breaches: Mutex<Vec<String>>,
    /// Nodes, by their places, that are no more.
    absent: Mutex<BTreeSet<usize>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Takes down an answer that no order of requests explains.
    fn breach(&self, what: String) {
        let mut breaches = lock(&self.breaches);
        if breaches.len() < BREACHES_MAX {
            breaches.push(what);
        }
    }

    /// Whether a reply is as it should be; a breach if not.
    fn expect(&self, reply: &Response<Bytes>, wanted: StatusCode, what: &str) -> bool {
        let is_good = reply.status() == wanted;
        if !is_good {
            let body = String::from_utf8_lossy(reply.body());
            self.breach(format!("{what}: {}: {body}", reply.status()));
        }
        is_good
    }
}

/// Clients that run.
pub struct Chaos {
    world: Arc<World>,
    clients: Vec<JoinHandle<()>>,
    watcher: JoinHandle<()>,
    stalls: StallMonitor,
}

impl Chaos {
    /// Starts them, after what they all need was pushed.
    pub async fn start(plan: Plan) -> anyhow::Result<Self> {
        let timeline = Timeline::begin_now();
        let world = Arc::new(World {
            meter: meter::Meter::new(timeline.clone()),
            timeline,
            ended: AtomicBool::new(false),
            warned: AtomicU64::new(0),
            pushed: Mutex::default(),
            tags: Mutex::default(),
            uploads: Mutex::default(),
            programs: Mutex::default(),
            breaches: Mutex::default(),
            absent: Mutex::default(),
            plan,
        });
        tags::prepare(&world).await?;
        let mut clients = vec![tokio::spawn(probes::probe_on(world.clone()))];
        for number in 0..world.plan.pushers {
            clients.push(tokio::spawn(images::push_on(world.clone(), number)));
        }
        for number in 0..world.plan.pullers {
            clients.push(tokio::spawn(images::pull_on(world.clone(), number)));
        }
        for number in 0..world.plan.taggers {
            clients.push(tokio::spawn(tags::tag_on(world.clone(), number)));
        }
        for number in 0..world.plan.uploaders {
            clients.push(tokio::spawn(uploads::upload_on(world.clone(), number)));
        }
        for number in 0..world.plan.programs.len() {
            clients.push(tokio::spawn(programs::run_on(world.clone(), number)));
        }
        let watcher = tokio::spawn(leader::watch(world.clone()));
        let stalls = StallMonitor::start(Calendar::now());
        Ok(Self {
            world,
            clients,
            watcher,
            stalls,
        })
    }

    /// Where faults are told.
    pub fn timeline(&self) -> Timeline {
        self.world.timeline.clone()
    }

    /// There is no node any more where this one was: it is not asked at the end.
    pub fn retire(&self, node: &str) {
        let mut nodes = self.world.plan.nodes.iter();
        lock(&self.world.absent).extend(nodes.position(|(name, _)| name == node));
    }

    /// Ends the clients, audits, checks, and says what came of it. The cluster is to be well again.
    pub async fn end(self) -> anyhow::Result<Report> {
        let world = self.world;
        world.ended.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await?;
        }
        self.watcher.abort();
        let ended_us = world.timeline.now_us();
        let measured = world.meter.measured();
        let stalls = self.stalls.stop();
        audit::last_reads(&world).await;
        let audit = audit::images(&world).await;
        let checking = world.clone();
        let checked = tokio::task::spawn_blocking(move || audit::histories(&checking)).await?;
        Ok(Report::of(
            &world, ended_us, measured, stalls, audit, checked,
        ))
    }
}
