//! What is done to the nodes, the network and the store, as the seed says.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::census::Kind;
use crate::clients::{Client, Library};
use crate::dice::Dice;
use crate::node::Node;
use crate::world::World;

/// Names of faults, as they are counted.
pub const ALL: &[&str] = &[
    "leader crashes",
    "member crashes",
    "gateway crashes",
    "all members crash",
    "quorum is lost",
    "unsynced writes lost",
    "torn log",
    "old disk is refused",
    "partition",
    "one-way partition",
    "slow link",
    "message in a partition",
    "late message",
    "lost message",
    "lost answer",
    "doubled message",
    "doubled call",
    "snapshot taken",
    "snapshot sent",
    "lead handed over",
    "node stands still",
    "slow disk",
    "apply stalls",
    "clock jumps",
    "clock drifts",
    "member joins",
    "member leaves",
    "store is gone",
    "store fails before",
    "store fails after",
    "store takes effect late",
    "store does not read",
    "read is cut",
    "client vanishes",
    "body breaks off",
];

/// Less than this is no loss of a quorum that anybody notices.
const QUORUM_LOST_FOR: Duration = Duration::from_secs(7);

/// After so long pulls are answered from the last state, and so long somebody pulls then.
const STALE_AFTER: Duration = Duration::from_millis(5_100);
const PULLS_FOR: Duration = Duration::from_millis(900);
/// The number of the client who does.
const PULLER: u64 = 51;

/// How often each is chosen, in the order of `one`; a seed has weights of its own.
pub const WEIGHTS: [u64; 15] = [18, 10, 10, 3, 2, 8, 6, 10, 6, 6, 6, 4, 8, 3, 7];

/// Brings faults about, one after the other, until `until`.
pub async fn rage(world: Arc<World>, library: &Arc<Library>, until: Instant) {
    let dice = world.dice("faults");
    world.network.set_trouble(world.plan.network_trouble);
    world.store.set_trouble(world.plan.store_trouble);
    // Long enough, before anything else, that pulls are answered from the last state.
    if world.plan.faults_for > QUORUM_LOST_FOR && dice.hits(400) {
        tokio::time::sleep(dice.ms(500..1_500)).await;
        lose_quorum(&world, &dice);
        tokio::time::sleep(STALE_AFTER).await;
        let pulling = Client::new(&world, library, PULLER);
        pulling
            .keep_pulling(until.min(Instant::now() + PULLS_FOR))
            .await;
    }
    while Instant::now() < until && !world.over.is_cancelled() {
        let every = world.plan.fault_every.as_millis() as u64;
        tokio::time::sleep(dice.ms(every / 2..every * 3 / 2)).await;
        one(&world, &dice);
    }
}

fn any(world: &World, dice: &Dice, wanted: impl Fn(&Node) -> bool) -> Option<Arc<Node>> {
    let nodes = world.all_nodes();
    let fitting: Vec<_> = nodes.into_iter().filter(|node| wanted(node)).collect();
    (!fitting.is_empty()).then(|| Arc::clone(dice.pick(&fitting)))
}

fn is_up(node: &Node) -> bool {
    node.alive().is_some()
}

fn one(world: &Arc<World>, dice: &Dice) {
    match dice.weighted(&world.plan.fault_weights) {
        0 => crash_leader(world, dice),
        1 => {
            if let Some(node) = any(world, dice, |node| node.is_member() && is_up(node)) {
                crash(world, dice, &node, "member crashes", 100..3_000);
            }
        }
        2 => {
            if let Some(node) = any(world, dice, |node| !node.is_member() && is_up(node)) {
                crash(world, dice, &node, "gateway crashes", 100..2_000);
            }
        }
        3 => lose_quorum(world, dice),
        4 => {
            for node in world.all_nodes().iter().filter(|node| node.is_member()) {
                crash(world, dice, node, "member crashes", 300..2_500);
            }
            world.census.count(Kind::Fault, "all members crash");
        }
        5 => partition(world, dice),
        6 => slow_link(world, dice),
        7 => stand_still(world, dice),
        8 => slow_disk(world, dice),
        9 => stall_apply(world, dice),
        10 => change_clock(world, dice),
        11 => hand_over(world),
        12 => crate::membership::change(world, dice),
        13 => old_disk(world, dice),
        _ => lose_store(world, dice),
    }
}

/// All members but one are down for so long that pulls are answered from the last state.
fn lose_quorum(world: &Arc<World>, dice: &Dice) {
    let members = world
        .all_nodes()
        .into_iter()
        .filter(|node| node.is_member());
    let up: Vec<_> = members.filter(|node| is_up(node)).collect();
    if up.len() < 3 {
        return;
    }
    world.census.count(Kind::Fault, "quorum is lost");
    for node in &up[1..] {
        crash(world, dice, node, "member crashes", 6_000..7_000);
    }
}

fn later(after: Duration, then: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        then();
    });
}

fn crash_leader(world: &Arc<World>, dice: &Dice) {
    let leader = world
        .leader()
        .and_then(|leader| world.node(leader.life.node));
    if let Some(node) = leader {
        crash(world, dice, &node, "leader crashes", 100..3_000);
    }
}

fn crash(
    world: &Arc<World>,
    dice: &Dice,
    node: &Arc<Node>,
    name: &'static str,
    down_ms: std::ops::Range<u64>,
) {
    if !is_up(node) {
        return;
    }
    world.census.count(Kind::Fault, name);
    node.crash(world, dice);
    let (world, node) = (Arc::clone(world), Arc::clone(node));
    later(dice.ms(down_ms), move || {
        node.start(&world);
    });
}

