//! Nodes join, say what they are, and are removed; ids and keys are never given again. Rules 5.6 and 5.8.

use metadata::{
    Command, FORMAT, LogTime, NODES_MAX, NodeAnnouncement, NodeId, NodeRole, Refusal, Reply, Row,
    TableId, Tables, keys,
};

use crate::roster::{DAY_MS, FIRST, announcement, by_secret, by_token, key_hash};
use crate::world::World;

const MEMBER: NodeRole = NodeRole::Member;
const GATEWAY: NodeRole = NodeRole::Gateway;

fn announce(node: NodeId, announcement: NodeAnnouncement) -> Command {
    Command::AnnounceNode { node, announcement }
}

#[test]
fn who_knows_the_bootstrap_secret_joins() {
    let mut world = World::founded();
    let second = world.join(by_secret(MEMBER, 2));
    let third = world.join(by_secret(GATEWAY, 3));
    assert_eq!((second, third), (NodeId(2), NodeId(3)));
    let seen: Vec<_> = world
        .nodes()
        .into_iter()
        .map(|view| (view.node, view.role, view.key_hash))
        .collect();
    let expected = [
        (FIRST, MEMBER, key_hash(1)),
        (second, MEMBER, key_hash(2)),
        (third, GATEWAY, key_hash(3)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_the_log_does_not_take_does_not_join() {
    let mut world = World::founded();
    world.issue(5, MEMBER);
    let mut nameless = by_token(5, MEMBER, 2);
    nameless.announcement.name.clear();
    let refusal = world.join_refused(nameless);
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    let mut old = by_token(5, MEMBER, 2);
    old.announcement.format_max = FORMAT - 1;
    let refusal = world.join_refused(old);
    assert_eq!(refusal, Refusal::FormatTooOld { needed: FORMAT });
    assert_eq!(world.token_row(5).and_then(|row| row.used), None);
    assert_eq!(world.join(by_token(5, MEMBER, 2)), NodeId(2));
}

#[test]
fn node_says_what_it_is_now() {
    let mut world = World::founded();
    let joined = LogTime(world.now);
    world.now += 100;
    let moved = NodeAnnouncement {
        peer_address: "10.1.1.1:7070".to_owned(),
        version: "0.2.0".to_owned(),
        ..announcement(1)
    };
    assert_eq!(world.apply(announce(FIRST, moved.clone())), Reply::Done);
    let row = world.node(FIRST).expect("it is there");
    assert_eq!(row.announcement, moved);
    assert_eq!((row.joined, row.announced), (joined, LogTime(world.now)));

    world.now += 100;
    assert_eq!(world.apply(announce(FIRST, moved)), Reply::Done);
    let again = world.node(FIRST).expect("it is there");
    assert_eq!(again.announced, LogTime(world.now));
    let announced = row.announced;
    assert_eq!(metadata::NodeRow { announced, ..again }, row);
}

#[test]
fn who_may_not_say_anything() {
    let mut world = World::founded();
    let gateway = world.join(by_secret(GATEWAY, 2));
    let refusal = world.refused(announce(NodeId(9), announcement(9)));
    assert_eq!(refusal, Refusal::NodeUnknown);
    let mut bad = announcement(2);
    bad.version = "\u{1b}[2J".to_owned();
    let refusal = world.refused(announce(gateway, bad));
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    let mut old = announcement(2);
    old.format_max = 0;
    let refusal = world.refused(announce(gateway, old));
    assert_eq!(refusal, Refusal::FormatTooOld { needed: FORMAT });
    world.remove(gateway);
    let refusal = world.refused(announce(gateway, announcement(2)));
    assert_eq!(refusal, Refusal::NodeRemoved);
}

#[test]
fn removed_node_does_not_come_back() {
    let mut world = World::founded();
    world.issue(5, MEMBER);
    let node = world.join(by_token(5, MEMBER, 2));
    world.now += 10;
    let removed = LogTime(world.now);
    world.remove(node);
    world.now += 10;
    world.remove(node);
    assert_eq!(world.nodes()[1].removed, Some(removed), "once is enough");
    world.issue(6, MEMBER);
    for join in [
        by_token(5, MEMBER, 2),
        by_token(6, MEMBER, 2),
        by_token(6, GATEWAY, 2),
        by_secret(MEMBER, 2),
    ] {
        assert_eq!(world.join_refused(join), Refusal::NodeRemoved);
    }
    let replaced = world.join(by_token(6, MEMBER, 3));
    assert_eq!(replaced, NodeId(3), "a fresh key gets a fresh id");
}

#[test]
fn last_member_stays() {
    let mut world = World::founded();
    let gateway = world.join(by_secret(GATEWAY, 2));
    let remove = |node| Command::RemoveNode { node };
    assert_eq!(world.refused(remove(FIRST)), Refusal::LastMember);
    assert_eq!(world.refused(remove(NodeId(9))), Refusal::NodeUnknown);
    let second = world.join(by_secret(MEMBER, 3));
    world.remove(FIRST);
    assert_eq!(world.refused(remove(second)), Refusal::LastMember);
    world.remove(FIRST);
    world.remove(gateway);
    let third = world.join(by_secret(MEMBER, 4));
    world.remove(second);
    assert_eq!(world.refused(remove(third)), Refusal::LastMember);
}

#[test]
fn removed_node_is_remembered_longer_than_any_certificate_lives() {
    let mut world = World::founded();
    let node = world.join(by_secret(GATEWAY, 2));
    world.remove(node);
    world.now += 60 * DAY_MS - 1;
    let next = world.join(by_secret(GATEWAY, 3));
    assert_eq!(
        world.join_refused(by_secret(GATEWAY, 2)),
        Refusal::NodeRemoved
    );
    world.now += 1;
    let last = world.join(by_secret(GATEWAY, 4));
    assert_eq!(world.node(node), None);
    assert_eq!((next, last), (NodeId(3), NodeId(4)));
    let refusal = world.refused(Command::RemoveNode { node });
    assert_eq!(refusal, Refusal::NodeUnknown);
    // Its key may begin anew; its id may not.
    assert_eq!(world.join(by_secret(GATEWAY, 2)), NodeId(5));
}

/// As if many nodes had joined and been removed.
fn crowd(world: &mut World, count: usize, removed: Option<LogTime>) {
    let model = world.node(FIRST).expect("it founded the cluster");
    for number in 2..2 + count as u64 {
        let mut row = model.clone();
        row.role = GATEWAY;
        row.removed = removed;
        row.key_hash = [0xee; 32];
        row.key_hash[..8].copy_from_slice(&number.to_be_bytes());
        let key = keys::node(NodeId(number));
        let put = world.tables.put(key.table(), key.bytes(), Row::Node(row));
        put.expect("memory can be written");
    }
    world.set_cluster(|row| row.last_node += count as u64);
}

#[test]
fn many_removed_nodes_are_forgotten_a_hundred_at_a_time() {
    let mut world = World::founded();
    let removed = LogTime(world.now);
    crowd(&mut world, 250, Some(removed));
    world.now += 400 * DAY_MS + 1;
    for (key, left) in [(2, 251 - 100 + 1), (3, 252 - 200 + 1), (4, 1 + 3)] {
        world.join(by_secret(MEMBER, key));
        assert_eq!(world.count(TableId::Node), left);
    }
    // Who joins again makes no room for others.
    world.join(by_secret(MEMBER, 4));
    assert_eq!(
        world.nodes().last().map(|view| view.node),
        Some(NodeId(254))
    );
}

#[test]
fn cluster_of_as_many_nodes_as_can_be_takes_no_more() {
    let mut world = World::founded();
    world.checks_invariants = false;
    crowd(&mut world, NODES_MAX - 1, None);
    // The world checks that none of these touches too many rows.
    let refusal = world.join_refused(by_secret(MEMBER, 2));
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    assert_eq!(world.nodes().len(), NODES_MAX);
    world.remove(NodeId(2));
    let refusal = world.join_refused(by_secret(MEMBER, 2));
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    let refusal = world.refused(Command::RemoveNode { node: FIRST });
    assert_eq!(refusal, Refusal::LastMember);
    world.now += 400 * DAY_MS + 1;
    world.join(by_secret(MEMBER, 2));
    assert_eq!(world.count(TableId::Node), NODES_MAX);
}

#[test]
fn who_decides_about_nodes_is_a_member() {
    let for_members = [
        Command::FoundCluster(Box::new(crate::roster::found())),
        World::new().token(1, MEMBER, 1),
        Command::JoinNode(Box::new(by_secret(MEMBER, 2))),
        Command::RemoveNode { node: FIRST },
        Command::RaiseFormat { to: 2 },
        Command::CorrectTime { to: LogTime(1) },
        Command::RaiseFormatInTime { to: 2 },
        Command::RemoveGoneGateway { gateway: FIRST },
        Command::ReplaceVoter {
            dead: FIRST,
            spare: NodeId(2),
        },
        Command::AdoptBlobs,
    ];
    assert!(for_members.iter().all(Command::is_for_members_only));
    let for_all = [
        announce(FIRST, announcement(1)),
        crate::world::create(&crate::world::repo("a"), oci::UploadId::from_u128(1), true),
    ];
    assert!(!for_all.iter().any(Command::is_for_members_only));
    assert!(metadata::Query::Authority.is_for_members_only());
    assert!(!metadata::Query::Nodes.is_for_members_only());
}
