//! Mounts, renewals and ends of blob links. Rules 2.2 to 2.5.

use metadata::{
    BlobRow, BlobState, Command, LogTime, ManifestReference, Mount, Query, Refusal, Reply, Row,
    TableId, Tables, keys,
};
use oci::{Digest, RepositoryName};

use crate::world::{CREATED, World, blob, naming, put, repo, who};

fn mount(repository: &str, digest: Digest, from: Option<&str>) -> Command {
    Command::Mount(Mount {
        repository: repo(repository),
        digest,
        from: from.map(repo),
        principal: who("ben"),
    })
}

fn delete(repository: &str, digest: Digest) -> Command {
    Command::DeleteBlob {
        repository: repo(repository),
        digest,
        principal: who("ben"),
    }
}

fn renew(repository: &str, digest: Digest) -> Command {
    Command::RenewBlob {
        repository: repo(repository),
        digest,
    }
}

fn blob_row(world: &World, number: u32) -> BlobRow {
    world.row(&keys::blob(&blob(number))).expect("it is there")
}

fn since(world: &World) -> BlobState {
    BlobState::Unreferenced {
        since: LogTime(world.now),
    }
}

fn condemn(world: &mut World, number: u32) {
    let mut row = blob_row(world, number);
    row.state = BlobState::Condemned { since: LogTime(5) };
    let key = keys::blob(&blob(number));
    let put = world.tables.put(TableId::Blob, key.bytes(), Row::Blob(row));
    put.expect("memory can be written");
}

fn holders(world: &World, digest: Digest) -> Vec<RepositoryName> {
    let rows = world.tables.rows();
    rows.filter(|row| row.0 == TableId::BlobHolder)
        .filter_map(|(_, key, _)| keys::read_blob_holder(key))
        .filter(|(held, _)| *held == digest)
        .map(|(_, repository)| repository)
        .collect()
}

#[test]
fn a_blob_is_mounted_from_where_it_is_seen() {
    let mut world = World::new();
    world.push_blob(&repo("a"), 1);
    for (into, from, reply) in [
        ("b", Some("a"), Reply::Mounted { size: 11 }),
        ("c", Some("nowhere"), Reply::MountMissed),
        ("c", None, Reply::Mounted { size: 11 }),
        ("c", Some("nowhere"), Reply::Mounted { size: 11 }),
    ] {
        assert_eq!(
            world.apply(mount(into, blob(1), from)),
            reply,
            "{into} {from:?}"
        );
    }
    assert_eq!(world.apply(mount("b", blob(2), None)), Reply::MountMissed);
    assert_eq!(holders(&world, blob(1)), ["a", "b", "c"].map(repo));
    let link = world
        .row(&keys::blob_link(&repo("b"), &blob(1)))
        .expect("it is there");
    assert_eq!((link.mounted_from, link.by), (Some(repo("a")), who("ben")));
    assert_eq!(
        world.row(&keys::project_count("library", &blob(1))),
        Some(3)
    );
}

#[test]
fn a_missed_mount_makes_no_repository() {
    let mut world = World::new();
    assert_eq!(world.apply(mount("b", blob(1), None)), Reply::MountMissed);
    assert_eq!(world.count(TableId::Repository), 0);
}

#[test]
fn grace_begins_anew_when_a_blob_is_named() {
    let mut world = World::new();
    world.push_blob(&repo("a"), 1);
    let commands = [
        mount("b", blob(1), Some("a")),
        mount("a", blob(1), None),
        renew("a", blob(1)),
    ];
    for command in commands {
        world.now += 1_000;
        world.apply(command.clone());
        assert_eq!(blob_row(&world, 1).state, since(&world), "{command:?}");
        condemn(&mut world, 1);
        world.now += 1_000;
        world.apply(command.clone());
        assert_eq!(
            blob_row(&world, 1).state,
            since(&world),
            "{command:?} revives"
        );
    }
    condemn(&mut world, 1);
    world.push_blob(&repo("c"), 1);
    assert_eq!(blob_row(&world, 1).state, since(&world));
    condemn(&mut world, 1);
    let reply = world.put(naming(
        put(&repo("a"), 1, &[]),
        &[ManifestReference::RequiredBlob(blob(1))],
    ));
    assert_eq!(reply, CREATED);
    assert_eq!(blob_row(&world, 1).state, BlobState::Referenced);
    world.apply(renew("a", blob(1)));
    assert_eq!(blob_row(&world, 1).state, BlobState::Referenced);
}

#[test]
fn what_is_not_there_cannot_be_renewed_or_deleted() {
    let mut world = World::new();
    assert_eq!(
        world.refused(renew("a", blob(1))),
        Refusal::RepositoryUnknown
    );
    assert_eq!(
        world.refused(delete("a", blob(1))),
        Refusal::RepositoryUnknown
    );
    world.push_blob(&repo("a"), 1);
    world.push_blob(&repo("b"), 2);
    assert_eq!(world.refused(renew("a", blob(2))), Refusal::BlobUnknown);
    assert_eq!(world.refused(delete("a", blob(2))), Refusal::BlobUnknown);
}

#[test]
fn a_blob_that_a_manifest_of_the_repository_names_is_not_deleted() {
    let mut world = World::new();
    for number in [1, 2] {
        world.push_blob(&repo("a"), number);
    }
    world.apply(mount("b", blob(1), None));
    let references = [
        ManifestReference::RequiredBlob(blob(1)),
        ManifestReference::OptionalBlob(blob(2)),
    ];
    world.put(naming(put(&repo("a"), 1, &[]), &references));
    for number in [1, 2] {
        let refusal = world.refused(delete("a", blob(number)));
        assert_eq!(refusal, Refusal::BlobInUse { manifests: 1 });
    }
    assert_eq!(
        world.apply(delete("b", blob(1))),
        Reply::Done,
        "b names it nowhere"
    );
    assert_eq!(holders(&world, blob(1)), [repo("a")]);
    let counts = world.row(&keys::repository(&repo("b"))).expect("it stays");
    assert_eq!((counts.blobs, counts.bytes), (0, 0));
    let query = Query::Blob {
        repository: repo("b"),
        digest: blob(1),
    };
    assert_eq!(world.ask(query), metadata::Answer::Absent);
}

#[test]
fn a_blob_whose_links_are_gone_waits_for_its_end() {
    let mut world = World::new();
    world.push_blob(&repo("a"), 1);
    let state = since(&world);
    world.now += 7;
    assert_eq!(world.apply(delete("a", blob(1))), Reply::Done);
    assert_eq!(blob_row(&world, 1).state, state, "its grace goes on");
    assert_eq!(world.apply(mount("b", blob(1), None)), Reply::MountMissed);
    assert_eq!(world.count(TableId::ProjectCount), 0);
    let again = world.push_blob(&repo("a"), 1);
    assert_ne!(
        blob_row(&world, 1).key,
        again,
        "its object stays the blob's"
    );
}
