//! What the cluster does by itself: nothing too early, nothing twice, and nothing because a clock jumped. Rules 3.3, 3.7,
//! 5.4, 5.15 and 6.1.

use metadata::{
    Answer, ClusterView, Command, DELETIONS_PER_ENTRY_MAX, FORMAT, FORMAT_MAX, LogTime, NodeId,
    NodeRole, ObjectKey, Payload, Query, Refusal, Reply, UpkeepRow,
};

use crate::roster::{DAY_MS, FIRST, HOUR_MS, announcement, by_secret};
use crate::world::{CLUSTER, World, manifest, put, repo, who};

const MINUTE_MS: u64 = 60_000;

fn view(world: &World) -> ClusterView {
    match world.ask(Query::Cluster) {
        Answer::Cluster(view) => view,
        answer => panic!("{answer:?}"),
    }
}

fn too_early(until: u64) -> Refusal {
    let until = LogTime(until);
    Refusal::TooEarly { until }
}

/// Corrects the log's time by `ms`.
fn correct(world: &mut World, ms: u64) {
    let to = LogTime(world.now + ms);
    assert_eq!(world.apply(Command::CorrectTime { to }), Reply::Done);
    world.now += ms;
}

/// Queues an object, which may go in an hour.
fn queue(world: &mut World, number: u32) {
    let mut gone = put(&repo("a"), number, &[]);
    gone.payload = Payload::Object(ObjectKey::manifest(CLUSTER, u128::from(number)));
    world.put(gone);
    world.apply(Command::DeleteManifest {
        repository: repo("a"),
        digest: manifest(number),
        principal: who("ann"),
    });
}

fn due(world: &World) -> usize {
    let query = Query::DueDeletions {
        limit: DELETIONS_PER_ENTRY_MAX,
        now: LogTime(world.now),
    };
    match world.ask(query) {
        Answer::Deletions { objects } => objects.len(),
        answer => panic!("{answer:?}"),
    }
}

#[test]
fn time_that_is_a_minute_behind_at_most_is_not_corrected() {
    let mut world = World::new();
    let before = LogTime(world.now);
    for ms in [0, 1, MINUTE_MS] {
        let to = before.plus_ms(ms);
        assert_eq!(world.apply(Command::CorrectTime { to }), Reply::Done);
        assert_eq!(view(&world).time, before);
        assert_eq!(view(&world).upkeep, UpkeepRow::default());
    }
    correct(&mut world, MINUTE_MS + 1);
    let corrected = before.plus_ms(MINUTE_MS + 1);
    assert_eq!(view(&world).time, corrected);
    assert_eq!(view(&world).upkeep.corrected, Some(corrected));
    // A leader that was slow to say the same, or older, has no effect.
    let to = before.plus_ms(MINUTE_MS);
    assert_eq!(world.apply(Command::CorrectTime { to }), Reply::Done);
    assert_eq!(view(&world).upkeep.corrected, Some(corrected));
}

#[test]
fn what_waited_before_a_correction_is_not_deleted_for_a_day() {
    let mut world = World::new();
    queue(&mut world, 1);
    correct(&mut world, 30 * DAY_MS);
    let corrected = LogTime(world.now);
    assert_eq!(due(&world), 0);
    let end = corrected.plus_ms(DAY_MS);
    let upkeep = view(&world).upkeep;
    assert_eq!(upkeep.suspended_until(LogTime(world.now)), Some(end));
    // What was queued afterwards has waited its whole time on the new clock.
    world.now += 1;
    queue(&mut world, 2);
    world.now += HOUR_MS - 1;
    assert_eq!(due(&world), 0);
    world.now += 1;
    assert_eq!(due(&world), 1);
    let keys = [1, 2].map(|number| ObjectKey::manifest(CLUSTER, number));
    world.apply(Command::ObjectsDeleted { keys: keys.into() });
    assert_eq!(world.queued().len(), 1);
    world.now = end.0 - 1;
    assert_eq!(due(&world), 0);
    world.now = end.0;
    assert_eq!(due(&world), 1);
    assert_eq!(upkeep.suspended_until(end), None);
}

