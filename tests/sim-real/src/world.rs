//! The world: members, a network between them, one clock. A step is a millisecond in which what is due arrives, each
//! member does what it can, and everything that must always hold is looked at.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metadata_raft::Member;
use powerloss::Survives;

use crate::clients::Client;
use crate::dice::Dice;
use crate::disk_copy::copy;
use crate::faults::Action;
use crate::invariants::p6::States;
use crate::invariants::p7::UNDER_WAY_BYTES_MAX;
use crate::invariants::time::LogTimes;
use crate::ledger::Ledger;
use crate::machine;
use crate::membership::Occurred;
use crate::network::{Network, NodeId};
use crate::node::{End, Node};
use crate::trace::Trace;
use crate::witness::Bucket;

thread_local! {
    static DISK_DICE: RefCell<Dice> = const { RefCell::new(Dice::new(0)) };
    static SLOW_MS: Cell<u64> = const { Cell::new(0) };
}

/// Whose disk it is that works now, and how slow it is.
pub(crate) fn set_disk(_node: NodeId, slow_ms: u64) {
    SLOW_MS.set(slow_ms);
}

/// A disk that is quick, mostly.
fn disk_pause() -> Duration {
    let ms = DISK_DICE.with_borrow_mut(|dice| {
        if dice.once_in(100) {
            dice.within(5, 60)
        } else {
            dice.within(0, 3)
        }
    });
    Duration::from_millis(ms + SLOW_MS.get())
}

/// See the module.
pub struct World {
    /// The machines, by their numbers.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Between them.
    pub network: Network,
    /// What happened.
    pub trace: Arc<Trace>,
    /// What the clients were told.
    pub ledger: Arc<Ledger>,
    /// How states were compared.
    pub states: States,
    bucket: Arc<Bucket>,
    times: LogTimes,
    seed: u64,
    dice: Dice,
    now: u64,
    folder: PathBuf,
    pub(crate) members_at_first: u64,
    /// The starts that have their clients.
    served: BTreeSet<(NodeId, u64)>,
    clients_stop: Arc<AtomicBool>,
    /// Copies of disks, and after how many starts they were made.
    images: BTreeMap<NodeId, u64>,
    /// Machines that run with a copy.
    impostors: BTreeSet<NodeId>,
    /// A machine of which two disks were used: either of them may be refused for ever, and people have to replace it.
    disputed: Option<NodeId>,
    /// Whether it was refused.
    is_lost: bool,
    wrong_clock: Option<NodeId>,
    most_under_way: usize,
    pub(crate) is_changing: Arc<AtomicBool>,
    clients_each: u64,
    /// What happened that was planned, as often as it did.
    pub(crate) occurred: Occurred,
    /// The most of what the members keep, by its name, with its bound.
    pub marks: BTreeMap<&'static str, (usize, usize)>,
}

impl World {
    /// A world of so many members that are off.
    #[must_use]
    pub fn new(seed: u64, members: u64, folder: &Path, trace: Arc<Trace>) -> World {
        machine::begin(seed);
        metadata_raft::simulation::begin(disk_pause);
        DISK_DICE.set(Dice::of(seed, "disk"));
        let network = Network::new(seed, Arc::clone(&trace));
        let bucket: Arc<Bucket> = Arc::default();
        let mut dice = Dice::of(seed, "world");
        let mut world = World {
            nodes: BTreeMap::new(),
            network,
            ledger: Arc::new(Ledger::new(Arc::clone(&trace))),
            trace,
            states: States::default(),
            bucket,
            times: LogTimes::default(),
            seed,
            clients_each: dice.within(1, 4),
            dice,
            now: 0,
            folder: folder.to_owned(),
            members_at_first: members,
            served: BTreeSet::new(),
            clients_stop: Arc::default(),
            images: BTreeMap::new(),
            impostors: BTreeSet::new(),
            disputed: None,
            is_lost: false,
            wrong_clock: None,
            most_under_way: 0,
            is_changing: Arc::default(),
            occurred: Occurred::default(),
            marks: BTreeMap::new(),
        };
        for id in 1..=members {
            world.add_node(id);
        }
        world
    }

