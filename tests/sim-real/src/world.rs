//! The world: members, a network between them, one clock. A step is a millisecond in which what is due arrives and each
//! member does what it can.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ports::Deadline;

use crate::dice::Dice;
use crate::machine;
use crate::network::{Network, NodeId};
use crate::node::Node;
use crate::trace::Trace;

/// See the module.
pub struct World {
    /// The members, by their numbers.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Between them.
    pub network: Network,
    /// What happened.
    pub trace: Arc<Trace>,
    dice: Dice,
    now: u64,
}

/// A disk that is quick, mostly.
fn disk_pause() -> Duration {
    thread_local! {
        static DICE: std::cell::RefCell<Option<Dice>> = const { std::cell::RefCell::new(None) };
    }
    DICE.with_borrow_mut(|dice| {
        let dice = dice.get_or_insert_with(|| {
            let mut seed = [0; 8];
            seed.copy_from_slice(
                &std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1_u64)
                    .to_le_bytes(),
            );
            Dice::of(u64::from_le_bytes(seed), "disk")
        });
        Duration::from_millis(if dice.once_in(100) {
            dice.within(5, 60)
        } else {
            dice.within(0, 3)
        })
    })
}

impl World {
    /// A world of so many members that are off.
    #[must_use]
    pub fn new(seed: u64, members: u64, folder: &Path, trace: Arc<Trace>) -> World {
        machine::begin(seed);
        metadata_raft::simulation::begin(disk_pause);
        let network = Network::new(seed, Arc::clone(&trace));
        let nodes = (1..=members).map(|id| {
            let node = Node::new(id, folder.join(id.to_string()), network.clone());
            (id, node)
        });
        World {
            nodes: nodes.collect(),
            network,
            trace,
            dice: Dice::of(seed, "world"),
            now: 0,
        }
    }

    /// One millisecond.
    pub fn step(&mut self) {
        self.now += 1;
        machine::set_now_ms(self.now);
        self.network.deliver();
        let order: Vec<NodeId> = self.nodes.keys().copied().collect();
        let first = usize::try_from(self.dice.within(0, order.len() as u64)).unwrap_or(0);
        for at in 0..order.len() {
            self.nodes[&order[(first + at) % order.len()]].poll();
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
            let member = node.member()?;
            let group = member.group();
            member.leads().then_some((group.term, node.id))
        });
        members.max().map(|(_, id)| id)
    }

    /// Starts everybody and makes all of them voters.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn form(&mut self) -> Result<(), String> {
        for node in self.nodes.values_mut() {
            node.start();
        }
        self.until(10_000, "everybody is open", |world| {
            world.nodes.values().all(|node| node.member().is_some())
        })?;
        let all: BTreeSet<NodeId> = self.nodes.keys().copied().collect();
        let first = self.nodes[&1].member().ok_or("node 1 is not open")?;
        let voters = all.clone();
        self.nodes[&1].spawn(async move {
            let soon = Deadline::now() + Duration::from_secs(20);
            for node in voters.iter().filter(|node| **node != 1) {
                drop(
                    first
                        .add_learner(*node, &format!("node-{node}"), soon)
                        .await,
                );
            }
            drop(first.set_voters(voters, soon).await);
        });
        self.until(30_000, "all vote", |world| {
            let view = world.nodes[&1].member().map(|member| member.group());
            view.is_some_and(|view| {
                view.nodes.len() == all.len() && view.nodes.values().all(|peer| peer.votes)
            })
        })
    }
}