#[test]
fn time_before_a_correction_does_not_count_for_a_day() {
    let upkeep = UpkeepRow {
        corrected: Some(LogTime(10 * DAY_MS)),
        ..UpkeepRow::default()
    };
    let passed = |since: u64, span, now: u64| upkeep.has_passed(LogTime(since), span, LogTime(now));
    let corrected = 10 * DAY_MS;
    assert!(!passed(corrected - 1, 1, corrected + DAY_MS - 1));
    assert!(passed(corrected - 1, 1, corrected + DAY_MS));
    assert!(passed(corrected, HOUR_MS, corrected + HOUR_MS));
    assert!(!passed(corrected, HOUR_MS, corrected + HOUR_MS - 1));
    let never = UpkeepRow::default();
    assert!(never.has_passed(LogTime(5), 5, LogTime(10)));
    assert!(!never.has_passed(LogTime(5), 6, LogTime(10)));
}

#[test]
fn next_format_is_known_since_the_last_node_said_so() {
    let next = FORMAT_MAX + 1;
    let mut world = World::founded();
    world.set_cluster(|row| row.format = FORMAT_MAX);
    let says = |world: &mut World, node, format_max| {
        let mut announcement = announcement(1);
        announcement.format_max = format_max;
        world.apply(Command::AnnounceNode { node, announcement })
    };
    let since = |world: &World| view(world).upkeep.next_format_since;
    world.checks_invariants = false;
    let gateway = world.join(by_secret(NodeRole::Gateway, 2));
    world.checks_invariants = true;
    says(&mut world, FIRST, next);
    assert_eq!(since(&world), None);
    world.now += 1;
    says(&mut world, gateway, next);
    let known = Some(LogTime(world.now));
    assert_eq!(since(&world), known);
    // Hearing it again changes nothing, nor does a node that knows it, too.
    world.now += DAY_MS - 1;
    says(&mut world, FIRST, next);
    let mut third = by_secret(NodeRole::Member, 3);
    third.announcement.format_max = next;
    world.join(third);
    assert_eq!(since(&world), known);
    let raise = Command::RaiseFormatInTime { to: next };
    let early = too_early(world.now + 1);
    assert_eq!(world.refused(raise.clone()), early);
    // An older build begins the wait anew.
    let old = world.join(by_secret(NodeRole::Gateway, 4));
    assert_eq!(since(&world), None);
    world.now += DAY_MS;
    let nodes = vec![old];
    assert_eq!(
        world.refused(raise.clone()),
        Refusal::FormatUnsupported { nodes }
    );
    world.remove(old);
    assert_eq!(since(&world), Some(LogTime(world.now)));
    let early = too_early(world.now + DAY_MS);
    assert_eq!(world.refused(raise.clone()), early);
    // Nor does a jump of the clock end it.
    correct(&mut world, 2 * DAY_MS);
    let early = too_early(world.now + DAY_MS);
    assert_eq!(world.refused(raise), early);
    let present = Command::RaiseFormatInTime { to: FORMAT_MAX };
    assert_eq!(world.apply(present), Reply::Done);
}

#[cfg(feature = "next-format")]
#[test]
fn format_is_raised_in_its_time() {
    let mut world = World::founded();
    let raise = Command::RaiseFormatInTime { to: FORMAT + 1 };
    let early = too_early(world.now + DAY_MS);
    assert_eq!(world.refused(raise.clone()), early);
    world.now += DAY_MS;
    assert_eq!(world.apply(raise.clone()), Reply::Done);
    assert_eq!(view(&world).format, FORMAT + 1);
    assert_eq!(view(&world).upkeep.next_format_since, None);
    assert_eq!(world.apply(raise), Reply::Done);
}

#[test]
fn format_is_raised_by_itself_in_a_founded_cluster_only() {
    let mut world = World::new();
    let raise = Command::RaiseFormatInTime { to: FORMAT + 1 };
    assert_eq!(world.refused(raise), Refusal::NotFounded);
}

