//! A restored cluster: it has everything that was pushed and nobody of the old one, and deletes nothing that it borrowed.
//! Rules 6.1 and 6.3.

use metadata::{
    Answer, ClusterId, Command, FoundCluster, ManifestReference, NodeId, ObjectKey, Payload, Query,
    Reply, Row, TableId, invariant, keys, succeed,
};

use crate::roster::{announcement, by_secret};
use crate::world::{CLUSTER, World, blob, manifest, naming, put, repo, who};

const SUCCESSOR: ClusterId = ClusterId(0xc2);

/// A founded cluster with an image, an upload under way and a queued object.
fn lived_in() -> World {
    let mut world = World::founded();
    let name = repo("a");
    world.join(by_secret(metadata::NodeRole::Member, 2));
    world.issue(5, metadata::NodeRole::Member);
    world.push_blob(&name, 1);
    world.push_blob(&name, 2);
    let names = [ManifestReference::RequiredBlob(blob(1))];
    let mut image = naming(put(&name, 1, &["t", "u"]), &names);
    image.payload = Payload::Object(ObjectKey::manifest(CLUSTER, 9));
    world.put(image);
    world.create(&name);
    // An object that is queued: the payload of a manifest that is gone.
    let mut gone = put(&name, 2, &[]);
    gone.payload = Payload::Object(ObjectKey::manifest(CLUSTER, 10));
    world.put(gone);
    world.apply(Command::DeleteManifest {
        repository: name,
        digest: manifest(2),
        principal: who("ann"),
    });
    world
}

fn rows(world: &World, but: &[TableId]) -> Vec<(TableId, Vec<u8>, Row)> {
    let rows = world.tables.rows();
    rows.filter(|(table, _, _)| !but.contains(table))
        .map(|(table, key, row)| (table, key.to_vec(), row.clone()))
        .collect()
}

const OF_THE_OLD: [TableId; 8] = [
    TableId::Cluster,
    TableId::Node,
    TableId::JoinToken,
    TableId::Authority,
    TableId::Upload,
    TableId::UploadPart,
    TableId::FinishedUpload,
    TableId::Deletion,
];

#[test]
fn what_was_pushed_comes_along_and_nobody_of_the_old_cluster() {
    let mut world = lived_in();
    let before = rows(&world, &OF_THE_OLD);
    assert!(world.count(TableId::Upload) > 0 && world.count(TableId::Node) > 1);
    succeed(&mut world.tables, CLUSTER, SUCCESSOR).expect("it is sound");
    invariant::check_all(&world.tables).expect("every invariant holds");
    assert_eq!(rows(&world, &OF_THE_OLD), before);
    for table in OF_THE_OLD.iter().skip(1) {
        assert_eq!(world.count(*table), 0, "{table:?}");
    }
    let row = world.row(&keys::cluster()).expect("it is there");
    assert_eq!((row.cluster, row.last_node), (Some(SUCCESSOR), 0));
    assert_eq!((row.time.0, row.repositories), (world.now, 1));
    assert_eq!(row.storage.borrowed, [CLUSTER]);

    let founded = world.apply(Command::FoundCluster(Box::new(FoundCluster {
        node: NodeId(1),
        key_hash: [9; 32],
        announcement: announcement(1),
        authority_certificate: vec![1].into(),
        sealed_authority_key: vec![2].into(),
    })));
    assert_eq!(founded, Reply::Founded { node: NodeId(1) });
}

#[test]
fn what_was_borrowed_is_never_queued_for_deletion() {
    for is_restored in [false, true] {
        let mut world = lived_in();
        let queued = world.queued().len();
        assert!(queued > 0 || is_restored);
        if is_restored {
            succeed(&mut world.tables, CLUSTER, SUCCESSOR).expect("it is sound");
        }
        delete_image(&mut world);
        assert_eq!(world.count(TableId::Manifest), 0, "the record goes");
        let expected = if is_restored { 0 } else { queued + 1 };
        assert_eq!(
            world.queued().len(),
            expected,
            "the bytes of what is borrowed stay"
        );
    }
}

/// Deletes the image, which has an object of its own.
fn delete_image(world: &mut World) {
    let deleted = world.apply(Command::DeleteManifest {
        repository: repo("a"),
        digest: manifest(1),
        principal: who("ann"),
    });
    assert_eq!(deleted, Reply::Done);
}

fn borrowed_from(world: &World) -> Vec<ClusterId> {
    match world.ask(Query::Cluster) {
        Answer::Cluster(view) => view.borrowed_from().collect(),
        answer => panic!("{answer:?}"),
    }
}

#[test]
fn what_was_adopted_is_deleted_like_its_own() {
    let mut world = lived_in();
    assert_eq!(borrowed_from(&world), []);
    succeed(&mut world.tables, CLUSTER, SUCCESSOR).expect("it is sound");
    assert_eq!(borrowed_from(&world), [CLUSTER]);
    for _ in 0..2 {
        assert_eq!(world.apply(Command::AdoptBlobs), Reply::Done);
        assert_eq!(borrowed_from(&world), []);
    }
    delete_image(&mut world);
    let object = ObjectKey::manifest(CLUSTER, 9).to_string();
    let queued = world.queued();
    assert!(queued.iter().any(|(_, key)| *key == object), "{queued:?}");
}

/// The cluster in between may live, and with it the right to delete what it had adopted.
#[test]
fn who_is_restored_from_a_restored_cluster_borrows_from_both() {
    const THIRD: ClusterId = ClusterId(0xc3);
    let mut world = lived_in();
    succeed(&mut world.tables, CLUSTER, SUCCESSOR).expect("it is sound");
    world.apply(Command::AdoptBlobs);
    succeed(&mut world.tables, SUCCESSOR, THIRD).expect("it is sound");
    assert_eq!(borrowed_from(&world), [CLUSTER, SUCCESSOR]);
    delete_image(&mut world);
    assert_eq!(world.queued(), []);
}

#[test]
fn the_state_of_another_cluster_is_refused() {
    let mut world = lived_in();
    let before = world.tables.clone();
    let failure = succeed(&mut world.tables, ClusterId(7), SUCCESSOR).expect_err("another's");
    assert!(
        failure.to_string().contains(&CLUSTER.to_string()),
        "{failure}"
    );
    assert_eq!(world.tables, before);
}
