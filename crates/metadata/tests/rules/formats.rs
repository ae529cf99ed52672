//! The log's format: raised by one when every node knows the next, and never lowered. Rule 3.7.

use metadata::{
    Answer, ApplyFailure, ClusterView, Command, Entry, FORMAT, FORMAT_MAX, LogIndex, LogTime,
    NodeId, NodeRole, Query, Refusal, Reply, apply,
};

use crate::roster::{FIRST, announcement, by_secret};
use crate::world::{World, create, repo};

fn view(world: &World) -> ClusterView {
    match world.ask(Query::Cluster) {
        Answer::Cluster(view) => view,
        answer => panic!("{answer:?}"),
    }
}

fn raise(to: u32) -> Command {
    Command::RaiseFormat { to }
}

fn label(text: &str) -> Command {
    let label = text.to_owned();
    Command::SetLabel { label }
}

/// A node joins or says again which format it knows.
fn knows(world: &mut World, key: u8, format_max: u32) -> NodeId {
    let mut join = by_secret(NodeRole::Member, key);
    join.announcement.format_max = format_max;
    world.join(join)
}

#[test]
fn every_cluster_begins_with_the_first_format() {
    assert_eq!(FORMAT, 1);
    assert_eq!(view(&World::unnamed()).format, FORMAT);
    assert_eq!(view(&World::founded()).format, FORMAT);
}

#[test]
fn command_of_a_later_format_is_refused() {
    let mut world = World::founded();
    let refusal = Refusal::FormatTooLow {
        needed: 2,
        current: 1,
    };
    let early = label("Blue");
    assert_eq!(view(&world).format_refusal(&early), Some(refusal.clone()));
    assert_eq!(world.refused(early), refusal);
    assert_eq!(view(&world).label, None);
    let upload = create(&repo("a"), oci::UploadId::from_u128(1), true);
    assert_eq!(view(&world).format_refusal(&upload), None);
}

#[test]
fn format_is_raised_by_one_at_a_time() {
    let mut world = World::founded();
    for to in [0, FORMAT + 2, u32::MAX] {
        let refusal = world.refused(raise(to));
        assert!(
            matches!(refusal, Refusal::Invalid { .. }),
            "{to}: {refusal:?}"
        );
    }
    assert_eq!(world.apply(raise(FORMAT)), Reply::Done);
    assert_eq!(view(&world).format, FORMAT);
}

#[test]
fn format_waits_for_every_node() {
    let mut world = World::founded();
    let next = FORMAT + 1;
    knows(&mut world, 1, FORMAT);
    let second = knows(&mut world, 2, FORMAT);
    let third = knows(&mut world, 3, next);
    let gateway = world.join(by_secret(NodeRole::Gateway, 4));
    let mut old = announcement(4);
    old.format_max = FORMAT;
    world.apply(Command::AnnounceNode {
        node: gateway,
        announcement: old,
    });
    let nodes = vec![FIRST, second, gateway];
    let refusal = world.refused(raise(next));
    assert_eq!(refusal, Refusal::FormatUnsupported { nodes });
    // A removed node is not waited for.
    world.remove(second);
    world.remove(gateway);
    let nodes = vec![FIRST];
    assert_eq!(
        world.refused(raise(next)),
        Refusal::FormatUnsupported { nodes }
    );
    assert!(world.node(third).is_some());
    assert_eq!(view(&world).format, FORMAT);
}

#[test]
fn refusal_names_a_hundred_nodes_at_most() {
    let mut world = World::founded();
    world.checks_invariants = false;
    for key in 1..=120 {
        knows(&mut world, key, FORMAT);
    }
    match world.refused(raise(FORMAT + 1)) {
        Refusal::FormatUnsupported { nodes } => {
            assert_eq!(nodes, (1..=100).map(NodeId).collect::<Vec<_>>());
        }
        refusal => panic!("{refusal:?}"),
    }
}

/// Every node says that it knows the format after the last that this build knows: it was replaced by an older one.
#[test]
fn build_that_does_not_know_the_format_stops() {
    let mut world = World::founded();
    world.set_cluster(|row| row.format = FORMAT_MAX);
    knows(&mut world, 1, FORMAT_MAX + 1);
    let entry = |sequence, command| Entry {
        id: metadata::CommandId {
            incarnation: 8,
            sequence,
        },
        seen: LogIndex(1),
        stamped: LogTime(1_000_000),
        command,
    };
    let index = LogIndex(world.index + 1);
    let raised = apply(&mut world.tables, index, &entry(1, raise(FORMAT_MAX + 1)));
    let newer = FORMAT_MAX + 1;
    assert!(
        matches!(raised, Err(ApplyFailure::NewerFormat { format }) if format == newer),
        "{raised:?}"
    );
    // Nor does it go on with tables that somebody else has raised.
    world.set_cluster(|row| row.format = newer);
    let remove = entry(2, Command::RemoveNode { node: NodeId(9) });
    let applied = apply(&mut world.tables, index, &remove);
    let text = applied.expect_err("it does not know them").to_string();
    assert!(text.contains("run the newer Holdfast"), "{text}");
}

#[cfg(feature = "next-format")]
mod next {
    use super::*;

    fn raised() -> World {
        let mut world = World::founded();
        assert_eq!(world.apply(raise(2)), Reply::Done);
        assert_eq!(view(&world).format, 2);
        world
    }

    #[test]
    fn label_is_kept_once_the_format_has_it() {
        let mut world = raised();
        assert_eq!(view(&world).format_refusal(&label("Blue")), None);
        assert_eq!(world.apply(label("Blue – Zürich")), Reply::Done);
        assert_eq!(view(&world).label.as_deref(), Some("Blue – Zürich"));
        for bad in [&"x".repeat(65), "a\nb"] {
            let refusal = world.refused(label(bad));
            assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
        }
        assert_eq!(world.apply(label(&"x".repeat(64))), Reply::Done);
        assert_eq!(world.apply(label("")), Reply::Done);
        assert_eq!(view(&world).label, None);
    }

    #[test]
    fn format_is_never_lowered() {
        let mut world = raised();
        let refusal = world.refused(raise(1));
        assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
        assert_eq!(world.apply(raise(2)), Reply::Done);
    }

    #[test]
    fn older_build_has_no_place_any_more() {
        let mut world = raised();
        let needed = Refusal::FormatTooOld { needed: 2 };
        let mut old = by_secret(NodeRole::Gateway, 2);
        old.announcement.format_max = 1;
        assert_eq!(world.join_refused(old), needed);
        let mut announcement = announcement(1);
        announcement.format_max = 1;
        let node = FIRST;
        let refusal = world.refused(Command::AnnounceNode { node, announcement });
        assert_eq!(refusal, needed);
        knows(&mut world, 2, 2);
    }
}
