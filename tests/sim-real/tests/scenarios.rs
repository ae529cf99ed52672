//! What the simulation has found, and what it was made for: each as a world of its own, in a process of its own, which is this
//! test started again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};
use std::sync::Arc;

use powerloss::Survives;
use sim_real::faults::Action;
use sim_real::trace::Trace;
use sim_real::world::World;

/// Says to a process of this test which scenario it is.
const RUN: &str = "SIM_REAL_RUN";

/// Runs a scenario, perhaps with a mutant. `None` in its process itself, once it has ended.
fn in_process(name: &str, mutant: Option<&str>, scenario: fn()) -> Option<Output> {
    if std::env::var(RUN).is_ok_and(|asked| asked == name) {
        scenario();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--nocapture", "--exact", name])
        .env(RUN, name);
    if let Some(mutant) = mutant {
        command.env(mutants::VARIABLE, mutant);
    }
    Some(command.output().unwrap())
}

fn holds(name: &str, scenario: fn()) {
    if let Some(output) = in_process(name, None, scenario) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

fn world(members: u64) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let trace = Arc::new(Trace::new(std::env::var_os("SIM_TRACE").is_some()));
    let mut world = World::new(7, members, folder.path(), trace);
    world.form().unwrap();
    (folder, world)
}

fn steps(world: &mut World, count: u64) {
    (0..count).for_each(|_| world.step());
}

/// The folder of a member's metadata was made and not synced in the one above: a power failure soon after the first start took
/// the whole member with it.
#[test]
fn member_survives_a_power_failure_right_after_its_first_start() {
    holds(
        "member_survives_a_power_failure_right_after_its_first_start",
        || {
            let (_folder, mut world) = world(1);
            let applied = world.nodes[&1].member().unwrap().applied_index();
            assert!(applied > 0);
            let node = world.nodes.get_mut(&1).unwrap();
            node.lose_power(Survives::Nothing).unwrap();
            node.start(vec![1]);
            let back = world.until(5_000, "it serves again with all that it had", |world| {
                let member = world.nodes[&1].admitted();
                member.is_some_and(|member| member.applied_index() >= applied)
            });
            back.unwrap();
        },
    );
}

/// A member starts while nobody but the store is there, the others come back and work with it, and at once its disk is an old
/// one and the store is away: all other voters answer it.
fn lonely_start() {
    let (_folder, mut world) = world(3);
    steps(&mut world, 300);
    for id in [2, 3, 1] {
        world.act(Action::Kill(id));
    }
    steps(&mut world, 5);
    world.act(Action::Image(1));
    world.act(Action::Start(1));
    let alone = world.until(5_000, "it takes part, recorded by the store", |world| {
        world.nodes[&1].admitted().is_some()
    });
    alone.unwrap();
    world.act(Action::Start(2));
    world.act(Action::Start(3));
    let together = world.until(5_000, "it has to do with the others", |world| {
        world.nodes[&1].has_spoken()
    });
    together.unwrap();
    world.act(Action::Bucket(1, false));
    world.act(Action::OldDisk(1));
    let refused = world.until(5_000, "the old disk is refused", |world| {
        !world.nodes[&1].runs() || world.ledger.is_broken()
    });
    refused.unwrap();
    assert_eq!(world.ledger.broken(), [""; 0]);
}

/// Known from thinking: such a start was told the others only up to 2 s after they had come back.
#[test]
fn old_disk_is_refused_after_a_start_that_only_the_store_knew() {
    holds(
        "old_disk_is_refused_after_a_start_that_only_the_store_knew",
        lonely_start,
    );
}

#[test]
fn old_disk_is_taken_by_those_who_were_not_told_first() {
    let mutant = Some("speak_before_peers_know");
    let name = "old_disk_is_taken_by_those_who_were_not_told_first";
    if let Some(output) = in_process(name, mutant, lonely_start) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "the mutant is not seen");
        assert!(said.contains("takes part with an old disk"), "{said}");
    }
}
