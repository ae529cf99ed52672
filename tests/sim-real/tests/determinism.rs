//! One seed, one run.

use std::sync::Arc;
use std::time::Duration;

use ports::{Deadline, MetadataStore};
use sim_real::commands::{self, Condition};
use sim_real::trace::Trace;
use sim_real::world::World;

fn run(seed: u64) -> (u64, u64) {
    let trace = Arc::new(Trace::new(std::env::var_os("SIM_TRACE").is_some()));
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut world = World::new(seed, 3, folder.path(), Arc::clone(&trace));
    world.form().unwrap();
    trace.line("formed");
    for content in 0..20 {
        let member = world.nodes[&(content % 3 + 1)].member().unwrap();
        world.nodes[&(content % 3 + 1)].spawn(async move {
            let soon = Deadline::now() + Duration::from_secs(5);
            drop(
                member
                    .propose(commands::push(1, content, Condition::Always), soon)
                    .await,
            );
        });
        for _ in 0..20 {
            world.step();
        }
    }
    let leader = world.leader().unwrap();
    world.nodes.get_mut(&leader).unwrap().kill(false);
    trace.line(format!("killed {leader}"));
    world
        .until(5_000, "another leads", |world| world.leader().is_some())
        .unwrap();
    trace.line(format!("{:?} leads", world.leader()));
    world.nodes.get_mut(&leader).unwrap().start();
    let high = |world: &World| {
        world
            .nodes
            .values()
            .filter_map(|node| Some(node.member()?.applied_index()))
            .max()
    };
    let index = high(&world).unwrap();
    assert!(index > 20, "{index}");
    world
        .until(5_000, "the killed one has it all", |world| {
            world.nodes[&leader]
                .member()
                .is_some_and(|member| member.applied_index() >= index)
        })
        .unwrap();
    for node in world.nodes.values() {
        trace.line(format!(
            "{} {:?}",
            node.id,
            node.member().unwrap().state_hash()
        ));
    }
    trace.hash()
}

#[test]
fn one_seed_gives_one_run() {
    if let Ok(seed) = std::env::var("SIM_ONE") {
        let (hash, events) = run(seed.parse().unwrap());
        println!("hash {hash:016x} of {events}");
        return;
    }
    let once = |seed: u64| {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "one_seed_gives_one_run"])
            .env("SIM_ONE", seed.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        let line = text
            .lines()
            .find(|line| line.starts_with("hash "))
            .map(str::to_owned);
        line.unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&child.stderr)))
    };
    for seed in 0..6 {
        assert_eq!(once(seed), once(seed), "seed {seed}");
    }
    assert_ne!(once(1), once(2));
}
