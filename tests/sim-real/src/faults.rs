//! What goes wrong: faults are chosen from the seed, each as a few actions at their times.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::network::{Delay, NodeId};

/// One thing that happens to the world at one moment.
#[derive(Debug, Clone)]
pub enum Action {
    /// The process ends, its system lives on.
    Kill(NodeId),
    /// The machine loses its power; with a seed, a part of what was not synced survives.
    Power(NodeId, Option<u64>),
    /// The machine loses its power in the middle of one of its next writes.
    CrashAfter(NodeId, u64),
    /// The machine starts, if it is off.
    Start(NodeId),
    /// Nothing comes through from one to the other.
    Wall(Vec<(NodeId, NodeId)>),
    /// It does again.
    Unwall(Vec<(NodeId, NodeId)>),
    /// Connections break.
    Cut(NodeId, NodeId),
    /// Bytes take so long.
    Slow(NodeId, NodeId, Delay),
    /// The process stands still until then.
    Pause(NodeId, u64),
    /// Each piece of work of its disk takes so many milliseconds more.
    SlowDisk(NodeId, u64),
    /// Its clock is off by so much.
    Clock(NodeId, i64),
    /// It reaches the object store, or does not.
    Bucket(NodeId, bool),
    /// Whoever leads hands over to another.
    Transfer(u64),
    /// A member takes a snapshot.
    Snapshot(NodeId),
    /// A voter is replaced by a new node.
    Replace(u64),
    /// A new node becomes a voter.
    Join,
    /// A voter leaves the group.
    Leave(u64),
    /// A copy is made of a disk whose machine is off.
    Image(NodeId),
    /// The machine starts with the copy in place of its disk.
    OldDisk(NodeId),
    /// It has its own disk again.
    TrueDisk(NodeId),
}

/// Every kind of fault, as the counts have them.
pub const KINDS: &[&str] = &[
    "kill",
    "power loss",
    "power loss, a part survives",
    "power loss in a write",
    "power loss of all",
    "pause",
    "cut off",
    "one-way wall",
    "split",
    "connections cut",
    "slow link",
    "slow disk",
    "clock jump",
    "lead handed over",
    "snapshot",
    "voter to be replaced",
    "member to join",
    "member to leave",
    "old disk",
    "old disk after a lonely start",
    "object store away",
];

/// What comes of some of them, counted when it does.
pub const OCCURRENCES: &[&str] = &[
    "voter replaced",
    "member joins",
    "member leaves",
    "old disk started",
    "old disk refused",
    "power lost in a write",
    "something lost by a power failure",
];

/// What is planned.
#[derive(Default)]
pub struct Plan {
    /// By their times, in milliseconds.
    pub due: BTreeMap<u64, Vec<Action>>,
    /// No other fault is chosen before.
    pub quiet_until: u64,
    /// How often each fault was chosen.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Plan {
    fn at(&mut self, ms: u64, action: Action) {
        self.due.entry(ms).or_default().push(action);
    }

    /// What is due.
    pub fn take(&mut self, now: u64) -> Vec<Action> {
        let later = self.due.split_off(&(now + 1));
        let due = std::mem::replace(&mut self.due, later);
        due.into_values().flatten().collect()
    }

    /// Chooses a fault for these voters.
    pub fn choose(&mut self, dice: &mut Dice, voters: &[NodeId], now: u64) {
        let Some(node) = dice.pick(voters) else {
            return;
        };
        let others: Vec<NodeId> = voters.iter().copied().filter(|it| *it != node).collect();
        let Some(other) = dice.pick(&others) else {
            return;
        };
        let until = now + dice.within(50, 1_500);
        let kind = KINDS[usize::try_from(dice.within(0, KINDS.len() as u64)).unwrap_or(0)];
        *self.counts.entry(kind).or_default() += 1;
        match kind {
            "kill" => self.with_start(now, Action::Kill(node), node, until),
            "power loss" => self.with_start(now, Action::Power(node, None), node, until),
            "power loss, a part survives" => {
                self.with_start(now, Action::Power(node, Some(dice.draw())), node, until);
            }
            "power loss in a write" => {
                let writes = dice.within(0, 60);
                self.with_start(now, Action::CrashAfter(node, writes), node, until);
            }
            "power loss of all" => self.all_lose_power(dice, voters, now),
            "pause" => self.at(now, Action::Pause(node, until)),
            "cut off" => self.walls(now, until, pairs(&[node], &others, true)),
            "one-way wall" => {
                let way = if dice.once_in(2) {
                    (node, other)
                } else {
                    (other, node)
                };
                let all = dice.once_in(2);
                let pairs = if all {
                    pairs(&[node], &others, false)
                } else {
                    vec![way]
                };
                self.walls(now, until, pairs);
            }
            "split" => self.walls(now, until, pairs(&[node, other], &others, true)),
            "connections cut" => self.at(now, Action::Cut(node, other)),
            "slow link" => {
                let min = dice.within(5, 150);
                let slow = Delay {
                    min,
                    max: min + dice.within(1, 100),
                };
                let near = crate::network::NEAR;
                for (from, to) in [(node, other), (other, node)] {
                    self.at(now, Action::Slow(from, to, slow));
                    self.at(until, Action::Slow(from, to, near));
                }
            }
            "slow disk" => {
                self.at(now, Action::SlowDisk(node, dice.within(10, 250)));
                self.at(until, Action::SlowDisk(node, 0));
            }
            "clock jump" => self.at(now, Action::Clock(node, jump(dice))),
            "lead handed over" => self.at(now, Action::Transfer(dice.draw())),
            "snapshot" => self.at(now, Action::Snapshot(node)),
            "member to join" => self.at(now, Action::Join),
            "member to leave" => self.at(now, Action::Leave(dice.draw())),
            "voter to be replaced" => self.at(now, Action::Replace(dice.draw())),
            "old disk" => self.old_disk(dice, node, other, &others, now),
            "old disk after a lonely start" => self.lonely_start(dice, node, &others, now),
            _ => {
                self.at(now, Action::Bucket(node, false));
                self.at(until, Action::Bucket(node, true));
            }
        }
    }

