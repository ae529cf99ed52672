//! A cluster is founded once, by its first member. Rule 5.6.

use bytes::Bytes;
use metadata::{
    AUTHORITY_BYTES_MAX, Answer, Command, FORMAT, FoundCluster, LogTime, NodeAnnouncement, NodeId,
    NodeRole, Query, Refusal, Reply, TableId, keys,
};

use crate::roster::{FIRST, announcement, by_secret, by_token, found, key_hash};
use crate::world::World;

fn founding(change: impl FnOnce(&mut FoundCluster)) -> Command {
    let mut found = found();
    change(&mut found);
    Command::FoundCluster(Box::new(found))
}

#[test]
fn before_it_has_a_name_no_cluster_is_founded() {
    let mut world = World::unnamed();
    let refusal = world.refused(founding(|_| {}));
    assert_eq!(refusal, Refusal::NotInitialized);
    assert_eq!(world.ask(Query::Authority), Answer::Absent);
}

#[test]
fn who_founds_it_is_its_first_member() {
    let mut world = World::new();
    assert_eq!(world.ask(Query::Authority), Answer::Absent);
    assert_eq!(world.nodes(), []);
    world.now += 5;
    let reply = world.apply(founding(|_| {}));
    assert_eq!(reply, Reply::Founded { node: FIRST });
    let nodes = world.nodes();
    assert_eq!(nodes.len(), 1);
    assert_eq!(
        (nodes[0].node, nodes[0].role, nodes[0].key_hash),
        (FIRST, NodeRole::Member, key_hash(1))
    );
    assert_eq!(nodes[0].announcement, announcement(1));
    let now = LogTime(world.now);
    assert_eq!(
        (nodes[0].joined, nodes[0].announced, nodes[0].removed),
        (now, now, None)
    );
    let authority = Answer::Authority {
        certificate: found().authority_certificate,
        sealed_key: found().sealed_authority_key,
        others: Vec::new(),
    };
    assert_eq!(world.ask(Query::Authority), authority);
    let row = world.row(&keys::authority(1)).expect("it is the first");
    assert_eq!(row.created, now);
}

#[test]
fn it_is_founded_once() {
    let mut world = World::founded();
    let again = founding(|found| {
        found.node = NodeId(2);
        found.key_hash = key_hash(2);
    });
    assert_eq!(world.refused(again), Refusal::AlreadyFounded);
    assert_eq!(world.refused(founding(|_| {})), Refusal::AlreadyFounded);
    assert_eq!(world.nodes().len(), 1);
    assert_eq!(world.count(TableId::Authority), 1);
}

#[test]
fn ids_go_on_from_the_first_members() {
    let mut world = World::new();
    let first = NodeId(7);
    let reply = world.apply(founding(|found| found.node = first));
    assert_eq!(reply, Reply::Founded { node: first });
    assert_eq!(world.join(by_secret(NodeRole::Member, 2)), NodeId(8));
}

#[test]
fn when_no_id_is_left_nobody_joins() {
    let mut world = World::new();
    world.apply(founding(|found| found.node = NodeId(u64::MAX)));
    let refusal = world.join_refused(by_secret(NodeRole::Member, 2));
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
}

#[test]
fn what_only_a_founded_cluster_has_is_refused_before() {
    let mut world = World::new();
    let token = world.token(1, NodeRole::Member, 1_000);
    for command in [token, Command::RaiseFormat { to: FORMAT }] {
        assert_eq!(world.refused(command), Refusal::NotFounded);
    }
    for join in [
        by_secret(NodeRole::Member, 2),
        by_token(1, NodeRole::Member, 2),
    ] {
        assert_eq!(world.join_refused(join), Refusal::NotFounded);
    }
    let node = FIRST;
    let announcement = announcement(1);
    for command in [
        Command::RemoveNode { node },
        Command::AnnounceNode { node, announcement },
    ] {
        assert_eq!(world.refused(command), Refusal::NodeUnknown);
    }
}

#[test]
fn bounds_of_a_founding() {
    let full = Bytes::from(vec![7; AUTHORITY_BYTES_MAX]);
    let over = Bytes::from(vec![7; AUTHORITY_BYTES_MAX + 1]);
    let mut world = World::new();
    for bad in [
        founding(|found| found.node = NodeId(0)),
        founding(|found| found.authority_certificate = over.clone()),
        founding(|found| found.sealed_authority_key = over.clone()),
        founding(|found| found.announcement.name.clear()),
    ] {
        let refusal = world.refused(bad);
        assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    }
    let old = founding(|found| found.announcement.format_max = 0);
    assert_eq!(world.refused(old), Refusal::FormatTooOld { needed: FORMAT });
    let good = founding(|found| {
        found.authority_certificate = full.clone();
        found.sealed_authority_key = full.clone();
    });
    assert_eq!(world.apply(good), Reply::Founded { node: FIRST });
}

#[test]
fn what_a_node_may_say_of_itself() {
    let takes = |change: &dyn Fn(&mut NodeAnnouncement)| {
        let mut announcement = announcement(1);
        change(&mut announcement);
        announcement.check().is_ok()
    };
    let named = |name: &str| takes(&|said| said.name = name.to_owned());
    assert!(named("a") && named("Rack-1.node_b") && named(&"n".repeat(63)));
    assert!(!named("") && !named(&"n".repeat(64)) && !named("a b") && !named("ä") && !named("a\n"));
    let reached = |address: &str| takes(&|said| said.peer_address = address.to_owned());
    let long = |bytes: usize| format!("{}:7070", "h".repeat(bytes - 5));
    assert!(reached("host:1") && reached("[fd00::1]:65535") && reached(&long(260)));
    for bad in [
        "",
        "host",
        ":7070",
        "host:",
        "host:70700",
        "host:+1",
        "a b:1",
        "a\u{7}:1",
    ] {
        assert!(!reached(bad), "{bad:?}");
    }
    assert!(!reached(&long(261)));
    let serves = |address: &str| takes(&|said| said.client_address = address.to_owned());
    assert!(serves("") && serves("https://registry.example") && serves(&"h".repeat(260)));
    assert!(!serves("a b") && !serves("\u{1b}[2J") && !serves(&"h".repeat(261)));
    let built = |version: &str| takes(&|said| said.version = version.to_owned());
    assert!(built("") && built("1.2.3-rc.1+abc") && built(&"1".repeat(64)));
    assert!(!built("1 2") && !built(&"1".repeat(65)));
}