fn partition(world: &Arc<World>, dice: &Dice) {
    let nodes: Vec<u64> = world.all_nodes().iter().map(|node| node.id).collect();
    let alone = match world.leader() {
        Some(leader) if dice.hits(400) => leader.life.node,
        _ => *dice.pick(&nodes),
    };
    let (hears, is_heard) = match dice.within(0..4) {
        0 => (true, false),
        1 => (false, true),
        _ => (false, false),
    };
    let one_way = hears || is_heard;
    let name = if one_way {
        "one-way partition"
    } else {
        "partition"
    };
    world.census.count(Kind::Fault, name);
    world.trace.note(format_args!(
        "node {alone} hears: {hears}, is heard: {is_heard}"
    ));
    let second = dice.hits(200).then(|| *dice.pick(&nodes));
    let others: Vec<u64> = nodes
        .into_iter()
        .filter(|n| *n != alone && Some(*n) != second)
        .collect();
    let set = move |world: &World, blocked: bool| {
        for other in &others {
            if !hears {
                world
                    .network
                    .set_link(*other, alone, |link| link.blocked = blocked);
            }
            if !is_heard {
                world
                    .network
                    .set_link(alone, *other, |link| link.blocked = blocked);
            }
        }
    };
    set(world, true);
    let world = Arc::clone(world);
    later(dice.ms(100..4_000), move || set(&world, false));
}

fn slow_link(world: &Arc<World>, dice: &Dice) {
    let nodes: Vec<u64> = world.all_nodes().iter().map(|node| node.id).collect();
    let (from, to, ms) = (*dice.pick(&nodes), *dice.pick(&nodes), dice.within(5..250));
    world.census.count(Kind::Fault, "slow link");
    world.network.set_link(from, to, |link| link.slow_ms = ms);
    let world = Arc::clone(world);
    later(dice.ms(200..4_000), move || {
        world.network.set_link(from, to, |link| link.slow_ms = 0);
    });
}

/// The process stands still: what it was about to send, it sends when it goes on.
fn stand_still(world: &Arc<World>, dice: &Dice) {
    let Some(life) = any(world, dice, is_up).and_then(|node| world.life(node.id)) else {
        return;
    };
    world.census.count(Kind::Fault, "node stands still");
    world
        .trace
        .note(format_args!("node {} stands still", life.node));
    life.pause(true);
    later(dice.ms(100..4_000), move || life.pause(false));
}

fn slow_disk(world: &Arc<World>, dice: &Dice) {
    let Some(node) = any(world, dice, Node::is_member) else {
        return;
    };
    world.census.count(Kind::Fault, "slow disk");
    node.set_slow_disk(dice.within(10..200));
    later(dice.ms(200..4_000), move || node.set_slow_disk(0));
}

fn stall_apply(world: &Arc<World>, dice: &Dice) {
    let Some(node) = any(world, dice, |node| node.is_member() && is_up(node)) else {
        return;
    };
    world.census.count(Kind::Fault, "apply stalls");
    node.stall_apply(true);
    later(dice.ms(20..600), move || {
        node.stall_apply(false);
        if let Some(member) = node.alive().and_then(|alive| alive.member) {
            member.go_on();
        }
    });
}

fn change_clock(world: &Arc<World>, dice: &Dice) {
    let Some(node) = any(world, dice, Node::is_member) else {
        return;
    };
    let (offset, drift) = node.clock();
    if dice.hits(500) {
        world.census.count(Kind::Fault, "clock jumps");
        let far = *dice.pick(&[2_000, 60_000, 86_400_000i64]);
        let by = dice.within(0..far as u64 * 2) as i64 - far;
        node.set_clock(offset + by, drift);
    } else {
        world.census.count(Kind::Fault, "clock drifts");
        node.set_clock(offset, dice.within(0..200) as i64 - 100);
    }
}

fn hand_over(world: &World) {
    let Some(leader) = world.leader() else { return };
    let to = leader.look(|core| core.successor().map(|to| (to, core.disk.term)));
    if let Some((to, term)) = to {
        world.census.count(Kind::Fault, "lead handed over");
        leader.act(|core, _| {
            core.outgoing
                .push((to, crate::log::Message::Transfer { term }));
        });
    }
}

/// A member starts with the disk of some time ago, which is refused; then it gets its own back.
fn old_disk(world: &Arc<World>, dice: &Dice) {
    let Some(node) = any(world, dice, |node| node.is_member() && is_up(node)) else {
        return;
    };
    let Some(old) = node
        .alive()
        .and_then(|alive| alive.member)
        .map(|member| member.disk())
    else {
        return;
    };
    let (world, back) = (Arc::clone(world), dice.ms(50..800));
    let dice = Dice::new(dice.number());
    node.crash(&world, &dice);
    node.start(&world);
    later(dice.ms(100..2_000), move || {
        if world.is_calm() {
            return;
        }
        node.crash(&world, &dice);
        if !node.swap_disk(old) {
            return;
        }
        if node.start(&world) {
            let said = format!("member {} starts with an old disk", node.id);
            world.breach("P1", said);
        }
        later(back, move || {
            node.restore_disk();
            node.start(&world);
        });
    });
}

fn lose_store(world: &Arc<World>, dice: &Dice) {
    world.store.set_gone(true);
    let world = Arc::clone(world);
    later(dice.ms(100..2_500), move || world.store.set_gone(false));
}