#[test]
fn gateway_that_was_not_heard_of_for_a_day_is_removed() {
    let mut world = World::founded();
    let second = world.join(by_secret(NodeRole::Member, 2));
    let gateway = world.join(by_secret(NodeRole::Gateway, 3));
    let remove = Command::RemoveGoneGateway { gateway };
    world.now += DAY_MS - 1;
    let early = too_early(world.now + 1);
    assert_eq!(world.refused(remove.clone()), early);
    world.apply(Command::AnnounceNode {
        node: gateway,
        announcement: announcement(3),
    });
    world.now += 1;
    let early = too_early(world.now - 1 + DAY_MS);
    assert_eq!(world.refused(remove.clone()), early);
    world.now += DAY_MS - 1;
    assert_eq!(world.apply(remove.clone()), Reply::Done);
    assert!(world.node(gateway).is_some_and(|row| row.removed.is_some()));
    assert_eq!(world.apply(remove), Reply::Done);
    // Members never go like that, and unknown ones not at all.
    let member = Command::RemoveGoneGateway { gateway: second };
    let refusal = world.refused(member);
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    let unknown = Command::RemoveGoneGateway {
        gateway: NodeId(99),
    };
    assert_eq!(world.refused(unknown), Refusal::NodeUnknown);
}

#[test]
fn jump_of_the_clock_removes_no_gateway() {
    let mut world = World::founded();
    let gateway = world.join(by_secret(NodeRole::Gateway, 2));
    correct(&mut world, 3 * DAY_MS);
    let remove = Command::RemoveGoneGateway { gateway };
    let early = too_early(world.now + DAY_MS);
    assert_eq!(world.refused(remove.clone()), early);
    world.now += DAY_MS;
    assert_eq!(world.apply(remove), Reply::Done);
}

#[test]
fn removed_gateways_are_forgotten_before_removed_members() {
    let mut world = World::founded();
    let member = world.join(by_secret(NodeRole::Member, 2));
    let gateway = world.join(by_secret(NodeRole::Gateway, 3));
    world.remove(member);
    world.remove(gateway);
    world.now += 60 * DAY_MS;
    world.join(by_secret(NodeRole::Gateway, 4));
    assert!(world.node(gateway).is_none());
    assert!(world.node(member).is_some());
    world.now += 340 * DAY_MS;
    world.join(by_secret(NodeRole::Gateway, 5));
    assert!(world.node(member).is_none());
}

#[test]
fn jump_of_the_clock_forgets_no_removed_node() {
    let mut world = World::founded();
    let member = world.join(by_secret(NodeRole::Member, 2));
    world.remove(member);
    correct(&mut world, 500 * DAY_MS);
    world.join(by_secret(NodeRole::Gateway, 3));
    assert!(world.node(member).is_some());
    world.now += DAY_MS;
    world.join(by_secret(NodeRole::Gateway, 4));
    assert!(world.node(member).is_none());
}

#[test]
fn one_dead_voter_is_replaced_in_an_hour() {
    let mut world = World::founded();
    let mut join = |key| world.join(by_secret(NodeRole::Member, key));
    let (second, third, fourth) = (join(2), join(3), join(4));
    let replace = |dead, spare| Command::ReplaceVoter { dead, spare };
    assert_eq!(world.apply(replace(FIRST, fourth)), Reply::Done);
    let begun = world.now;
    world.now += HOUR_MS - 1;
    assert_eq!(
        world.refused(replace(second, third)),
        too_early(begun + HOUR_MS)
    );
    // The next leader carries out what the last one had decided, and that counts once.
    assert_eq!(world.apply(replace(FIRST, fourth)), Reply::Done);
    world.now += 1;
    assert_eq!(world.apply(replace(second, third)), Reply::Done);
    assert_eq!(
        world.refused(replace(FIRST, fourth)),
        too_early(world.now + HOUR_MS)
    );
}

#[test]
fn members_only_take_the_place_of_voters() {
    let mut world = World::founded();
    let gateway = world.join(by_secret(NodeRole::Gateway, 2));
    let replace = |dead, spare| Command::ReplaceVoter { dead, spare };
    let refusal = world.refused(replace(FIRST, gateway));
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    let refusal = world.refused(replace(FIRST, NodeId(9)));
    assert_eq!(refusal, Refusal::NodeUnknown);
    assert_eq!(view(&world).upkeep.replacement, None);
}
