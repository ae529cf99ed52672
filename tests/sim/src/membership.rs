//! Members join and leave the group of the log: a node learns first, and votes once it has caught up; one change at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::census::Kind;
use crate::dice::Dice;
use crate::log::{Content, Member, Members};
use crate::node::{self, Node};
use crate::world::World;

/// The most voters.
const VOTERS_MAX: usize = 5;
/// Ids of members end here: a run makes few.
const MEMBER_IDS_MAX: u64 = 12;
/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Begins a change, if one may begin.
pub fn change(world: &Arc<World>, dice: &Dice) {
    let Some(leader) = world.leader() else { return };
    let may = leader.look(|core| core.may_change_members().then(|| core.members().clone()));
    let Some(members) = may else { return };
    let joins = members.voters.len() < VOTERS_MAX && (members.voters.len() <= 3 || dice.hits(500));
    let (world, chosen) = (Arc::clone(world), dice.number());
    tokio::spawn(async move {
        if joins {
            join(&world, &leader, members).await;
        } else {
            leave(&world, &leader, members, chosen).await;
        }
        for node in world.all_nodes() {
            if let Some(alive) = node.alive() {
                alive.client.set_members(node::addresses(&world));
            }
        }
    });
}

async fn decide(leader: &Arc<Member>, members: Members) -> bool {
    let content = Content::Members(Arc::new(members));
    let decided = leader.propose(content, Instant::now() + PATIENCE).await;
    matches!(decided, Ok(Some(Some(_))))
}

async fn join(world: &Arc<World>, leader: &Arc<Member>, mut members: Members) {
    let id = match members.learners.first() {
        Some(learner) => *learner,
        None => {
            let last = world
                .all_nodes()
                .into_iter()
                .filter(|node| node.is_member());
            let id = last.map(|node| node.id).max().unwrap_or(0) + 1;
            if id > MEMBER_IDS_MAX {
                return;
            }
            world.trace.note(format_args!("member {id} joins"));
            // It knows of no group, and so it leads none.
            let node = Node::member(id, Members::default());
            world.add(Arc::clone(&node));
            node.start(world);
            members.learners.insert(id);
            if !decide(leader, members.clone()).await {
                return;
            }
            id
        }
    };
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let applied = world
            .node(id)
            .and_then(|node| node.alive()?.member)
            .map_or(0, |member| member.look(|core| core.applied));
        if applied + 3 >= leader.look(|core| core.applied) {
            members.learners.remove(&id);
            members.voters.insert(id);
            if leader.look(|core| core.may_change_members()) && decide(leader, members).await {
                world.census.count(Kind::Fault, "member joins");
                world.trace.note(format_args!("member {id} votes"));
            }
            return;
        }
    }
}

async fn leave(world: &Arc<World>, leader: &Arc<Member>, mut members: Members, chosen: u64) {
    let others: Vec<u64> = members
        .voters
        .iter()
        .copied()
        .filter(|id| *id != leader.life.node)
        .collect();
    let Some(id) = others.get(chosen as usize % others.len().max(1)).copied() else {
        return;
    };
    members.voters.remove(&id);
    if !decide(leader, members).await {
        return;
    }
    world.census.count(Kind::Fault, "member leaves");
    world.trace.note(format_args!("member {id} has left"));
    if let Some(node) = world.node(id) {
        node.remove();
        node.crash(world, &Dice::new(chosen));
    }
}
