//! One run: a cluster begins, clients work, faults rage, all is healed, and what was told is looked for.

use std::sync::Arc;
use std::time::Duration;

use metadata::access::Right;
use metadata::{ClusterId, Command, Reply};
use ports::MetadataStore;
use tokio::time::Instant;

use crate::clients::{Client, Library};
use crate::faults;
use crate::invariants::{p1, p2, p2_uploads, p4, p6, p7, p8, p8_audit, p8_tokens};
use crate::log::{Core, Member};
use crate::machine;
use crate::plan::Plan;
use crate::scenarios;
use crate::world::{GATEWAYS_FROM, World};

/// How long a cluster may take to begin, and to be as new after the heal.
const BEGIN_MAX: Duration = Duration::from_secs(20);
/// What broke off the last connections takes as long as this to be noticed.
const HEAL_MIN: Duration = Duration::from_millis(1_500);
/// After the faults have stopped, everything is served again within this.
const HEAL_MAX: Duration = Duration::from_secs(5);
/// The number of the client who only operates the cluster.
const OPERATOR: u64 = 50;
/// The numbers of administrators begin here.
const ADMINISTRATORS: u64 = 60;
/// What clients have begun ends within this.
const CLIENTS_MAX: Duration = Duration::from_secs(120);

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The hash of the trace.
    pub hash: u64,
    /// How much simulated time passed.
    pub simulated: Duration,
    /// What was broken; nothing, if all is well.
    pub breaches: Vec<String>,
    /// The counts, as lines.
    pub census: String,
    /// The trace, where it was wanted.
    pub lines: Vec<String>,
}

/// Runs a seed in a process of its own. `keeps_text`: the trace is wanted.
///
/// # Errors
/// When the process did not end by itself.
pub fn seed(seed: u64, keeps_text: bool) -> Result<Outcome, String> {
    let running = machine::start(seed, move || here(seed, keeps_text).to_bytes());
    let bytes = running.map_err(|error| error.to_string())?.finish()?;
    Outcome::from_bytes(&bytes).ok_or_else(|| "the report of a run is damaged".to_owned())
}

/// Runs a scenario in a process of its own, with a bug switched on if one is named. `None`: there is no such scenario.
///
/// # Errors
/// When the process did not end by itself.
pub fn scenario(name: &str, mutant: Option<&str>) -> Option<Result<Outcome, String>> {
    let scenario = scenarios::ALL.iter().find(|known| known.name == name)?;
    let mutant = mutant.map(str::to_owned);
    let running = machine::start(0, move || {
        if let Some(mutant) = mutant {
            switch_on(&mutant);
        }
        let world = World::new(Plan::calm(), true);
        let lived = Arc::clone(&world);
        run(&world, async move { played(&lived, scenario).await }).to_bytes()
    });
    let bytes = match running.map_err(|error| error.to_string()) {
        Ok(running) => running.finish(),
        Err(error) => Err(error),
    };
    let damaged = || "the report of a run is damaged".to_owned();
    Some(bytes.and_then(|bytes| Outcome::from_bytes(&bytes).ok_or_else(damaged)))
}

#[cfg(feature = "mutants")]
fn switch_on(mutant: &str) {
    mutants::choose(mutant).expect("nobody chose one in this process");
}

#[cfg(not(feature = "mutants"))]
fn switch_on(_mutant: &str) {}

/// Plays a scenario: a cluster begins, what is written down happens, and what was told is looked for.
async fn played(world: &Arc<World>, scenario: &scenarios::Scenario) {
    world.begin();
    if !has_begun(world).await {
        world.breach("P4", "the cluster did not begin".to_owned());
        return;
    }
    let library = Arc::new(Library::new(
        world.dice("library"),
        world.plan.settings.part_size,
    ));
    (scenario.play)(Arc::clone(world), Arc::clone(&library)).await;
    heal(world).await;
    if !world.over.is_cancelled() {
        audit(world, &library).await;
    }
}

/// Runs a seed in this process, whose clocks are simulated.
fn here(seed: u64, keeps_text: bool) -> Outcome {
    let world = World::new(Plan::of(seed), keeps_text);
    let living = Arc::clone(&world);
    run(&world, async move { live(&living).await })
}

/// Runs the life of a world to its end.
fn run(world: &Arc<World>, life: impl Future<Output = ()> + Send + 'static) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be made");
    // A task is woken without a call of the machine, and what is waited for here is not.
    let lived = runtime.block_on(async move { tokio::spawn(life).await });
    if let Err(problem) = lived {
        world.breach("bug", problem.to_string());
    }
    if let Some(panic) = machine::panicked() {
        world.breach("bug", panic);
    }
    let outcome = Outcome {
        hash: world.trace.hash(),
        simulated: machine::elapsed(),
        breaches: world.breaches(),
        census: world.census.to_lines(),
        lines: world.trace.lines(),
    };
    // What is left is left to the end of the process.
    std::mem::forget(runtime);
    outcome
}

async fn live(world: &Arc<World>) {
    world.trace.note(format_args!("{:?}", world.plan));
    world.begin();
    if !has_begun(world).await {
        world.breach(
            "P4",
            format!("the cluster did not begin within {BEGIN_MAX:?}"),
        );
        return;
    }
    let library = Arc::new(Library::new(
        world.dice("library"),
        world.plan.settings.part_size,
    ));
    let until = Instant::now() + world.plan.faults_for;
    let mut clients = tokio::task::JoinSet::new();
    for number in 1..=world.plan.clients * 2 {
        clients.spawn(Client::new(world, &library, number).live(until));
    }
    for number in 0..world.plan.access.administrators() {
        clients.spawn(Client::new(world, &library, ADMINISTRATORS + number).administer(until));
    }
    if world.plan.has_operator {
        clients.spawn(Client::new(world, &library, OPERATOR).operate(until));
    }
    faults::rage(Arc::clone(world), &library, until).await;
    if world.over.is_cancelled() {
        return;
    }
    heal(world).await;
    let ended = async { while clients.join_next().await.is_some() {} };
    if tokio::time::timeout(CLIENTS_MAX, ended).await.is_err() {
        world.breach(
            "P4",
            format!("a client waits for more than {CLIENTS_MAX:?}"),
        );
    }
    if !world.over.is_cancelled() {
        audit(world, &library).await;
    }
}

