//! Queries: what is visible, in which order, how far. Rule 4.1.

use metadata::{
    Acknowledge, Answer, BlobView, Command, LogTime, ManifestReference, ObjectKey, Page, Payload,
    Query, TableId, keys,
};
use oci::{Digest, Reference, RepositoryName, Tag, UploadId};

use crate::uploads::{at_parts, checkpoint, part, with_tail};
use crate::world::{CLUSTER, World, about, blob, finish, manifest, naming, plain, put, repo, tag};

fn page<K>(after: Option<K>, limit: usize) -> Page<K> {
    Page { after, limit }
}

fn tags(world: &World, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    let query = Query::Tags {
        repository: repo("a"),
        page: page(after.map(tag), limit),
    };
    match world.ask(query) {
        Answer::Tags { tags, more } => {
            let names = tags.into_iter().map(|view| view.tag.to_string());
            (names.collect(), more)
        }
        answer => panic!("{answer:?}"),
    }
}

fn referrers(
    world: &World,
    artifact_type: Option<&str>,
    after: Option<Digest>,
    limit: usize,
) -> (Vec<Digest>, Option<Digest>) {
    let query = Query::Referrers {
        repository: repo("a"),
        subject: manifest(0),
        artifact_type: artifact_type.map(str::to_owned),
        page: page(after, limit),
    };
    match world.ask(query) {
        Answer::Referrers { referrers, next } => {
            let digests = referrers.into_iter().map(|view| view.descriptor.digest);
            (digests.collect(), next)
        }
        answer => panic!("{answer:?}"),
    }
}

fn view_of(world: &World, repository: &RepositoryName, upload: UploadId) -> Answer {
    world.ask(Query::Upload {
        repository: repository.clone(),
        upload,
    })
}

#[test]
fn a_manifest_is_found_by_tag_and_by_digest_where_it_is_linked() {
    let mut world = World::new();
    let image = put(&repo("a"), 1, &["v1"]);
    world.put(image.clone());
    let ask = |world: &World, name: &str, reference| {
        world.ask(Query::Manifest {
            repository: repo(name),
            reference,
        })
    };
    for reference in [Reference::Tag(tag("v1")), Reference::Digest(manifest(1))] {
        match ask(&world, "a", reference.clone()) {
            Answer::Manifest(view) => {
                assert_eq!((view.digest, view.size), (image.digest, image.size));
                assert_eq!(view.payload, image.payload);
                assert_eq!(view.media_type, image.media_type);
            }
            answer => panic!("{answer:?}"),
        }
        assert_eq!(ask(&world, "b", reference), Answer::RepositoryUnknown);
    }
    world.put(put(&repo("b"), 2, &[]));
    for reference in [Reference::Tag(tag("v1")), Reference::Digest(manifest(1))] {
        assert_eq!(
            ask(&world, "b", reference),
            Answer::Absent,
            "b does not link it"
        );
    }
}

#[test]
fn a_blob_is_found_where_it_is_linked_with_its_grace() {
    let mut world = World::new();
    let key = world.push_blob(&repo("a"), 1);
    world.push_blob(&repo("b"), 2);
    let since = LogTime(world.now);
    world.now += 70;
    world.apply(Command::ObjectsDeleted { keys: vec![] });
    let ask = |world: &World, name: &str| {
        world.ask(Query::Blob {
            repository: repo(name),
            digest: blob(1),
        })
    };
    let mut view = BlobView {
        key,
        size: 11,
        unreferenced_since: Some(since),
        now: LogTime(world.now),
    };
    assert_eq!(ask(&world, "a"), Answer::Blob(view.clone()));
    assert_eq!(ask(&world, "b"), Answer::Absent);
    assert_eq!(ask(&world, "c"), Answer::RepositoryUnknown);
    world.put(naming(
        put(&repo("a"), 1, &[]),
        &[ManifestReference::RequiredBlob(blob(1))],
    ));
    view.unreferenced_since = None;
    assert_eq!(ask(&world, "a"), Answer::Blob(view));
}

#[test]
fn an_upload_shows_where_it_stands() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let view = |world: &World| match view_of(world, &name, upload) {
        Answer::Upload(view) => *view,
        answer => panic!("{answer:?}"),
    };
    assert_eq!(view_of(&world, &repo("b"), upload), Answer::Absent);
    let at_start = view(&world);
    assert_eq!((at_start.acknowledged, at_start.checkpointed), (0, None));
    assert_eq!((at_start.has_parts, at_start.plain), (false, None));

    let small = plain(upload, grant.epoch, 30);
    world.apply(Command::Acknowledge(Acknowledge {
        repository: name.clone(),
        upload,
        epoch: grant.epoch,
        progress: small.clone(),
        parts: vec![],
        multipart: None,
    }));
    assert_eq!(view(&world).plain, small.tail.map(|tail| tail.key));
    assert_eq!(view(&world).midstate, small.midstate);

    let (big, grant) = world.create(&name);
    world.apply(Command::Checkpoint(checkpoint(&name, big, grant.epoch)));
    let acknowledge = Acknowledge {
        repository: name.clone(),
        upload: big,
        epoch: grant.epoch,
        progress: with_tail(at_parts(3, 3), big, grant.epoch, 5),
        parts: vec![part(3)],
        multipart: None,
    };
    match view_of(&world, &name, big) {
        Answer::Upload(view) => assert_eq!((view.acknowledged, view.checkpointed), (0, Some(200))),
        answer => panic!("{answer:?}"),
    }
    world.apply(Command::Acknowledge(acknowledge));
    match view_of(&world, &name, big) {
        Answer::Upload(view) => {
            assert_eq!((view.acknowledged, view.has_parts), (305, true));
            assert_eq!((view.plain, view.checkpointed), (None, None));
            assert_eq!(view.parts, [1, 2, 3].map(part), "without the tail's");
        }
        answer => panic!("{answer:?}"),
    }

    let end = metadata::UploadEnd::Acknowledged { offset: None };
    world.apply(finish(&name, upload, blob(1), Some(end)));
    let finished = view(&world);
    assert_eq!(
        (finished.finished, finished.acknowledged),
        (Some(blob(1)), 30)
    );
}

