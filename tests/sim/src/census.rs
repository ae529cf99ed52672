//! What occurred in a run and how often: faults, commands, what clients did, and checks of invariants. A simulation in which
//! something does not occur proves nothing about it, so a long run fails when any of these is rare.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Something was made to fail.
    Fault,
    /// A command was applied.
    Command,
    /// A client was answered.
    Client,
    /// An invariant was checked.
    Invariant,
    /// A queue or buffer of the product noted how much it held.
    Mark,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::Fault,
        Kind::Command,
        Kind::Client,
        Kind::Invariant,
        Kind::Mark,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Kind::Fault => "fault",
            Kind::Command => "command",
            Kind::Client => "client",
            Kind::Invariant => "invariant",
            Kind::Mark => "queue",
        }
    }
}

/// By kind and place in memory: the name that is there, and how often it was counted.
type Counts = HashMap<(Kind, usize), (&'static str, u64)>;

/// The counts of a run.
#[derive(Debug, Default)]
pub struct Census(Mutex<Counts>);

impl Census {
    /// One more.
    pub fn count(&self, kind: Kind, name: &'static str) {
        self.add(kind, name, 1);
    }

    /// So many more.
    pub fn add(&self, kind: Kind, name: &'static str, more: u64) {
        // By its place in memory, which is found faster than its letters; a name that is written twice has two.
        let place = name.as_ptr() as usize;
        self.0.lock().entry((kind, place)).or_insert((name, 0)).1 += more;
    }

    /// As lines, for whoever adds up many runs.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let mut counts: BTreeMap<(Kind, &str), u64> = BTreeMap::new();
        for ((kind, _), (name, count)) in &*self.0.lock() {
            *counts.entry((*kind, *name)).or_default() += count;
        }
        let line = |((kind, name), count): (&(Kind, &str), &u64)| {
            format!("{}\t{name}\t{count}\n", kind.as_str())
        };
        counts.iter().map(line).collect()
    }
}

/// The counts of many runs.
#[derive(Debug, Default)]
pub struct Total(BTreeMap<(Kind, String), u64>);

impl Total {
    /// Adds a line of [`Census::to_lines`].
    pub fn add_line(&mut self, line: &str) {
        let mut fields = line.split('\t');
        let (Some(kind), Some(name), Some(count)) = (fields.next(), fields.next(), fields.next())
        else {
            return;
        };
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind);
        if let (Some(kind), Ok(count)) = (kind, count.parse::<u64>()) {
            *self.0.entry((kind, name.to_owned())).or_default() += count;
        }
    }

    /// What must occur and did so fewer than `least` times.
    #[must_use]
    pub fn rare(&self, least: u64) -> Vec<String> {
        let count = |kind: Kind, name: &str| {
            let found = self.0.get(&(kind, name.to_owned()));
            found.copied().unwrap_or(0)
        };
        let expected = EXPECTED
            .iter()
            .flat_map(|(kind, names)| names.iter().map(|name| (*kind, *name)));
        expected
            .filter(|(kind, name)| count(*kind, name) < least)
            .map(|(kind, name)| format!("{} `{name}`: {}", kind.as_str(), count(kind, name)))
            .collect()
    }

    /// A table of all counts.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for kind in Kind::ALL {
            let of_kind = self.0.iter().filter(|((of, _), _)| *of == kind);
            for ((_, name), count) in of_kind {
                text.push_str(&format!("{:<10} {name:<44} {count:>12}\n", kind.as_str()));
            }
        }
        text
    }
}

/// Everything that must occur.
pub const EXPECTED: &[(Kind, &[&str])] = &[
    (Kind::Fault, crate::faults::ALL),
    (Kind::Command, crate::log::COMMANDS),
    (Kind::Client, crate::clients::ALL),
    (Kind::Invariant, crate::invariants::ALL),
    (Kind::Mark, crate::invariants::p7::MARKS),
];