    pub(crate) fn add_node(&mut self, id: NodeId) {
        let bucket = Arc::clone(&self.bucket);
        let node = Node::new(id, &self.folder, self.network.clone(), bucket);
        self.nodes.insert(id, node);
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The choices of the world.
    pub fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// One millisecond.
    pub fn step(&mut self) {
        self.now += 1;
        machine::set_now_ms(self.now);
        self.network.deliver();
        let order: Vec<NodeId> = self.nodes.keys().copied().collect();
        let first = usize::try_from(self.dice.within(0, order.len() as u64)).unwrap_or(0);
        for at in 0..order.len() {
            if let Some(node) = self.nodes.get_mut(&order[(first + at) % order.len()]) {
                node.poll();
            }
        }
        for id in order {
            self.look_at(id);
        }
        self.most_under_way = self.most_under_way.max(self.network.bytes_under_way());
        if self.most_under_way > UNDER_WAY_BYTES_MAX {
            let bytes = self.most_under_way;
            self.ledger
                .breaks(format!("P7: {bytes} bytes are under way"));
        }
    }

    /// What must hold of one member now.
    fn look_at(&mut self, id: NodeId) {
        let node = &self.nodes[&id];
        if node.runs() && powerloss::has_crashed(node.disk()) {
            let survives = Survives::Some(self.dice.draw());
            self.occurred.count("power lost in a write");
            self.power(id, survives);
            return;
        }
        match node.ended() {
            Some(End::OldDisk) if self.impostors.contains(&id) => {
                self.trace
                    .line(format!("node {id} is refused: its disk is old"));
                self.occurred.count("old disk refused");
                self.kill(id);
                return;
            }
            Some(End::OldDisk) if self.disputed == Some(id) => {
                self.trace
                    .line(format!("node {id} is lost: another start is known"));
                self.is_lost = true;
                self.kill(id);
                return;
            }
            Some(end) => {
                self.ledger
                    .breaks(format!("P4: node {id} ended by itself: {end:?}"));
                self.kill(id);
                return;
            }
            None => {}
        }
        let Some(member) = node.member() else {
            return;
        };
        self.look_at_marks(id, &member);
        self.look_at_state(id, &member);
        if self.nodes[&id].admitted().is_some() {
            self.welcome(id, &member);
        }
    }

    /// P7: what a member keeps for others has a bound.
    fn look_at_marks(&mut self, id: NodeId, member: &Member) {
        for (name, size, bound) in member.marks() {
            let mark = self.marks.entry(name).or_insert((0, bound));
            mark.0 = mark.0.max(size);
            if size > bound {
                let what = format!("P7: node {id} has {size} {name}, of at most {bound}");
                self.ledger.breaks(what);
            }
        }
    }

    fn look_at_state(&mut self, id: NodeId, member: &Member) {
        if !self.states.is_due(id, member.applied_index(), self.now) {
            return;
        }
        if let Some(state) = member.state_hash()
            && let Err(broken) = self.states.note(id, state)
        {
            self.ledger.breaks(broken);
        }
        let time = member.last_view().map_or(0, |view| view.time.0);
        if let Err(broken) = self.times.note(id, time, self.now) {
            self.ledger.breaks(broken);
        }
    }

    /// A member takes part: its clients begin.
    fn welcome(&mut self, id: NodeId, member: &Arc<Member>) {
        if self.impostors.contains(&id) {
            self.ledger
                .breaks(format!("rule 5.9: node {id} takes part with an old disk"));
            self.kill(id);
            return;
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.admitted_start = node.starts;
        if !self.served.insert((id, node.starts)) {
            return;
        }
        self.trace.line(format!("node {id} takes part"));
        for number in 0..self.clients_each {
            let name = format!("client {id}.{}.{number}", node.starts);
            let client = Client {
                dice: Dice::of(self.seed, &name),
                name,
                member: Arc::clone(member),
                ledger: Arc::clone(&self.ledger),
                disk: node.disk().to_owned(),
                pause_max: 80,
                saw: None,
                stop: Arc::clone(&self.clients_stop),
            };
            node.spawn(client.run());
        }
    }

    /// Steps until something is so.
    ///
    /// # Errors
    /// When it is not so after `ms` milliseconds.
    pub fn until(
        &mut self,
        ms: u64,
        what: &str,
        mut is_so: impl FnMut(&World) -> bool,
    ) -> Result<(), String> {
        for _ in 0..ms {
            if is_so(self) {
                return Ok(());
            }
            self.step();
        }
        Err(format!("not within {ms} ms: {what}"))
    }

    /// Who leads, as far as it knows, in the latest term.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let members = self.nodes.values().filter_map(|node| {
            let member = node.admitted()?;
            let group = member.group();
            member.leads().then_some((group.term, node.id))
        });
        members.max().map(|(_, id)| id)
    }

    /// The voters and learners, as the latest leader sees them.
    #[must_use]
    pub fn group(&self) -> Option<BTreeMap<NodeId, bool>> {
        let view = self.nodes[&self.leader()?].member()?.group();
        Some(
            view.nodes
                .iter()
                .map(|(id, peer)| (*id, peer.votes))
                .collect(),
        )
    }

    /// Starts everybody and makes all of them voters.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn form(&mut self) -> Result<(), String> {
        let all: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in all {
            self.start(id);
        }
        self.until(10_000, "everybody takes part", |world| {
            world.nodes.values().all(|node| node.admitted().is_some())
        })?;
        let voters: BTreeSet<NodeId> = self.nodes.keys().copied().collect();
        let count = voters.len();
        self.change_group("group formed", 1, voters.clone(), voters);
        self.until(30_000, "all vote", |world| {
            let group = world.group().unwrap_or_default();
            group.len() == count && group.values().all(|votes| *votes)
        })
    }

    /// Lets something happen.
    pub fn act(&mut self, action: Action) {
        self.trace.line(format!("{action:?}"));
        match action {
            Action::Kill(id) => self.kill(id),
            Action::Power(id, None) => self.power(id, Survives::Nothing),
            Action::Power(id, Some(seed)) => self.power(id, Survives::Some(seed)),
            Action::CrashAfter(id, changes) => {
                if self.nodes[&id].runs() {
                    powerloss::crash_after(self.nodes[&id].disk(), changes);
                }
            }
            Action::Start(id) => self.start(id),
            Action::Wall(pairs) => self.walls(&pairs, true),
            Action::Unwall(pairs) => self.walls(&pairs, false),
            Action::Cut(one, other) => self.network.cut(one, other),
            Action::Slow(from, to, delay) => self.network.slow(from, to, delay),
            Action::Pause(id, until) => self.with(id, |node| node.pause_until(until)),
            Action::SlowDisk(id, ms) => self.with(id, |node| node.slow_disk(ms)),
            Action::Clock(id, off) => self.clock(id, off),
            Action::Bucket(id, reaches) => self.bucket.reach(id, reaches),
            Action::Transfer(number) => self.transfer(number),
            Action::Snapshot(id) => {
                if let Some(member) = self.nodes[&id].admitted() {
                    self.nodes[&id].spawn(async move { drop(member.snapshot().await) });
                }
            }
            Action::Replace(number) => self.replace(number),
            Action::Join => self.join(),
            Action::Leave(number) => self.leave(number),
            Action::Image(id) => self.image(id),
            Action::OldDisk(id) => self.old_disk(id),
            Action::TrueDisk(id) => self.true_disk(id),
        }
    }

    fn with(&mut self, id: NodeId, act: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(&id) {
            act(node);
        }
    }

    fn kill(&mut self, id: NodeId) {
        self.with(id, |node| node.kill(false));
    }

    fn power(&mut self, id: NodeId, survives: Survives) {
        let lost = self
            .nodes
            .get_mut(&id)
            .map(|node| node.lose_power(survives));
        match lost {
            Some(Ok(lost)) => {
                if lost.writes + lost.names > 0 {
                    self.occurred.count("something lost by a power failure");
                }
                self.trace.line(format!("node {id} lost {lost:?}"));
            }
            Some(Err(error)) => self.ledger.breaks(format!("the disk of {id}: {error}")),
            None => {}
        }
    }

    pub(crate) fn start(&mut self, id: NodeId) {
        if self.lost() == Some(id) {
            return;
        }
        self.times.forget(id);
        let known = self.voters();
        self.with(id, |node| {
            if !node.runs() {
                node.start(known);
            }
        });
    }

    /// The machine that has to be replaced by people.
    #[must_use]
    pub fn lost(&self) -> Option<NodeId> {
        self.disputed.filter(|_| self.is_lost)
    }

    fn walls(&mut self, pairs: &[(NodeId, NodeId)], are_there: bool) {
        for (from, to) in pairs {
            self.network.wall(*from, *to, are_there);
        }
    }

    /// One clock is wrong in a run: of more, nobody could tell which. What was read of a clock counts for a while.
    fn clock(&mut self, id: NodeId, off: i64) {
        let id = *self.wrong_clock.get_or_insert(id);
        self.nodes[&id].clock().set_off_ms(off);
    }

    fn place(&self, id: NodeId, what: &str) -> PathBuf {
        self.folder.join(format!("{id}.{what}"))
    }

    fn image(&mut self, id: NodeId) {
        let node = &self.nodes[&id];
        if node.runs() || self.impostors.contains(&id) {
            return;
        }
        let (disk, image) = (node.disk().to_owned(), self.place(id, "image"));
        self.images.insert(id, node.admitted_start);
        powerloss::looking_away(|| copy(&disk, &image)).expect("a disk of a run can be copied");
    }

    fn old_disk(&mut self, id: NodeId) {
        let node = &self.nodes[&id];
        let is_older = self
            .images
            .get(&id)
            .is_some_and(|start| *start > 0 && *start < node.admitted_start);
        // Of a start that nobody but the store heard of, only the store can tell; but such a one has decided nothing.
        let counts = node.is_heard_of() || node.has_spoken();
        if !is_older || self.disputed.is_some() || !counts {
            return;
        }
        self.disputed = Some(id);
        self.power(id, Survives::Nothing);
        let (disk, kept) = (self.nodes[&id].disk().to_owned(), self.place(id, "kept"));
        let image = self.place(id, "image");
        let swapped = powerloss::looking_away(|| {
            copy(&disk, &kept)?;
            copy(&image, &disk)
        });
        swapped.expect("a disk of a run can be copied");
        self.trace.line(format!("node {id} has an old disk"));
        self.occurred.count("old disk started");
        self.impostors.insert(id);
        self.start(id);
    }

    fn true_disk(&mut self, id: NodeId) {
        if !self.impostors.remove(&id) {
            self.start(id);
            return;
        }
        self.power(id, Survives::Nothing);
        let (disk, kept) = (self.nodes[&id].disk().to_owned(), self.place(id, "kept"));
        powerloss::looking_away(|| copy(&kept, &disk)).expect("a disk of a run can be copied");
        self.start(id);
    }

    /// Ends every fault, and starts who belongs to the group.
    pub fn heal(&mut self) {
        self.network.heal();
        let impostors: Vec<NodeId> = self.impostors.iter().copied().collect();
        for id in impostors {
            self.true_disk(id);
        }
        let all: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in all {
            self.bucket.reach(id, true);
            self.with(id, |node| {
                node.clock().set_off_ms(0);
                node.slow_disk(0);
                node.pause_until(0);
            });
            powerloss::steady(self.nodes[&id].disk());
            self.start(id);
        }
    }

    /// No client begins anything more.
    pub fn stop_clients(&self) {
        self.clients_stop.store(true, Ordering::Relaxed);
    }

    /// How the members stand, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        let members = self.nodes.values().filter_map(|node| {
            let member = node.member()?;
            let (view, applied) = (member.group(), member.applied_index());
            let (id, voters) = (node.id, view.nodes.keys());
            let (term, leader, log) = (view.term, view.leader, view.last_log);
            Some(format!(
                "node {id}: term {term}, led by {leader:?}, log to {log:?}, applied {applied}, group {voters:?}"
            ))
        });
        members.collect::<Vec<_>>().join("; ")
    }

    /// How often the log's time was looked at.
    #[must_use]
    pub fn times_looked_at(&self) -> u64 {
        self.times.looked_at
    }

    /// The most bytes that were under way.
    #[must_use]
    pub fn most_under_way(&self) -> usize {
        self.most_under_way
    }
}