#[test]
fn tags_are_listed_in_order_and_by_pages() {
    let mut world = World::new();
    world.put(put(&repo("a"), 1, &["V", "a", "a-b", "a.b", "b"]));
    world.put(put(&repo("a-b"), 1, &["foreign"]));
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        tags(&world, None, 9),
        (list(&["V", "a", "a-b", "a.b", "b"]), false)
    );
    assert_eq!(tags(&world, None, 2), (list(&["V", "a"]), true));
    assert_eq!(
        tags(&world, Some("a"), 3),
        (list(&["a-b", "a.b", "b"]), false)
    );
    assert_eq!(
        tags(&world, Some("a-a"), 1),
        (list(&["a-b"]), true),
        "after what is not there"
    );
    assert_eq!(tags(&world, Some("b"), 5), (vec![], false));
    assert_eq!(tags(&world, None, 0), (vec![], false));
    assert_eq!(tags(&world, None, usize::MAX).0.len(), 5);
    let unknown = Query::Tags {
        repository: repo("c"),
        page: page::<Tag>(None, 1),
    };
    assert_eq!(world.ask(unknown), Answer::RepositoryUnknown);
}

#[test]
fn repositories_are_listed_in_order_and_by_pages() {
    let mut world = World::new();
    world.push_blob(&repo("b"), 1);
    for name in ["a", "a/b", "a-b"] {
        world.put(put(&repo(name), 1, &["v"]));
    }
    let list = |after: Option<&str>, limit| {
        let wanted = page(after.map(repo), limit);
        match world.ask(Query::Repositories(wanted)) {
            Answer::Repositories { repositories, more } => {
                let names = repositories.into_iter().map(|view| view.name.to_string());
                (names.collect::<Vec<_>>(), more)
            }
            answer => panic!("{answer:?}"),
        }
    };
    let all = ["a", "a-b", "a/b", "b"].map(str::to_owned);
    assert_eq!(list(None, 10), (all.to_vec(), false));
    assert_eq!(list(Some("a"), 2), (all[1..3].to_vec(), true));
    match world.ask(Query::Cluster) {
        Answer::Cluster(view) => {
            assert_eq!((view.cluster, view.repositories), (Some(CLUSTER), 4));
        }
        answer => panic!("{answer:?}"),
    }
}

#[test]
fn referrers_are_listed_by_digest_type_and_page() {
    let mut world = World::new();
    world.checks_invariants = false;
    assert_eq!(
        referrers(&world, None, None, 5),
        (vec![], None),
        "whatever the repository"
    );
    let mut all = Vec::new();
    for number in 1..=2_500 {
        let artifact_type = if number % 1_000 == 0 {
            "rare"
        } else {
            "common"
        };
        world.put(about(
            put(&repo("a"), number, &[]),
            manifest(0),
            artifact_type,
        ));
        all.push((manifest(number), artifact_type));
    }
    all.sort_unstable();
    let digests: Vec<Digest> = all.iter().map(|(digest, _)| *digest).collect();
    assert_eq!(
        referrers(&world, None, None, 3),
        (digests[..3].to_vec(), Some(digests[2]))
    );
    let last = referrers(&world, None, Some(digests[2_496]), 3);
    assert_eq!(last, (digests[2_497..].to_vec(), None));

    let (mut found, mut after, mut turns) = (Vec::new(), None, 0);
    loop {
        let (some, next) = referrers(&world, Some("rare"), after, 10);
        found.extend(some);
        turns += 1;
        match next {
            None => break,
            next => after = next,
        }
    }
    let rare: Vec<Digest> = all
        .iter()
        .filter(|it| it.1 == "rare")
        .map(|it| it.0)
        .collect();
    assert_eq!(found, rare);
    assert_eq!(turns, 3, "each turn looks at a thousand rows");
}

#[test]
fn what_is_due_is_handed_out_in_order() {
    let mut world = World::new();
    let mut image = put(&repo("a"), 1, &[]);
    image.payload = Payload::Object(ObjectKey::manifest(CLUSTER, 1));
    image.size = 20_000;
    world.put(image.clone());
    image.payload = Payload::Object(ObjectKey::manifest(CLUSTER, 2));
    world.put(image);
    world.apply(Command::DeleteManifest {
        repository: repo("a"),
        digest: manifest(1),
        principal: crate::world::who("ann"),
    });
    assert_eq!(world.count(TableId::Deletion), 2);
    let due = |after_ms: u64, limit| {
        let now = LogTime(world.now + after_ms);
        match world.ask(Query::DueDeletions { limit, now }) {
            Answer::Deletions { objects } => {
                objects.into_iter().map(|row| row.key).collect::<Vec<_>>()
            }
            answer => panic!("{answer:?}"),
        }
    };
    let objects = [2, 1].map(|id| ObjectKey::manifest(CLUSTER, id));
    assert_eq!(due(0, 9), objects[..1]);
    assert_eq!(due(3_600_000, 9), objects);
    assert_eq!(due(3_600_000, 1), objects[..1]);
    assert!(world.row(&keys::cluster()).is_some());
}
