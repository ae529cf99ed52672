//! The authority is rotated in steps, each of which waits for every node. Rule 5.16.

use bytes::Bytes;
use metadata::{
    Answer, Command, NodeId, NodeRole, NodeTrust, Query, Refusal, Reply, TableId, keys,
};

use crate::roster::{FIRST, by_secret, found};
use crate::world::World;

const NEXT: &[u8] = b"the next authority";

fn add() -> Command {
    Command::AddAuthority {
        certificate: Bytes::from_static(NEXT),
        sealed_key: Bytes::from_static(b"its key, sealed"),
    }
}

fn trust(believes: u32, signed_by: u32) -> NodeTrust {
    NodeTrust {
        believes,
        signed_by,
    }
}

impl World {
    fn has(&mut self, node: NodeId, trust: NodeTrust) {
        let note = Command::NoteTrust { node, trust };
        assert_eq!(self.apply(note), Reply::Done);
    }

    /// The numbers of the authorities, and which one signs.
    fn authorities(&self) -> (Vec<u32>, u32) {
        match self.ask(Query::Authorities) {
            Answer::Authorities {
                authorities,
                signing,
            } => (authorities.iter().map(|(n, _)| *n).collect(), signing),
            answer => panic!("{answer:?}"),
        }
    }

    /// The certificate of the authority that signs, and of the others.
    fn signs(&self) -> (Bytes, Vec<Bytes>) {
        match self.ask(Query::Authority) {
            Answer::Authority {
                certificate,
                others,
                ..
            } => (certificate, others),
            answer => panic!("{answer:?}"),
        }
    }
}

fn behind(nodes: &[NodeId]) -> Refusal {
    let nodes = nodes.to_vec();
    Refusal::NodesBehind { nodes }
}

#[test]
fn new_authority_is_believed_by_all_before_it_signs_and_signs_for_all_before_the_old_one_ends() {
    let mut world = World::founded();
    let gateway = world.join(by_secret(NodeRole::Gateway, 2));
    let removed = world.join(by_secret(NodeRole::Member, 3));
    world.remove(removed);
    let (old, next) = (found().authority_certificate, Bytes::from_static(NEXT));
    assert_eq!(world.authorities(), (vec![1], 1));
    assert_eq!(world.apply(add()), Reply::Done);
    assert_eq!(world.authorities(), (vec![1, 2], 1));
    assert_eq!(world.signs(), (old.clone(), vec![next.clone()]));
    // It does not sign before all believe it.
    let refusal = world.refused(Command::SignWithNextAuthority);
    assert_eq!(refusal, behind(&[FIRST, gateway]));
    let refusal = world.refused(Command::DropAuthority);
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    world.has(FIRST, trust(2, 1));
    let refusal = world.refused(Command::SignWithNextAuthority);
    assert_eq!(refusal, behind(&[gateway]));
    world.has(gateway, trust(2, 1));
    for _ in 0..2 {
        let signs = world.apply(Command::SignWithNextAuthority);
        assert_eq!(signs, Reply::Done);
        assert_eq!(world.authorities(), (vec![1, 2], 2));
    }
    assert_eq!(world.signs(), (next.clone(), vec![old]));
    // The old one does not end before nobody shows its certificates.
    world.has(gateway, trust(2, 2));
    let refusal = world.refused(Command::DropAuthority);
    assert_eq!(refusal, behind(&[FIRST]));
    world.has(FIRST, trust(2, 2));
    for _ in 0..2 {
        assert_eq!(world.apply(Command::DropAuthority), Reply::Done);
        assert_eq!(world.authorities(), (vec![2], 2));
    }
    assert_eq!(world.signs(), (next, Vec::new()));
    // And again.
    assert_eq!(world.apply(add()), Reply::Done);
    assert_eq!(world.authorities(), (vec![2, 3], 2));
}

#[test]
fn authority_is_rotated_once_at_a_time_and_in_a_founded_cluster_only() {
    let mut world = World::new();
    assert_eq!(world.refused(add()), Refusal::NotFounded);
    let mut world = World::founded();
    assert_eq!(world.apply(add()), Reply::Done);
    let refusal = world.refused(add());
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    let too_large = Command::AddAuthority {
        certificate: vec![0; metadata::AUTHORITY_BYTES_MAX + 1].into(),
        sealed_key: Bytes::new(),
    };
    let refusal = World::founded().refused(too_large);
    assert!(matches!(refusal, Refusal::Invalid { .. }), "{refusal:?}");
    assert_eq!(world.count(TableId::Authority), 2);
}

#[test]
fn who_joins_while_the_authority_is_rotated_has_what_there_is_then() {
    let mut world = World::founded();
    let row = world.node(FIRST).expect("it founded the cluster");
    assert_eq!(row.trust, trust(1, 1));
    world.apply(add());
    let second = world.join(by_secret(NodeRole::Member, 2));
    assert_eq!(world.node(second).map(|row| row.trust), Some(trust(2, 1)));
    world.has(FIRST, trust(2, 1));
    world.apply(Command::SignWithNextAuthority);
    let third = world.join(by_secret(NodeRole::Member, 3));
    assert_eq!(world.node(third).map(|row| row.trust), Some(trust(2, 2)));
    let refusal = world.refused(Command::DropAuthority);
    assert_eq!(refusal, behind(&[FIRST, second]));
    assert!(world.row(&keys::authority(1)).is_some());
}

#[test]
fn removed_and_unknown_nodes_have_no_say() {
    let mut world = World::founded();
    let second = world.join(by_secret(NodeRole::Member, 2));
    world.remove(second);
    let note = |node| Command::NoteTrust {
        node,
        trust: trust(9, 9),
    };
    assert_eq!(world.refused(note(second)), Refusal::NodeRemoved);
    assert_eq!(world.refused(note(NodeId(9))), Refusal::NodeUnknown);
    // Nothing is done when nothing is rotated.
    for command in [Command::SignWithNextAuthority, Command::DropAuthority] {
        assert_eq!(world.apply(command), Reply::Done);
        assert_eq!(world.authorities(), (vec![1], 1));
    }
}
