//! The world of a run: nodes, network, store, and what is watched.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use metadata::ObjectKey;
use parking_lot::Mutex;
use peers::Calls;
use ports::ByteSpan;
use registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::census::{Census, Kind};
use crate::dice::Dice;
use crate::invariants::Watch;
use crate::life::Life;
use crate::log::{Applied, Machine, Member, Members};
use crate::machine::elapsed;
use crate::network::Network;
use crate::node::Node;
use crate::plan::Plan;
use crate::store::Store;
use crate::trace::Trace;

/// Milliseconds of the epoch at which runs begin.
const WALL_BEGINNING_MS: u64 = 1_700_000_000_000;
/// Gateways have ids from here.
pub const GATEWAYS_FROM: u64 = 101;

/// See the module.
pub struct World {
    /// What was decided before.
    pub plan: Plan,
    /// What happened.
    pub trace: Trace,
    /// How often.
    pub census: Census,
    /// Between nodes.
    pub network: Network,
    /// Beside nodes.
    pub store: Store,
    /// What must hold.
    pub watch: Watch,
    /// Every node that there ever was.
    pub nodes: Mutex<BTreeMap<u64, Arc<Node>>>,
    /// How long syncs take.
    pub disks: Dice,
    /// Ends the run early.
    pub over: CancellationToken,
    breaches: Mutex<Vec<String>>,
    /// The faults are over.
    calm: AtomicBool,
    /// The last states of which snapshots were taken, and where.
    snapshots: Mutex<BTreeMap<u64, Weak<Machine>>>,
}

impl World {
    /// A world without nodes.
    #[must_use]
    pub fn new(plan: Plan, keeps_text: bool) -> Arc<World> {
        let dice = |label| Dice::of(plan.seed, label);
        Arc::new(World {
            trace: Trace::new(keeps_text),
            census: Census::default(),
            network: Network::new(dice("network")),
            store: Store::new(dice("store")),
            watch: Watch::default(),
            nodes: Mutex::default(),
            disks: dice("disks"),
            over: CancellationToken::new(),
            breaches: Mutex::default(),
            calm: AtomicBool::new(false),
            snapshots: Mutex::default(),
            plan,
        })
    }

    /// Makes the nodes that the run begins with, and starts them.
    pub fn begin(self: &Arc<Self>) {
        let founders = Members {
            voters: (1..=self.plan.members).collect(),
            learners: [].into(),
        };
        for id in founders.voters.clone() {
            self.add(Node::member(id, founders.clone()));
        }
        for id in GATEWAYS_FROM..GATEWAYS_FROM + self.plan.gateways {
            self.add(Node::gateway(id));
        }
        for node in self.all_nodes() {
            node.start(self);
        }
    }

    /// Adds a node.
    pub fn add(&self, node: Arc<Node>) {
        self.nodes.lock().insert(node.id, node);
    }

