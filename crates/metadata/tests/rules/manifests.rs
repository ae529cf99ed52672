//! Manifests that are put: checks, counts, tags, repetitions. Rules 2.1 to 2.5 and 3.2.

use metadata::{
    Command, INLINE_PAYLOAD_BYTES_MAX, ManifestReference, Mount, ObjectKey, Payload, Precondition,
    PutManifest, Refusal, Reply, TableId, keys,
};
use oci::{Digest, MediaType, REFERENCES_MAX, Tag};

use crate::world::{
    AGAIN, CLUSTER, CREATED, World, about, blob, manifest, naming, put, repo, tag, who,
};

fn blob_count(world: &World, number: u32) -> u64 {
    world
        .row(&keys::blob(&blob(number)))
        .expect("it is there")
        .count
}

fn in_object(world: &mut World, mut put: PutManifest) -> (PutManifest, String) {
    let object = ObjectKey::manifest(CLUSTER, world.fresh());
    put.payload = Payload::Object(object.clone());
    put.size = 20_000;
    (put, object.to_string())
}

#[test]
fn a_manifest_is_stored_linked_and_tagged() {
    let mut world = World::new();
    let name = repo("a");
    assert_eq!(world.put(put(&name, 1, &["v1", "v2"])), CREATED);
    let row = world
        .row(&keys::tag(&name, &tag("v1")))
        .expect("it is there");
    assert_eq!(
        (row.digest, row.version, row.by),
        (manifest(1), 1, who("ann"))
    );
    let counts = world.row(&keys::repository(&name)).expect("it is there");
    assert_eq!((counts.manifests, counts.tags, counts.blobs), (1, 2, 0));
    assert_eq!(counts.bytes, row.size);
    assert_eq!(
        world
            .row(&keys::manifest(&manifest(1)))
            .map(|row| row.count),
        Some(1)
    );

    assert_eq!(world.put(put(&repo("b"), 1, &[])), CREATED);
    assert_eq!(
        world
            .row(&keys::manifest(&manifest(1)))
            .map(|row| row.count),
        Some(2)
    );
}

#[test]
fn a_manifest_that_is_put_again_moves_its_tags_and_nothing_else() {
    let mut world = World::new();
    let name = repo("a");
    world.put(put(&name, 1, &["v1"]));
    let link = world.row(&keys::manifest_link(&name, &manifest(1)));
    world.now += 5;
    let before = world.row(&keys::tag(&name, &tag("v1")));
    assert_eq!(world.put(put(&name, 1, &["latest", "v1"])), AGAIN);
    assert_eq!(world.row(&keys::manifest_link(&name, &manifest(1))), link);
    assert_eq!(
        world.row(&keys::tag(&name, &tag("v1"))),
        before,
        "it pointed there already"
    );

    assert_eq!(world.put(put(&name, 2, &["v1"])), CREATED);
    assert_eq!(world.put(put(&name, 1, &["v1"])), AGAIN);
    let row = world
        .row(&keys::tag(&name, &tag("v1")))
        .expect("it is there");
    assert_eq!((row.digest, row.version), (manifest(1), 3));
    assert_eq!(world.count(TableId::ManifestTag), 2);
}

#[test]
fn required_blobs_must_be_visible_in_the_repository() {
    let mut world = World::new();
    let name = repo("a");
    world.push_blob(&name, 1);
    world.push_blob(&repo("b"), 2);
    let required = [1, 2, 3].map(|number| ManifestReference::RequiredBlob(blob(number)));
    let image = naming(put(&name, 1, &["v1"]), &required);
    let mut digests = vec![blob(2), blob(3)];
    digests.sort_unstable();
    let refusal = world.refused(Command::PutManifest(image.clone()));
    assert_eq!(refusal, Refusal::BlobsUnknown { digests });
    assert_eq!(blob_count(&world, 1), 0);

    world.push_blob(&name, 2);
    world.push_blob(&name, 3);
    assert_eq!(world.put(image), CREATED);
    assert_eq!(
        [1, 2, 3].map(|number| blob_count(&world, number)),
        [1, 1, 1]
    );
}

#[test]
fn a_refusal_lists_a_hundred_missing_blobs() {
    let mut world = World::new();
    let required: Vec<_> = (0..150)
        .map(|number| ManifestReference::RequiredBlob(blob(number)))
        .collect();
    let refusal = world.refused(Command::PutManifest(naming(
        put(&repo("a"), 1, &[]),
        &required,
    )));
    assert!(matches!(refusal, Refusal::BlobsUnknown { digests } if digests.len() == 100));
}

