//! A node: its disk, its clock, and the lives that it has had.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use auth::{Doorkeeper, ProofFailure, Proved, Prover, TokenIssuer, TokenKeys};
use metadata::access::AccountName;
use metadata_client::{Client, MemberAddress};
use parking_lot::Mutex;
use peers::Calls;
use ports::{Deadline, IdSource};
use registry::{Parts, Registry};
use zeroize::Zeroizing;

use crate::census::Kind;
use crate::dice::Dice;
use crate::life::Life;
use crate::log::{self, Disk, Member, Members};
use crate::network::{NodeNetwork, NodeTransport};
use crate::store::NodeStore;
use crate::world::World;

/// See the module.
pub struct Node {
    /// Its id.
    pub id: u64,
    state: Mutex<State>,
}

struct State {
    lives: u64,
    alive: Option<Alive>,
    /// A member's, while it is down.
    disk: Option<Disk>,
    /// Its own disk, while it has an old one.
    own: Option<Disk>,
    /// The last start of which others know: a disk that has not seen it is an old one.
    known_start: u64,
    clock_offset_ms: i64,
    clock_drift_per_mille: i64,
    slow_disk_ms: u64,
    apply_stalled: bool,
    /// It was removed from the cluster, and never starts again.
    removed: bool,
}

/// What a node that is up consists of.
#[derive(Clone)]
pub struct Alive {
    /// This life.
    pub life: Arc<Life>,
    /// What serves clients.
    pub registry: Registry,
    /// A gateway's, or member's, way to the log.
    pub client: Arc<Client>,
    /// The member of the log, if it is one.
    pub member: Option<Arc<Member>>,
    /// What it answers other nodes.
    pub calls: Option<Arc<Calls>>,
    doorkeeper: Arc<OnceLock<Doorkeeper>>,
}

impl Alive {
    /// Who makes sure of those who show tokens; made when the first one is shown.
    #[must_use]
    pub fn doorkeeper(&self) -> &Doorkeeper {
        self.doorkeeper.get_or_init(|| {
            let log: Arc<Client> = Arc::clone(&self.client);
            let names = TokenIssuer {
                issuer: "holdfast".to_owned(),
                service: "holdfast".to_owned(),
            };
            Doorkeeper::new(Arc::new(NoPasswords), TokenKeys::new(log), names, 64)
        })
    }
}

/// Nobody shows a password here.
struct NoPasswords;

#[async_trait]
impl Prover for NoPasswords {
    async fn prove(
        &self,
        _: &AccountName,
        _: Zeroizing<String>,
        _: Deadline,
    ) -> Result<Option<Proved>, ProofFailure> {
        Ok(None)
    }
}

/// What others see of a node that is up.
pub struct Present {
    /// This life.
    pub life: Arc<Life>,
    /// The member of the log, if it is one.
    pub member: Option<Arc<Member>>,
    /// What it answers other nodes.
    pub calls: Option<Arc<Calls>>,
}

/// Ids that follow from the seed.
struct SeededIds(Dice);

impl IdSource for SeededIds {
    fn fresh(&self) -> u128 {
        self.0.wide()
    }
}

impl Node {
    /// A member with an empty disk, of a group that begins with these.
    #[must_use]
    pub fn member(id: u64, founders: Members) -> Arc<Node> {
        Node::new(id, Some(Disk::new(founders)))
    }

    /// A gateway.
    #[must_use]
    pub fn gateway(id: u64) -> Arc<Node> {
        Node::new(id, None)
    }

    fn new(id: u64, disk: Option<Disk>) -> Arc<Node> {
        let state = State {
            lives: 0,
            alive: None,
            disk,
            own: None,
            known_start: 0,
            clock_offset_ms: 0,
            clock_drift_per_mille: 0,
            slow_disk_ms: 0,
            apply_stalled: false,
            removed: false,
        };
        Arc::new(Node {
            id,
            state: Mutex::new(state),
        })
    }

    /// What it consists of, while it is up.
    #[must_use]
    pub fn alive(&self) -> Option<Alive> {
        self.state.lock().alive.clone()
    }

    /// Its present life, and the member and calls of that, without the rest of what it consists of.
    #[must_use]
    pub fn present(&self) -> Option<Present> {
        let state = self.state.lock();
        let alive = state.alive.as_ref()?;
        Some(Present {
            life: Arc::clone(&alive.life),
            member: alive.member.clone(),
            calls: alive.calls.clone(),
        })
    }