    /// Every node.
    #[must_use]
    pub fn all_nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().values().cloned().collect()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: u64) -> Option<Arc<Node>> {
        self.nodes.lock().get(&id).cloned()
    }

    /// The present life of a node.
    #[must_use]
    pub fn life(&self, id: u64) -> Option<Arc<Life>> {
        self.node(id)?.present().map(|present| present.life)
    }

    /// The member that has this life.
    #[must_use]
    pub fn member_of(&self, life: &Life) -> Option<Arc<Member>> {
        let present = self.node(life.node)?.present()?;
        present
            .member
            .filter(|_| present.life.number == life.number)
    }

    /// What the node of this life answers other nodes.
    #[must_use]
    pub fn calls_of(&self, life: &Life) -> Option<Arc<Calls>> {
        let present = self.node(life.node)?.present()?;
        present.calls.filter(|_| present.life.number == life.number)
    }

    /// The use-cases of a node that is up.
    #[must_use]
    pub fn registry_of(&self, id: u64) -> Option<(Registry, Arc<Life>)> {
        let alive = self.node(id)?.alive()?;
        Some((alive.registry, alive.life))
    }

    /// Members that are up.
    #[must_use]
    pub fn members_up(&self) -> Vec<Arc<Member>> {
        let nodes = self.all_nodes();
        nodes
            .iter()
            .filter_map(|node| node.alive()?.member)
            .collect()
    }

    /// Who leads in the highest term, if anybody does.
    #[must_use]
    pub fn leader(&self) -> Option<Arc<Member>> {
        let members = self.members_up();
        let leaders = members
            .into_iter()
            .filter(|member| member.look(crate::log::Core::leads));
        leaders.max_by_key(|member| member.look(|core| core.disk.term))
    }

    /// Choices for a part of the world.
    #[must_use]
    pub fn dice(&self, label: &str) -> Dice {
        Dice::of(self.plan.seed, label)
    }

    /// From now on nothing new is made to fail.
    pub fn calm_down(&self) {
        self.calm.store(true, Relaxed);
    }

    /// Whether the faults are over.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.calm.load(Relaxed)
    }

    /// Whether every node that was not removed is up, and somebody leads.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_there = |node: &Arc<Node>| node.is_removed() || node.alive().is_some();
        self.all_nodes().iter().all(is_there) && self.leader().is_some()
    }

    /// A promise is broken: the run ends.
    pub fn breach(&self, promise: &str, what: String) {
        self.trace.note(format_args!("BREACH {promise}: {what}"));
        self.breaches.lock().push(format!("{promise}: {what}"));
        self.over.cancel();
    }

    /// What was broken, in order.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        self.breaches.lock().clone()
    }

    /// A client was answered.
    pub fn answered(&self, what: &'static str) {
        self.census.count(Kind::Client, what);
    }

    /// A member has applied an entry.
    pub fn applied(&self, node: u64, applied: &Applied, machine: &Machine) {
        self.watch.applied(self, node, applied, machine);
    }

    /// The state of a member at an index as it is kept in snapshots. All members have the same there, which P6 checks entry by
    /// entry, and so it is kept once.
    #[must_use]
    pub fn shared(&self, index: u64, machine: &Machine) -> Arc<Machine> {
        let snapshots = &mut *self.snapshots.lock();
        if let Some(known) = snapshots.get(&index).and_then(Weak::upgrade) {
            return known;
        }
        let state = Arc::new(machine.clone());
        snapshots.retain(|_, state| state.strong_count() > 0);
        snapshots.insert(index, Arc::downgrade(&state));
        state
    }

    /// The store is asked for bytes.
    pub fn store_is_read(&self, key: &ObjectKey, span: ByteSpan) {
        self.watch.store_is_read(self, key, span);
    }

    /// Objects are about to be deleted.
    pub fn objects_are_deleted(&self, keys: &[ObjectKey]) {
        self.watch.objects_are_deleted(self, keys);
    }

    /// So many bytes are held on their way into the store.
    pub fn staged(&self, bytes: u64) {
        self.watch.staged(self, bytes);
    }

    /// What the wall clock of a node shows, in milliseconds since the epoch.
    #[must_use]
    pub fn wall_clock(&self, node: u64) -> u64 {
        let true_ms = WALL_BEGINNING_MS + elapsed().as_millis() as u64;
        let (offset, drift) = self.node(node).map_or((0, 0), |node| node.clock());
        let drifted = elapsed().as_millis() as i64 * drift / 1000;
        true_ms.saturating_add_signed(offset + drifted)
    }

    /// How long a member's disk takes to sync.
    #[must_use]
    pub fn sync_time(&self, node: u64) -> Duration {
        self.node(node)
            .map_or(Duration::ZERO, |node| node.sync_time(self))
    }

    /// Whether a member applies nothing at the moment.
    #[must_use]
    pub fn is_apply_stalled(&self, node: u64) -> bool {
        self.node(node).is_some_and(|node| node.is_apply_stalled())
    }
}