#[test]
fn blobs_that_may_be_absent_are_counted_when_they_come() {
    let mut world = World::new();
    let name = repo("a");
    let optional = [ManifestReference::OptionalBlob(blob(1))];
    for number in [1, 2] {
        assert_eq!(
            world.put(naming(put(&name, number, &[]), &optional)),
            CREATED
        );
    }
    assert_eq!(world.row(&keys::awaited_blob(&name, &blob(1))), Some(2));
    world.push_blob(&repo("b"), 1);
    assert_eq!(blob_count(&world, 1), 0, "b is another repository");
    world.apply(Command::Mount(Mount {
        repository: name.clone(),
        digest: blob(1),
        from: None,
        principal: who("ann"),
    }));
    assert_eq!(blob_count(&world, 1), 2);
    assert_eq!(world.count(TableId::AwaitedBlob), 0);
    world.put(naming(put(&name, 3, &[]), &optional));
    assert_eq!(blob_count(&world, 1), 3);
}

#[test]
fn an_index_may_name_children_that_are_absent() {
    let mut world = World::new();
    let name = repo("a");
    let children = [1, 2].map(|number| ManifestReference::Child(manifest(number)));
    assert_eq!(
        world.put(naming(put(&name, 9, &["all"]), &children)),
        CREATED
    );
    assert_eq!(world.count(TableId::Parent), 2);
    assert_eq!(world.put(put(&name, 1, &[])), CREATED);
    let parent = keys::parent(&name, &manifest(1), &manifest(9));
    assert_eq!(world.row(&parent), Some(()));
}

#[test]
fn a_manifest_with_a_subject_is_its_referrer_whether_that_is_there_or_not() {
    let mut world = World::new();
    let name = repo("a");
    world.put(about(put(&name, 2, &[]), manifest(1), "signature"));
    let row = world.row(&keys::referrer(&name, &manifest(1), &manifest(2)));
    let descriptor = row.expect("it is there").descriptor;
    assert_eq!(descriptor.artifact_type.as_deref(), Some("signature"));
    assert_eq!(descriptor.digest, manifest(2));
}

#[test]
fn what_is_stored_wins_over_what_is_proposed() {
    let mut world = World::new();
    world.push_blob(&repo("a"), 1);
    let required = [ManifestReference::RequiredBlob(blob(1))];
    world.put(naming(put(&repo("a"), 1, &[]), &required));
    // Another build that reads fewer references in the same payload.
    let refusal = world.refused(Command::PutManifest(put(&repo("b"), 1, &[])));
    assert_eq!(
        refusal,
        Refusal::BlobsUnknown {
            digests: vec![blob(1)]
        }
    );
    let mut typed = put(&repo("a"), 1, &["v1"]);
    typed.media_type = MediaType::DOCKER_MANIFEST;
    world.put(typed);
    let row = world
        .row(&keys::tag(&repo("a"), &tag("v1")))
        .expect("it is there");
    assert_eq!(row.media_type, MediaType::OCI_MANIFEST);
}

#[test]
fn a_payload_object_that_is_not_used_goes() {
    let mut world = World::new();
    let name = repo("a");
    let base = put(&name, 1, &[]);
    let (first, used) = in_object(&mut world, base.clone());
    assert_eq!(world.put(first.clone()), CREATED);
    assert_eq!(world.queued(), [], "{used}");

    let (again, redundant) = in_object(&mut world, base.clone());
    assert_eq!(world.put(again), AGAIN);
    let (lacking, refused) = in_object(&mut world, put(&name, 2, &[]));
    let lacking = naming(lacking, &[ManifestReference::RequiredBlob(blob(1))]);
    world.refused(Command::PutManifest(lacking));
    let (mut wrong, invalid) = in_object(&mut world, put(&name, 3, &[]));
    wrong.tags = vec![tag("b"), tag("a")];
    world.refused(Command::PutManifest(wrong));
    assert_eq!(
        world.queued(),
        [redundant, refused, invalid].map(|key| (0, key))
    );

    let mut foreign = base;
    foreign.payload = Payload::Object(ObjectKey::manifest(metadata::ClusterId(2), 1));
    let refusal = world.refused(Command::PutManifest(foreign));
    assert!(matches!(refusal, Refusal::Invalid { .. }));
    assert_eq!(
        world.queued().len(),
        3,
        "what is not this cluster's is not deleted"
    );
}

