//! One run: a group forms, clients work, faults come, faults end, and everything is audited.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::dice::Dice;
use crate::faults::{KINDS, OCCURRENCES, Plan};
use crate::invariants::{p1, p2, p4};
use crate::machine;
use crate::network::NodeId;
use crate::trace::Trace;
use crate::world::World;

/// The faults last so long, in milliseconds, at least and less than.
pub const FAULTS_MS: (u64, u64) = (4_000, 9_000);

/// What came of a run.
pub struct Outcome {
    /// What must not be and was.
    pub broken: Vec<String>,
    /// Over everything that happened.
    pub hash: u64,
    /// How much that was.
    pub events: u64,
    /// How often each fault, each outcome of a command, and each check came.
    pub counts: BTreeMap<String, u64>,
    /// Of the simulated clock.
    pub simulated_ms: u64,
}

/// What must occur in a long run, as [`Outcome::counts`] has it: what does not occur is not tried.
#[must_use]
pub fn expected() -> Vec<String> {
    const COMMANDS: &[&str] = &[
        "push: done",
        "push: unknown",
        "push: without effect",
        "push on a condition: done",
        "push on a condition: refused",
        "push on a condition: without effect",
        "delete: done",
        "delete: absent",
        "read: found",
        "read: absent",
        "read: without effect",
        "read by digest: found",
        "found: done",
        "announce: done",
        "raise the format: done",
        "raise the format: refused",
        "label: done",
        "label: refused",
    ];
    const INVARIANTS: &[&str] = &[
        "P1 contents audited",
        "P2 histories checked",
        "P4 healed",
        "P6 states compared",
        "P7 looks at what is under way",
        "rule 3.3 times looked at",
    ];
    let of = |group: &'static str, names: &'static [&'static str]| {
        names.iter().map(move |name| format!("{group}: {name}"))
    };
    of("fault", KINDS)
        .chain(of("fault", OCCURRENCES))
        .chain(of("command", COMMANDS))
        .chain(of("invariant", INVARIANTS))
        .collect()
}

/// Runs a seed in a folder of its own.
pub fn run(seed: u64, folder: &Path, trace: &Arc<Trace>, faults_ms: (u64, u64)) -> Outcome {
    let mut dice = Dice::of(seed, "plan");
    let members = if dice.once_in(4) { 5 } else { 3 };
    let mut world = World::new(seed, members, folder, Arc::clone(trace));
    let mut plan = Plan::default();
    let panics = hear_panics();
    let mut broken = Vec::new();
    if let Err(late) = play(&mut world, &mut plan, &mut dice, faults_ms) {
        broken.push(format!("P4: {late}"));
    }
    broken.extend(world.ledger.broken());
    broken.extend(panics.lock().drain(..));
    broken.extend(p2::check_all(&world.ledger));
    let (hash, events) = trace.hash();
    let mut counts = BTreeMap::new();
    let mut count = |group: &str, what: &str, times: u64| {
        *counts.entry(format!("{group}: {what}")).or_default() += times;
    };
    for (kind, times) in &plan.counts {
        count("fault", kind, *times);
    }
    for (what, times) in world.occurred() {
        count("fault", what, times);
    }
    for ((what, came), times) in world.ledger.counts() {
        count("command", &format!("{what}: {came}"), times);
    }
    count(
        "invariant",
        "P1 contents audited",
        world.ledger.acknowledged().len() as u64,
    );
    count(
        "invariant",
        "P2 histories checked",
        world.ledger.tags().by_key().len() as u64,
    );
    count("invariant", "P4 healed", u64::from(broken.is_empty()));
    count("invariant", "P6 states compared", world.states.compared);
    count("invariant", "P7 looks at what is under way", world.now());
    count(
        "invariant",
        "rule 3.3 times looked at",
        world.times_looked_at(),
    );
    count("mark", "bytes under way", world.most_under_way() as u64);
    for (what, (most, bound)) in &world.marks {
        count("mark", &format!("{what}, of at most {bound}"), *most as u64);
    }
    Outcome {
        broken,
        hash,
        events,
        counts,
        simulated_ms: world.now(),
    }
}

/// A task that panics ends alone, and nobody would hear of it.
fn hear_panics() -> Arc<Mutex<Vec<String>>> {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let hears = Arc::clone(&heard);
    std::panic::set_hook(Box::new(move |panic| {
        // A torn file may make redb panic, which the tables catch: they are built anew.
        let by_redb = panic
            .location()
            .is_some_and(|at| at.file().contains("/redb-"));
        if !by_redb {
            hears.lock().push(format!("it panicked: {panic}"));
        }
    }));
    heard
}

fn play(
    world: &mut World,
    plan: &mut Plan,
    dice: &mut Dice,
    faults_ms: (u64, u64),
) -> Result<(), String> {
    world.form()?;
    world.trace.line("the group is formed");
    let end = world.now() + dice.within(faults_ms.0, faults_ms.1);
    // Some runs are calm and some are not.
    let between = dice.within(50, 700);
    let mut next = world.now() + dice.within(50, 500);
    while world.now() < end {
        let now = world.now();
        if now >= next && now >= plan.quiet_until {
            next = now + dice.within(1, between * 2);
            let voters = world.voters();
            plan.choose(dice, &voters, now);
        }
        for action in plan.take(now) {
            world.act(action);
        }
        world.step();
        if world.ledger.is_broken() {
            return Ok(());
        }
    }
    world.heal();
    world.trace.line("the faults end");
    settle(world)
}

/// The members of the group that are there.
fn present(world: &World) -> Vec<NodeId> {
    let group = world.group().unwrap_or_default();
    let lost = world.lost();
    group.into_keys().filter(|id| Some(*id) != lost).collect()
}

fn settle(world: &mut World) -> Result<(), String> {
    world.until(p4::SERVES_AGAIN_MS_MAX, "everybody serves again", |world| {
        let group = present(world);
        !group.is_empty()
            && group.iter().all(|id| {
                let member = world.nodes[id].admitted();
                member.is_some_and(|member| ports::MetadataStore::health(&*member).can_confirm)
            })
    })?;
    world.stop_clients();
    world.remove_lost();
    for _ in 0..500 {
        world.step();
    }
    world
        .until(
            p4::AGREES_MS_MAX,
            "everybody has applied the same",
            |world| {
                let indexes: std::collections::BTreeSet<u64> = present(world)
                    .iter()
                    .filter_map(|id| Some(world.nodes[id].admitted()?.applied_index()))
                    .collect();
                indexes.len() == 1
            },
        )
        .map_err(|late| format!("{late}: {}", world.shown()))?;
    let waiting = Arc::new(AtomicUsize::new(0));
    for id in present(world) {
        let Some(member) = world.nodes[&id].admitted() else {
            continue;
        };
        if let Some(state) = member.state_hash()
            && let Err(differs) = world.states.note(id, state)
        {
            world.ledger.breaks(differs);
        }
        if let Err(broken) = member.check_tables() {
            world
                .ledger
                .breaks(format!("P6: the tables of node {id}: {broken}"));
        }
        waiting.fetch_add(1, Ordering::Relaxed);
        let (ledger, done) = (Arc::clone(&world.ledger), Arc::clone(&waiting));
        world.nodes[&id].spawn(async move {
            p1::audit(member, ledger, format!("audit {id}")).await;
            done.fetch_sub(1, Ordering::Relaxed);
        });
    }
    world.until(60_000, "the audit ends", |_| {
        waiting.load(Ordering::Relaxed) == 0
    })?;
    world
        .trace
        .line(format!("ended after {} ms", machine::now_ms()));
    Ok(())
}
