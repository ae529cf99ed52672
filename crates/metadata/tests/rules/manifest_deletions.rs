//! Manifests whose links end: hidden at once, gone in as many entries as their tags need. Rules 2.1 and 2.6.

use metadata::{
    Answer, Command, LogTime, ManifestReference, ObjectKey, Page, Payload, Query, Refusal, Reply,
    TableId, keys,
};
use oci::{Digest, Reference, RepositoryName};

use crate::world::{
    AGAIN, CLUSTER, CREATED, World, about, blob, manifest, naming, put, repo, tag, who,
};

fn delete(repository: &RepositoryName, digest: Digest) -> Command {
    Command::DeleteManifest {
        repository: repository.clone(),
        digest,
        principal: who("ann"),
    }
}

fn resolve(world: &World, reference: Reference) -> Answer {
    world.ask(Query::Manifest {
        repository: repo("a"),
        reference,
    })
}

fn tags(world: &World, limit: usize) -> (Vec<String>, bool) {
    let query = Query::Tags {
        repository: repo("a"),
        page: Page { after: None, limit },
    };
    match world.ask(query) {
        Answer::Tags { tags, more } => {
            let names = tags.into_iter().map(|view| view.tag.to_string());
            (names.collect(), more)
        }
        answer => panic!("{answer:?}"),
    }
}

/// `manifest(1)` with more tags than one entry removes, and `manifest(2)` with two.
fn with_many_tags(count: usize) -> World {
    let mut world = World::new();
    world.checks_invariants = false;
    let name = repo("a");
    world.push_blob(&name, 1);
    let names: Vec<String> = (0..count).map(|number| format!("m{number:05}")).collect();
    for names in names.chunks(100) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut image = naming(
            about(put(&name, 1, &[]), manifest(7), "x"),
            &[ManifestReference::RequiredBlob(blob(1))],
        );
        image.tags = put(&name, 1, &names).tags;
        world.put(image);
    }
    world.put(put(&name, 2, &["a", "z"]));
    world.checks_invariants = true;
    world
}

#[test]
fn a_manifest_goes_with_its_tags_and_its_counts() {
    let mut world = World::new();
    let name = repo("a");
    world.push_blob(&name, 1);
    let references = [
        ManifestReference::RequiredBlob(blob(1)),
        ManifestReference::OptionalBlob(blob(2)),
        ManifestReference::Child(manifest(5)),
    ];
    let image = naming(about(put(&name, 1, &["v1"]), manifest(7), "x"), &references);
    world.put(image.clone());
    world.put(put(&name, 2, &["v2"]));
    world.now += 9;
    assert_eq!(world.apply(delete(&name, manifest(1))), Reply::Done);
    for table in [TableId::Referrer, TableId::Parent, TableId::AwaitedBlob] {
        assert_eq!(world.count(table), 0, "{table:?}");
    }
    assert_eq!(tags(&world, 10), (vec!["v2".to_owned()], false));
    let row = world.row(&keys::blob(&blob(1))).expect("it is there");
    let since = LogTime(world.now);
    assert_eq!(row.state, metadata::BlobState::Unreferenced { since });
    assert_eq!(
        world.refused(delete(&name, manifest(1))),
        Refusal::ManifestUnknown
    );
    assert_eq!(
        world.refused(delete(&repo("b"), manifest(1))),
        Refusal::RepositoryUnknown
    );
    assert_eq!(world.put(image), CREATED, "it may come back");
}

#[test]
fn a_manifest_stays_while_another_repository_links_it() {
    let mut world = World::new();
    for name in ["a", "b"] {
        let mut image = put(&repo(name), 1, &[]);
        image.payload = Payload::Object(ObjectKey::manifest(CLUSTER, world.fresh()));
        image.size = 20_000;
        world.put(image);
    }
    let kept = ObjectKey::manifest(CLUSTER, 1).to_string();
    let redundant = (0, ObjectKey::manifest(CLUSTER, 2).to_string());
    world.apply(delete(&repo("a"), manifest(1)));
    assert_eq!(world.queued(), std::slice::from_ref(&redundant));
    world.apply(delete(&repo("b"), manifest(1)));
    assert_eq!(world.count(TableId::Manifest), 0);
    let hour = 60 * 60 * 1_000;
    assert_eq!(
        world.queued(),
        [redundant, (hour, kept)],
        "it may be being read"
    );
}

#[test]
fn many_tags_are_hidden_at_once_and_removed_by_and_by() {
    let mut world = with_many_tags(9_000);
    let name = repo("a");
    assert_eq!(
        world.apply(delete(&name, manifest(1))),
        Reply::DeletionContinues
    );
    assert_eq!(world.count(TableId::Tag), 5_002);
    assert_eq!(world.count(TableId::Referrer), 0);

    let some_left = tag("m08999");
    for reference in [
        Reference::Tag(some_left.clone()),
        Reference::Digest(manifest(1)),
    ] {
        assert_eq!(resolve(&world, reference), Answer::Absent);
    }
    assert_eq!(
        tags(&world, 2),
        (vec!["a".to_owned(), "z".to_owned()], false)
    );
    assert_eq!(tags(&world, 1), (vec!["a".to_owned()], true));
    let refusal = world.refused(Command::PutManifest(put(&name, 1, &[])));
    assert_eq!(refusal, Refusal::DeletionInProgress);
    let hidden = Command::DeleteTag {
        repository: name.clone(),
        tag: some_left.clone(),
        precondition: None,
        principal: who("ann"),
    };
    assert_eq!(world.refused(hidden), Refusal::TagUnknown);

    let mut taken = put(&name, 2, &["m08999"]);
    taken.precondition = Some(metadata::Precondition::Absent);
    assert_eq!(
        world.put(taken),
        AGAIN,
        "a hidden tag may be taken as if it were absent"
    );
    let row = world
        .row(&keys::tag(&name, &some_left))
        .expect("it is there");
    assert_eq!((row.digest, row.version), (manifest(2), 1));

    assert_eq!(
        world.apply(delete(&name, manifest(1))),
        Reply::DeletionContinues
    );
    assert_eq!(world.apply(delete(&name, manifest(1))), Reply::Done);
    let left = ["a", "m08999", "z"].map(str::to_owned).to_vec();
    assert_eq!(tags(&world, 10), (left, false));
    assert_eq!(world.row(&keys::manifest(&manifest(1))), None);
}

#[test]
fn as_many_tags_as_one_entry_removes_go_in_one() {
    let mut world = with_many_tags(4_000);
    assert_eq!(world.apply(delete(&repo("a"), manifest(1))), Reply::Done);
    assert_eq!(world.count(TableId::Tag), 2);
}

#[test]
fn many_tags_and_many_references_do_not_end_in_one_entry() {
    let mut world = World::new();
    world.checks_invariants = false;
    let name = repo("a");
    let references: Vec<_> = (0..oci::REFERENCES_MAX as u32)
        .map(|number| {
            world.push_blob(&name, number);
            ManifestReference::RequiredBlob(blob(number))
        })
        .collect();
    let names: Vec<String> = (0..1_200).map(|number| format!("m{number:05}")).collect();
    for names in names.chunks(100) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        world.put(naming(put(&name, 1, &names), &references));
    }
    assert_eq!(
        world.apply(delete(&name, manifest(1))),
        Reply::DeletionContinues
    );
    assert_eq!(world.count(TableId::Tag), 0);
    world.checks_invariants = true;
    assert_eq!(world.apply(delete(&name, manifest(1))), Reply::Done);
}