fn required(numbers: std::ops::Range<u32>) -> Vec<ManifestReference> {
    let mut all: Vec<_> = numbers
        .map(|number| ManifestReference::RequiredBlob(blob(number)))
        .collect();
    all.sort_unstable();
    all
}

fn many_tags(count: u32) -> Vec<Tag> {
    (0..count)
        .map(|number| tag(&format!("t{number:04}")))
        .collect()
}

#[test]
fn what_breaks_a_bound_is_invalid() {
    let mut world = World::new();
    let name = repo("a");
    let broken = |change: &dyn Fn(&mut PutManifest)| {
        let mut command = put(&name, 1, &["v1"]);
        change(&mut command);
        Command::PutManifest(command)
    };
    let long = "k".repeat(256);
    let cases: [(&str, Command); 12] = [
        ("size", broken(&|it| it.size += 1)),
        (
            "inline",
            broken(&|it| {
                it.size = INLINE_PAYLOAD_BYTES_MAX as u64 + 1;
                it.payload = Payload::Inline(vec![0; INLINE_PAYLOAD_BYTES_MAX + 1].into());
            }),
        ),
        (
            "references",
            broken(&|it| it.references = required(0..REFERENCES_MAX as u32 + 1)),
        ),
        (
            "unsorted references",
            broken(&|it| {
                it.references = required(0..2);
                it.references.reverse();
            }),
        ),
        (
            "a digest twice",
            broken(&|it| {
                it.references = vec![
                    ManifestReference::RequiredBlob(blob(1)),
                    ManifestReference::Child(blob(1)),
                ];
            }),
        ),
        ("tags", broken(&|it| it.tags = many_tags(101))),
        (
            "a tag twice",
            broken(&|it| it.tags = vec![tag("v1"), tag("v1")]),
        ),
        (
            "precondition",
            broken(&|it| {
                it.precondition = Some(Precondition::Matches(vec![manifest(1); 101]));
            }),
        ),
        (
            "idempotency key",
            broken(&|it| it.idempotency_key = Some(long.clone())),
        ),
        ("principal", broken(&|it| it.principal = who("a\0b"))),
        ("subject", broken(&|it| it.subject = Some(manifest(2)))),
        ("config", broken(&|it| it.config = Some(blob(1)))),
    ];
    for (what, command) in cases {
        let refusal = world.refused(command);
        assert!(
            matches!(refusal, Refusal::Invalid { .. }),
            "{what}: {refusal:?}"
        );
    }
    assert_eq!(world.apply(broken(&|it| it.tags = many_tags(100))), CREATED);
}

#[test]
fn a_manifest_is_not_described_as_another() {
    let mut world = World::new();
    let name = repo("a");
    let other = about(put(&name, 2, &[]), manifest(3), "x").referrer;
    let mut crossed = about(put(&name, 1, &[]), manifest(3), "x");
    crossed.referrer = other;
    let refusal = world.refused(Command::PutManifest(crossed));
    assert!(matches!(refusal, Refusal::Invalid { .. }));
}

#[test]
fn a_manifest_of_as_many_references_as_there_can_be_stays_within_the_bounds_of_an_entry() {
    let mut world = World::new();
    world.checks_invariants = false;
    let name = repo("a");
    let half = REFERENCES_MAX as u32 / 2;
    for number in 0..2 * half {
        world.push_blob(&name, number);
    }
    let digest = |number: u32| blob(number);
    let mixed: Vec<_> = (0..half)
        .map(|number| ManifestReference::RequiredBlob(digest(number)))
        .chain((half..2 * half).map(|number| ManifestReference::OptionalBlob(digest(number))))
        .collect();
    let tags: Vec<String> = (0..100).map(|number| format!("t{number:03}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    world.put(put(&name, 2, &tags));
    let reply = world.put(naming(put(&name, 1, &tags), &mixed));
    assert_eq!(reply, CREATED);
    let delete = |digest: Digest| Command::DeleteManifest {
        repository: repo("a"),
        digest,
        principal: who("ann"),
    };
    assert_eq!(world.apply(delete(manifest(1))), Reply::Done);
    world.checks_invariants = true;
    assert_eq!(world.apply(delete(manifest(2))), Reply::Done);
}