    fn with_start(&mut self, now: u64, action: Action, node: NodeId, until: u64) {
        self.at(now, action);
        self.at(now + 1, Action::Image(node));
        self.at(until, Action::Start(node));
    }

    fn walls(&mut self, now: u64, until: u64, pairs: Vec<(NodeId, NodeId)>) {
        self.at(now, Action::Wall(pairs.clone()));
        self.at(until, Action::Unwall(pairs));
    }

    fn all_lose_power(&mut self, dice: &mut Dice, voters: &[NodeId], now: u64) {
        let survives = dice.once_in(2).then(|| dice.draw());
        for node in voters {
            let at = now
                + if dice.once_in(3) {
                    dice.within(0, 20)
                } else {
                    0
                };
            self.at(at, Action::Power(*node, survives));
            self.at(now + dice.within(30, 600), Action::Start(*node));
        }
    }

    /// A disk of some time ago, when those who know better are away: one other is cut off and does not hear of the last
    /// start, the rest goes down with the store, and the two could be a majority.
    fn old_disk(
        &mut self,
        dice: &mut Dice,
        node: NodeId,
        ignorant: NodeId,
        others: &[NodeId],
        now: u64,
    ) {
        let knowing: Vec<NodeId> = others
            .iter()
            .copied()
            .filter(|it| *it != ignorant)
            .collect();
        let cut = pairs(&[ignorant], &[&knowing[..], &[node]].concat(), true);
        self.at(now, Action::Wall(cut.clone()));
        self.at(now + 10, Action::Kill(node));
        self.at(now + 11, Action::Image(node));
        self.at(now + 12, Action::Start(node));
        let back = now + dice.within(400, 900);
        // All that know of it go at once, or none does.
        let alone = dice.once_in(2);
        for knows in knowing.iter().filter(|_| alone) {
            self.at(back, Action::Power(*knows, None));
        }
        self.at(back, Action::Bucket(node, dice.once_in(4)));
        self.at(back, Action::OldDisk(node));
        self.at(back, Action::Unwall(cut));
        let end = back + dice.within(500, 1_500);
        self.at(end, Action::TrueDisk(node));
        self.at(end, Action::Bucket(node, true));
        for knows in knowing {
            self.at(end + 50, Action::Start(knows));
        }
        self.quiet_until = end + 100;
    }

    /// A start of which only the store heard, since nobody else was there; soon after the others are back its disk is an old one, and
    /// the store is away. Those who worked with it know.
    fn lonely_start(&mut self, dice: &mut Dice, node: NodeId, others: &[NodeId], now: u64) {
        for id in others {
            self.at(now, Action::Kill(*id));
        }
        self.at(now + 1, Action::Kill(node));
        self.at(now + 2, Action::Image(node));
        self.at(now + 3, Action::Start(node));
        let back = now + dice.within(150, 400);
        for id in others {
            self.at(back, Action::Start(*id));
        }
        let swapped = back + dice.within(50, 1_800);
        self.at(swapped, Action::Bucket(node, false));
        self.at(swapped, Action::OldDisk(node));
        let end = swapped + dice.within(500, 1_500);
        self.at(end, Action::TrueDisk(node));
        self.at(end, Action::Bucket(node, true));
        self.quiet_until = end + 100;
    }
}

/// Those of one side and those of the other, who are not of the first; both ways or one.
fn pairs(some: &[NodeId], all: &[NodeId], both_ways: bool) -> Vec<(NodeId, NodeId)> {
    let mut pairs = Vec::new();
    for from in some {
        for to in all.iter().filter(|to| !some.contains(to)) {
            pairs.push((*from, *to));
            if both_ways {
                pairs.push((*to, *from));
            }
        }
    }
    pairs
}

fn jump(dice: &mut Dice) -> i64 {
    let ms = i64::try_from(dice.within(1_000, 4_000_000)).unwrap_or(0);
    if dice.once_in(2) { ms } else { -ms }
}