    /// Whether it is a member of the log.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.id < crate::world::GATEWAYS_FROM
    }

    /// Starts it, if it is down. `false` when it refuses, because others know of a later start than its disk does.
    pub fn start(&self, world: &Arc<World>) -> bool {
        let members = addresses(world);
        let state = &mut *self.state.lock();
        if state.alive.is_some() || state.removed {
            return true;
        }
        if let Some(disk) = &mut state.disk {
            if disk.start < state.known_start {
                world.census.count(Kind::Fault, "old disk is refused");
                return false;
            }
            disk.start += 1;
            state.known_start = disk.start;
        }
        state.lives += 1;
        let life = Life::begin(self.id, state.lives, self.is_member());
        let network = Arc::new(NodeNetwork {
            world: Arc::clone(world),
            life: Arc::clone(&life),
        });
        let ids = SeededIds(world.dice(&format!("ids {} {}", self.id, state.lives)));
        let ids = Arc::new(ids);
        let transport = Arc::new(NodeTransport(network));
        let client = Arc::new(Client::new(members, transport, ids.as_ref()));
        let store = NodeStore {
            world: Arc::clone(world),
            life: Arc::clone(&life),
        };
        let metadata: Arc<Client> = Arc::clone(&client);
        let registry = Registry::new(Parts {
            metadata,
            blobs: Arc::new(store),
            ids,
            settings: world.plan.settings.clone(),
        });
        let disk = state.disk.take();
        let member = disk.map(|disk| Member::start(world, &life, disk));
        let calls = member.as_ref().map(|member| Arc::new(log::calls(member)));
        world.trace.note(format_args!(
            "node {} starts for the {}. time",
            self.id, state.lives
        ));
        state.alive = Some(Alive {
            life,
            registry,
            client,
            member,
            calls,
            doorkeeper: Arc::default(),
        });
        true
    }

    /// Ends it without a word. What its disk had not synced may be lost.
    pub fn crash(&self, world: &World, dice: &Dice) {
        let state = &mut *self.state.lock();
        let Some(alive) = state.alive.take() else {
            return;
        };
        alive.life.end();
        // Those that wait for it to go on see that it has ended.
        alive.life.pause(false);
        let mut lost = (0, 0);
        state.disk = alive.member.map(|member| {
            let mut disk = member.disk();
            lost = disk.crash(dice);
            disk
        });
        if lost.0 > 0 {
            world.census.count(Kind::Fault, "unsynced writes lost");
        }
        if lost.1 > 0 {
            world.census.count(Kind::Fault, "torn log");
        }
        world.trace.note(format_args!(
            "node {} dies; of what was not synced {} entries are lost and {} are there",
            self.id, lost.0, lost.1
        ));
    }

    /// Puts the disk of some time ago into it. `false`: it is up, or has an old one already.
    pub fn swap_disk(&self, old: Disk) -> bool {
        let state = &mut *self.state.lock();
        if state.disk.is_none() || state.own.is_some() || state.removed {
            return false;
        }
        state.own = state.disk.replace(old);
        state.own.is_some()
    }

    /// Puts its own disk back into it.
    pub fn restore_disk(&self) {
        let state = &mut *self.state.lock();
        if let Some(own) = state.own.take() {
            state.disk = Some(own);
        }
    }

    /// It never starts again.
    pub fn remove(&self) {
        self.state.lock().removed = true;
    }

    /// Whether it was removed.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.state.lock().removed
    }

    /// The offset of its wall clock in milliseconds, and its drift in thousandths.
    #[must_use]
    pub fn clock(&self) -> (i64, i64) {
        let state = self.state.lock();
        (state.clock_offset_ms, state.clock_drift_per_mille)
    }

    /// Sets its wall clock.
    pub fn set_clock(&self, offset_ms: i64, drift_per_mille: i64) {
        let state = &mut *self.state.lock();
        state.clock_offset_ms = offset_ms;
        state.clock_drift_per_mille = drift_per_mille;
    }

    /// Makes its disk slow, or as fast as others.
    pub fn set_slow_disk(&self, ms: u64) {
        self.state.lock().slow_disk_ms = ms;
    }

    /// How long its disk takes to sync.
    #[must_use]
    pub fn sync_time(&self, world: &World) -> Duration {
        let slow = self.state.lock().slow_disk_ms;
        world.disks.ms(1..4) + Duration::from_millis(slow)
    }

    /// Has it apply nothing, or go on.
    pub fn stall_apply(&self, stalled: bool) {
        self.state.lock().apply_stalled = stalled;
    }

    /// Whether it applies nothing.
    #[must_use]
    pub fn is_apply_stalled(&self) -> bool {
        self.state.lock().apply_stalled
    }
}

/// Where the members are, as nodes know it when they start.
#[must_use]
pub fn addresses(world: &World) -> Vec<MemberAddress> {
    let nodes = world.all_nodes();
    let members = nodes
        .iter()
        .filter(|node| node.is_member() && !node.is_removed());
    members
        .map(|node| MemberAddress {
            node: node.id,
            address: format!("node-{}:1", node.id),
        })
        .collect()
}