async fn has_begun(world: &Arc<World>) -> bool {
    let until = Instant::now() + BEGIN_MAX;
    let Some(first) = world.node(GATEWAYS_FROM).and_then(|node| node.alive()) else {
        return false;
    };
    while Instant::now() < until {
        let command = Command::InitializeCluster {
            cluster: ClusterId(0x51),
        };
        let replied = first.client.propose(command, until).await;
        if let Ok(Reply::Initialized { .. } | Reply::Refused(_)) = replied {
            return true;
        }
    }
    false
}

/// Everything that was done to the world is undone.
async fn heal(world: &Arc<World>) {
    world.trace.note(format_args!("the faults stop"));
    world.calm_down();
    world.network.heal();
    world.store.set_trouble(0);
    for node in world.all_nodes() {
        node.set_slow_disk(0);
        node.stall_apply(false);
        node.set_clock(0, 0);
    }
    let (from, until) = (Instant::now() + HEAL_MIN, Instant::now() + HEAL_MAX);
    while Instant::now() < from || (!world.is_whole() && Instant::now() < until) {
        // What was begun before the heal may end after it: a partition that is lifted, a node that is started.
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.network.heal();
        world.store.set_gone(false);
        for node in world.all_nodes() {
            node.restore_disk();
            node.start(world);
            if let Some(alive) = node.alive() {
                alive.life.pause(false);
                if let Some(member) = alive.member {
                    member.go_on();
                }
            }
        }
    }
}

/// Looks for everything that is certain, through every node.
async fn audit(world: &Arc<World>, library: &Arc<Library>) {
    world.trace.note(format_args!("the audit begins"));
    let auditor = Client::new(world, library, 0);
    for node in world.all_nodes() {
        if node.is_removed() || node.alive().is_none() {
            continue;
        }
        p4::check_served(world, &auditor, node.id).await;
        for repository in &library.repositories {
            for tag in &library.tags {
                auditor.read_tag_at(node.id, repository, tag).await;
            }
        }
    }
    p1::check_told(world, &auditor).await;
    check_rights(world, &auditor).await;
    p2::check(world);
    p2_uploads::check(world);
    p7::check_marks(world);
    compare_members(world).await;
}

/// Tries permissions once more, and the tokens of every key, through every node.
async fn check_rights(world: &Arc<World>, auditor: &Client) {
    if world.plan.access.administrators() == 0 {
        return;
    }
    let nodes = world.all_nodes();
    let tried = world.watch.tried_again.lock().clone();
    for (_, permit, proof) in &tried {
        for node in nodes.iter().filter(|node| !node.is_removed()) {
            auditor
                .use_right(permit, Right::Pull, *proof, node.id)
                .await;
        }
    }
    p8::check(world);
    if let Some(leader) = world.leader() {
        let state = leader.look(|core: &Core| core.machine.clone());
        p8_tokens::check(world, auditor, &state).await;
    }
}

/// All members come to the same state.
async fn compare_members(world: &Arc<World>) {
    let until = Instant::now() + HEAL_MAX;
    loop {
        let Some(leader) = world.leader() else {
            world.breach("P4", "nobody leads after the heal".to_owned());
            return;
        };
        let voters = leader.look(|core| core.members().voters.clone());
        let up = world.members_up();
        let members: Vec<_> = up
            .iter()
            .filter(|it| voters.contains(&it.life.node))
            .collect();
        let applied: Vec<u64> = members
            .iter()
            .map(|it| it.look(|core| core.applied))
            .collect();
        if applied.len() == voters.len() && applied.iter().all(|it| *it == applied[0]) {
            let state = |it: &&Arc<Member>| {
                let machine = it.look(|core: &Core| core.machine.clone());
                (it.life.node, machine)
            };
            let states: Vec<_> = members.into_iter().map(|it| state(&it)).collect();
            p6::check_all_equal(world, &states);
            p1::check_states(world, &states);
            if let Some((_, state)) = states.first() {
                p8_audit::check(world, state, world.plan.access.is_always_on());
            }
            return;
        }
        if Instant::now() > until {
            world.breach(
                "P4",
                format!("members do not come to the same index: {applied:?}"),
            );
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Outcome {
    fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{:016x}\n{}\n", self.hash, self.simulated.as_millis());
        for breach in &self.breaches {
            text.push_str(&format!("breach\t{}\n", breach.replace('\n', " ")));
        }
        text.push_str(&self.census);
        for line in &self.lines {
            text.push_str(&format!("line\t{}\n", line.replace('\n', " ")));
        }
        text.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Outcome> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let mut outcome = Outcome {
            hash: u64::from_str_radix(lines.next()?, 16).ok()?,
            simulated: Duration::from_millis(lines.next()?.parse().ok()?),
            breaches: Vec::new(),
            census: String::new(),
            lines: Vec::new(),
        };
        for line in lines {
            if let Some(breach) = line.strip_prefix("breach\t") {
                outcome.breaches.push(breach.to_owned());
            } else if let Some(line) = line.strip_prefix("line\t") {
                outcome.lines.push(line.to_owned());
            } else {
                outcome.census.push_str(line);
                outcome.census.push('\n');
            }
        }
        Some(outcome)
    }
}
