//! How long a node that has just been started takes until it serves as a gateway, or votes as a member, in a cluster that
//! does nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use harness::Cluster;
use harness::cluster::Role;

/// Where the new node comes, each time: behind the three members.
const PLACE: usize = 3;

/// A role, how long its nodes took, and how long they may.
pub struct Arrival {
    pub role: Role,
    pub took: Vec<Duration>,
}

impl Arrival {
    /// What was waited for.
    pub fn name(&self) -> &'static str {
        match self.role {
            Role::Gateway => "a new gateway serves",
            Role::Member => "a new member votes",
        }
    }

    /// How long each may take.
    pub fn wanted(&self) -> Duration {
        match self.role {
            Role::Gateway => Duration::from_secs(2),
            Role::Member => Duration::from_secs(5),
        }
    }

    /// The shortest and the longest.
    pub fn range(&self) -> (Duration, Duration) {
        let shortest = self.took.iter().min().copied().unwrap_or_default();
        (
            shortest,
            self.took.iter().max().copied().unwrap_or_default(),
        )
    }

    /// Whether each was in time.
    pub fn is_reached(&self) -> bool {
        self.range().1 <= self.wanted()
    }

    /// For people at the terminal.
    pub fn line(&self) -> String {
        let (shortest, longest) = self.range();
        let verdict = if self.is_reached() {
            "reached"
        } else {
            "MISSED"
        };
        format!(
            "{}: {shortest:.2?} to {longest:.2?}: {verdict}",
            self.name()
        )
    }
}

/// Has so many nodes of the role come, one after the other, and go again.
pub fn measure(binaries: &Path, role: Role, times: usize) -> anyhow::Result<Arrival> {
    let program = binaries.join("holdfast");
    let cluster = Cluster::with().members(PLACE).places(PLACE + 1);
    let mut cluster = cluster.program(program).start()?;
    let mut took = Vec::new();
    for _ in 0..times {
        let token = cluster.token(role)?;
        let began = Instant::now();
        cluster.join(PLACE, role, &token)?;
        // Ready, and a voter if it is a member.
        cluster.wait_in_order()?;
        took.push(began.elapsed());
        cluster.remove(PLACE)?;
        cluster.wait_in_order()?;
    }
    cluster.passed();
    Ok(Arrival { role, took })
}
