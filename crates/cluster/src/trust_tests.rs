//! A node and the authorities, through a whole rotation.

use std::time::SystemTime;

use identity::{CERTIFICATE_LIFE_DEFAULT, NodeId, NodeKey, Role};
use metadata::{ClusterId, LogTime, NodeAnnouncement, NodeView};

use super::*;

const CLUSTER: ClusterId = ClusterId(5);

fn authority() -> Authority {
    Authority::create(CLUSTER, SystemTime::now().into()).expect("it can be made")
}

fn identity(signer: &Authority, believed: &[&Authority]) -> NodeIdentity {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = NodeKey::pending(folder.path()).expect("a key");
    let now = SystemTime::now().into();
    let request = key.signing_request();
    let signed = signer.sign(
        &request,
        NodeId(7),
        Role::Member,
        now,
        CERTIFICATE_LIFE_DEFAULT,
    );
    let believed = believed.iter().map(|one| one.certificate().clone());
    NodeIdentity::new(key, signed.expect("it signs"), believed.collect()).expect("it fits")
}

fn bytes(authority: &Authority) -> Bytes {
    Bytes::copy_from_slice(authority.certificate())
}

fn trust(believes: u32, signed_by: u32) -> NodeTrust {
    NodeTrust {
        believes,
        signed_by,
    }
}

fn node(node: u64, trust: NodeTrust, removed: bool) -> NodeView {
    NodeView {
        node: NodeId(node),
        role: Role::Member,
        key_hash: [0; 32],
        announcement: NodeAnnouncement {
            name: String::new(),
            peer_address: String::new(),
            client_address: String::new(),
            version: String::new(),
            format_max: 1,
        },
        joined: LogTime(1),
        announced: LogTime(1),
        removed: removed.then_some(LogTime(2)),
        trust,
        storage: metadata::StorageWord::default(),
    }
}

#[test]
fn node_believes_what_there_is_and_tells_what_it_has() {
    let (old, new) = (authority(), authority());
    let one = Authorities {
        all: vec![(4, bytes(&old))],
        signing: 4,
    };
    let both = Authorities {
        all: vec![(4, bytes(&old)), (5, bytes(&new))],
        signing: 4,
    };
    let last = Authorities {
        all: vec![(5, bytes(&new))],
        signing: 5,
    };
    let before = identity(&old, &[&old]);
    assert_eq!(one.to_believe(&before), None);
    assert_eq!(one.trust_of(&before), trust(4, 4));
    // A new one came: it is not believed before it is.
    assert_eq!(both.trust_of(&before), trust(4, 4));
    let believed = both.to_believe(&before).expect("there is a new one");
    let believing = before.believing(believed).expect("it fits");
    assert_eq!(both.to_believe(&believing), None);
    assert_eq!(both.trust_of(&believing), trust(5, 4));
    let renewed = identity(&new, &[&old, &new]);
    assert_eq!(both.trust_of(&renewed), trust(5, 5));
    // The old one ended: it is believed no more, unless the node shows its certificate still.
    let alone = last.to_believe(&renewed).expect("one is gone");
    assert_eq!(alone, [new.certificate().clone()]);
    assert_eq!(last.to_believe(&believing), None);
    assert_eq!(last.trust_of(&believing), trust(5, 0));
}

#[test]
fn rotation_goes_on_when_every_node_has_got_so_far() {
    let (old, new) = (authority(), authority());
    let one = Authorities {
        all: vec![(1, bytes(&old))],
        signing: 1,
    };
    let nodes = [node(1, trust(1, 1), false)];
    assert_eq!(one.rotation(&nodes), None);
    assert_eq!(one.next_step(&nodes), None);
    let mut both = Authorities {
        all: vec![(1, bytes(&old)), (2, bytes(&new))],
        signing: 1,
    };
    let mut nodes = [
        node(1, trust(2, 1), false),
        node(2, trust(1, 1), false),
        node(3, trust(1, 1), true),
    ];
    let waits = |step, waits_for: &[u64]| {
        let waits_for = waits_for.to_vec();
        Some(RotationLine { step, waits_for })
    };
    assert_eq!(both.rotation(&nodes), waits("trust", &[2]));
    assert_eq!(both.next_step(&nodes), None);
    nodes[1].trust = trust(2, 1);
    let signs = Command::SignWithNextAuthority;
    assert_eq!(both.next_step(&nodes), Some(signs));
    both.signing = 2;
    assert_eq!(both.rotation(&nodes), waits("reissue", &[1, 2]));
    assert_eq!(both.next_step(&nodes), None);
    nodes[0].trust = trust(2, 2);
    nodes[1].trust = trust(2, 2);
    assert_eq!(both.next_step(&nodes), Some(Command::DropAuthority));
}
