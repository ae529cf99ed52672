//! The kinds of faults, and how each is done and undone.
//!
//! A covered fault hits a minority of members, or gateways, and never two things at once: it is undone, and the cluster in
//! order, before the next. An outage is more than that.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use harness::cluster::Role;
use harness::links::Badness;
use harness::{Cluster, holdfast};
use holdfast_load::chaos::{Class, Timeline};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::preloaded;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9` of the leader.
    KillLeader,
    /// Of another member.
    KillFollower,
    /// Of a gateway.
    KillGateway,
    /// SIGSTOP of the leader.
    PauseLeader,
    /// Of another member.
    PauseFollower,
    /// SIGTERM of a node, and a new start.
    Restart,
    /// A member is cut off from all other nodes.
    Partition,
    /// What a member sends is lost, and what it is sent comes.
    OneWay,
    /// Everything between a member and the others is late.
    SlowLinks,
    /// Some of it is lost, and sent again.
    LossyLinks,
    /// A member's disk has no room.
    FullDisk,
    /// A member's disk takes long to write.
    SlowDisk,
    /// A member's clock is set.
    ClockStep,
    /// A gateway leaves and another comes.
    GatewayChange,
    /// A member comes and another leaves.
    MemberChange,
    /// Every node is stopped and started with another file of the program.
    RollingUpgrade,
    /// The object store does not run.
    StoreGone,
    /// Two of three members do not run.
    QuorumLost,
}

use Kind::{
    ClockStep, FullDisk, GatewayChange, KillFollower, KillGateway, KillLeader, LossyLinks,
    MemberChange, OneWay, Partition, PauseFollower, PauseLeader, QuorumLost, Restart,
    RollingUpgrade, SlowDisk, SlowLinks, StoreGone,
};

impl Kind {
    /// Those that nobody may notice.
    pub const COVERED: [Kind; 16] = [
        KillLeader,
        KillFollower,
        KillGateway,
        PauseLeader,
        PauseFollower,
        Restart,
        Partition,
        OneWay,
        SlowLinks,
        LossyLinks,
        FullDisk,
        SlowDisk,
        ClockStep,
        GatewayChange,
        MemberChange,
        RollingUpgrade,
    ];

    /// Those in which requests may be refused.
    pub const OUTAGES: [Kind; 2] = [StoreGone, QuorumLost];

    /// As the report has it.
    pub fn name(self) -> &'static str {
        match self {
            KillLeader => "kill the leader",
            KillFollower => "kill a follower",
            KillGateway => "kill a gateway",
            PauseLeader => "pause the leader",
            PauseFollower => "pause a follower",
            Restart => "restart",
            Partition => "partition",
            OneWay => "one-way partition",
            SlowLinks => "slow links",
            LossyLinks => "lossy links",
            FullDisk => "full disk",
            SlowDisk => "slow disk",
            ClockStep => "clock step",
            GatewayChange => "gateway change",
            MemberChange => "member change",
            RollingUpgrade => "rolling upgrade",
            StoreGone => "store gone",
            QuorumLost => "quorum lost",
        }
    }

    /// Whether it takes so long that short runs leave it to other suites.
    pub fn is_long(self) -> bool {
        matches!(self, MemberChange | GatewayChange | RollingUpgrade)
    }

    fn class(self) -> Class {
        match Self::OUTAGES.contains(&self) {
            true => Class::Outage,
            false => Class::Covered,
        }
    }
}

/// Does faults to a cluster, one after the other.
pub struct Faults {
    /// The cluster.
    pub cluster: Cluster,
    timeline: Timeline,
    random: SmallRng,
}

/// Which fault is under way, and whether it was told that it is over.
struct Told<'a> {
    timeline: &'a Timeline,
    number: usize,
}

impl Told<'_> {
    fn over(self) {
        self.timeline.end(self.number);
    }
}

impl Faults {
    /// The same seed makes the same choices.
    pub fn new(cluster: Cluster, timeline: Timeline, seed: u64) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        Self {
            cluster,
            timeline,
            random,
        }
    }

    /// Does one and undoes it, and waits until the cluster is in order.
    pub fn carry_out(&mut self, kind: Kind) -> anyhow::Result<()> {
        let place = self.victim(kind)?;
        let what = match kind {
            RollingUpgrade => "every node".to_owned(),
            StoreGone => "Garage".to_owned(),
            QuorumLost => "two members".to_owned(),
            _ => format!("node {place}"),
        };
        let timeline = self.timeline.clone();
        let number = timeline.begin(kind.name(), kind.class(), &what);
        println!(
            "{:>7.1} s  {} ({what})",
            timeline.now_us() as f64 / 1e6,
            kind.name()
        );
        let told = Told {
            timeline: &timeline,
            number,
        };
        self.done(kind, place, told)
            .and_then(|()| self.cluster.wait_in_order())
            .with_context(|| format!("{} of {what}", kind.name()))
    }

    fn victim(&mut self, kind: Kind) -> anyhow::Result<usize> {
        let any = |random: &mut SmallRng, places: Vec<usize>| {
            let chosen = random.random_range(0..places.len().max(1));
            places.get(chosen).copied().context("no such node runs")
        };
        match kind {
            KillLeader | PauseLeader | QuorumLost => self.cluster.leader(),
            KillFollower | PauseFollower | MemberChange => self.cluster.follower(),
            KillGateway | GatewayChange => {
                let gateways = self.cluster.running(Role::Gateway);
                any(&mut self.random, gateways)
            }
            _ => {
                let members = self.cluster.running(Role::Member);
                any(&mut self.random, members)
            }
        }
    }

    /// Some seconds between these, by the seed.
    fn hold(&mut self, from_ms: u64, to_ms: u64) {
        sleep(Duration::from_millis(
            self.random.random_range(from_ms..to_ms),
        ));
    }

    fn done(&mut self, kind: Kind, place: usize, told: Told<'_>) -> anyhow::Result<()> {
        match kind {
            KillLeader | KillFollower | KillGateway => {
                self.cluster.kill(place);
                self.hold(500, 4_000);
                self.cluster.restart(place)?;
            }
            PauseLeader | PauseFollower => {
                self.cluster.node(place).pause()?;
                self.hold(1_000, 6_000);
                self.cluster.node(place).resume()?;
            }
            Restart => {
                self.cluster.stop(place)?;
                self.cluster.restart(place)?;
            }
            Partition | OneWay | SlowLinks | LossyLinks => self.links(kind, place)?,
            FullDisk => {
                self.cluster.disk(place)?.fill(0)?;
                self.hold(3_000, 7_000);
                self.cluster.disk(place)?.empty()?;
            }
            SlowDisk => {
                let slowness = self.random.random_range(30..150);
                preloaded::set_slowness(&self.cluster, place, slowness)?;
                self.hold(3_000, 7_000);
                preloaded::set_slowness(&self.cluster, place, 0)?;
            }
            ClockStep => {
                let off = self.random.random_range(-3600..3600);
                preloaded::set_clock(&self.cluster, place, off)?;
                self.hold(3_000, 7_000);
                preloaded::set_clock(&self.cluster, place, 0)?;
            }
            GatewayChange => self.change(Role::Gateway, place)?,
            MemberChange => self.change(Role::Member, place)?,
            RollingUpgrade => self.upgrade()?,
            StoreGone => {
                self.cluster.garage().kill();
                self.hold(4_000, 18_000);
                self.cluster.garage().restart()?;
            }
            QuorumLost => return self.lose_quorum(place, told),
        }
        told.over();
        Ok(())
    }

    fn links(&mut self, kind: Kind, place: usize) -> anyhow::Result<()> {
        let others: Vec<usize> = [Role::Member, Role::Gateway]
            .into_iter()
            .flat_map(|role| self.cluster.running(role))
            .filter(|other| *other != place)
            .collect();
        let badness = match kind {
            SlowLinks => Badness {
                late_by: Duration::from_millis(self.random.random_range(5..40)),
                lost_percent: 0,
            },
            _ => Badness {
                late_by: Duration::from_millis(1),
                lost_percent: self.random.random_range(1..6),
            },
        };
        let links = self.cluster.links()?;
        for other in others {
            match kind {
                Partition | OneWay => {
                    links.cut(place, other);
                    if kind == Partition {
                        links.cut(other, place);
                    }
                }
                _ => {
                    links.spoil(place, other, badness);
                    links.spoil(other, place, badness);
                }
            }
        }
        self.hold(2_000, 8_000);
        self.cluster.links()?.heal();
        Ok(())
    }

    /// Another node comes, and this one leaves.
    fn change(&mut self, role: Role, place: usize) -> anyhow::Result<()> {
        self.cluster.add(role)?;
        let data = self.cluster.node(place).data();
        self.cluster.remove(place)?;
        // Its disk is the next one's.
        std::fs::remove_dir_all(data)?;
        Ok(())
    }

    fn upgrade(&mut self) -> anyhow::Result<()> {
        let program = holdfast::program()?;
        let leader = self.cluster.leader()?;
        let mut places = self.cluster.running(Role::Gateway);
        places.extend(self.cluster.running(Role::Member));
        places.sort_by_key(|place| *place == leader);
        let file = self
            .cluster
            .path(&format!("holdfast-{}", self.timeline.now_us()));
        std::fs::hard_link(&program, &file)
            .or_else(|_| std::fs::copy(&program, &file).map(drop))?;
        for place in places {
            self.cluster.stop(place)?;
            self.cluster.node(place).use_program(&file);
            self.cluster.restart(place)?;
            self.cluster.wait_in_order()?;
        }
        Ok(())
    }

    fn lose_quorum(&mut self, leader: usize, told: Told<'_>) -> anyhow::Result<()> {
        let other = self.cluster.follower()?;
        let environment = self.cluster.environment().to_vec();
        for place in [leader, other] {
            self.cluster.kill(place);
        }
        self.hold(4_000, 16_000);
        for place in [leader, other] {
            self.cluster.node(place).start_again(&environment)?;
        }
        // Their processes run: what comes now is the time to recover.
        told.over();
        Ok(())
    }
}
