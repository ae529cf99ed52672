//! Images of which some layers are absent: which of them are let in, and that none is ever silent. Rule 2.5, promise P3.

use metadata::{
    Answer, Command, ManifestReference, Mount, PutManifest, Query, Refusal, Reply, TableId,
    invariant, keys,
};
use oci::{Digest, Reference, RepositoryName};

use crate::world::{AGAIN, CREATED, World, blob, manifest, naming, put, repo, tag, who};

const CONFIG: u32 = 1;

/// `manifest(1)` with a config, and these layers, as a node proposes it that lets sparse images in.
fn image(repository: &RepositoryName, layers: &[u32], tags: &[&str]) -> PutManifest {
    let blobs = layers.iter().chain([&CONFIG]);
    let required: Vec<_> = blobs
        .map(|number| ManifestReference::RequiredBlob(blob(*number)))
        .collect();
    let mut put = naming(put(repository, 1, tags), &required);
    put.config = Some(blob(CONFIG));
    put.sparse = true;
    put
}

/// A repository that has these blobs.
fn with_blobs(numbers: &[u32]) -> (World, RepositoryName) {
    let mut world = World::new();
    let name = repo("a");
    for number in numbers {
        world.push_blob(&name, *number);
    }
    (world, name)
}

fn pulled(world: &World, repository: &RepositoryName, reference: Reference) -> u32 {
    let repository = repository.clone();
    match world.ask(Query::Manifest {
        repository,
        reference,
    }) {
        Answer::Manifest(view) => view.absent,
        other => panic!("{other:?}"),
    }
}

fn absent(world: &World, repository: &RepositoryName) -> u32 {
    pulled(world, repository, Reference::Digest(manifest(1)))
}

fn is_marked(world: &World, repository: &RepositoryName) -> bool {
    let link = world.row(&keys::manifest_link(repository, &manifest(1)));
    link.expect("it is linked").sparse
}

fn delete_blob(repository: &RepositoryName, number: u32) -> Command {
    Command::DeleteBlob {
        repository: repository.clone(),
        digest: blob(number),
        principal: who("ann"),
    }
}

fn created(absent: u32) -> Reply {
    let created = true;
    Reply::ManifestPut { created, absent }
}

fn unknown(numbers: &[u32]) -> Refusal {
    let mut digests: Vec<Digest> = numbers.iter().map(|number| blob(*number)).collect();
    digests.sort_unstable();
    Refusal::BlobsUnknown { digests }
}

#[test]
fn an_image_with_some_of_its_layers_is_stored_and_marked() {
    let (mut world, name) = with_blobs(&[CONFIG, 2]);
    assert_eq!(world.put(image(&name, &[2, 3, 4], &["v1"])), created(2));
    assert!(is_marked(&world, &name));
    for reference in [Reference::Digest(manifest(1)), Reference::Tag(tag("v1"))] {
        assert_eq!(pulled(&world, &name, reference), 2);
    }
    assert_eq!(world.count(TableId::AwaitedBlob), 2);
}

#[test]
fn a_whole_image_is_not_marked_whatever_is_allowed() {
    let (mut world, name) = with_blobs(&[CONFIG, 2]);
    assert_eq!(world.put(image(&name, &[2], &["v1"])), CREATED);
    assert!(!is_marked(&world, &name));
    assert_eq!(absent(&world, &name), 0);
}

#[test]
fn what_is_not_a_sparse_image_is_refused() {
    let layered = |layers: &'static [u32]| move |name: &_| image(name, layers, &["v1"]);
    let not_allowed = |name: &_| PutManifest {
        sparse: false,
        ..image(name, &[2, 3], &["v1"])
    };
    let without_config = |name: &_| PutManifest {
        config: None,
        ..image(name, &[2, 3], &["v1"])
    };
    let foreign = |name: &_| {
        let mut put = image(name, &[3], &["v1"]);
        put.references
            .push(ManifestReference::OptionalBlob(blob(2)));
        put
    };
    type Case<'a> = (
        &'a str,
        &'a [u32],
        &'a dyn Fn(&RepositoryName) -> PutManifest,
        &'a [u32],
    );
    let cases: [Case<'_>; 7] = [
        ("the setting refuses it", &[CONFIG, 2], &not_allowed, &[3]),
        ("no config there", &[2], &layered(&[2, 3]), &[CONFIG, 3]),
        (
            "only the config absent",
            &[2, 3],
            &layered(&[2, 3]),
            &[CONFIG],
        ),
        ("no layer there", &[CONFIG], &layered(&[2, 3]), &[2, 3]),
        ("its only layer absent", &[CONFIG], &layered(&[2]), &[2]),
        ("no image at all", &[CONFIG, 2], &without_config, &[3]),
        ("a foreign layer there", &[CONFIG, 2], &foreign, &[3]),
    ];
    for (what, there, put, missing) in cases {
        let (mut world, name) = with_blobs(there);
        let refusal = world.refused(Command::PutManifest(put(&name)));
        assert_eq!(refusal, unknown(missing), "{what}");
    }
}

#[test]
fn the_mark_goes_when_the_layers_have_come() {
    let (mut world, name) = with_blobs(&[CONFIG, 2]);
    world.put(image(&name, &[2, 3, 4], &["v1"]));
    world.push_blob(&name, 3);
    assert_eq!(absent(&world, &name), 1);
    world.push_blob(&repo("b"), 4);
    assert_eq!(absent(&world, &name), 1, "b is another repository");
    world.apply(Command::Mount(Mount {
        repository: name.clone(),
        digest: blob(4),
        from: None,
        principal: who("ann"),
    }));
    assert_eq!(absent(&world, &name), 0);
    assert_eq!(world.count(TableId::AwaitedBlob), 0);
    for number in [CONFIG, 2, 3, 4] {
        let refusal = world.refused(delete_blob(&name, number));
        assert_eq!(refusal, Refusal::BlobInUse { manifests: 1 });
    }

    assert_eq!(world.put(image(&name, &[2, 3, 4], &["v1"])), AGAIN);
    assert!(!is_marked(&world, &name), "and nobody counts any more");
}

#[test]
fn a_sparse_image_that_is_put_again_awaits_its_layers_once() {
    let (mut world, name) = with_blobs(&[CONFIG, 2]);
    world.put(image(&name, &[2, 3], &["v1"]));
    let again = Reply::ManifestPut {
        created: false,
        absent: 1,
    };
    assert_eq!(world.put(image(&name, &[2, 3], &["v2"])), again);
    assert!(is_marked(&world, &name));
    assert_eq!(world.row(&keys::awaited_blob(&name, &blob(3))), Some(1));

    // A node that refuses sparse images does not move tags to one either.
    let mut refused = image(&name, &[2, 3], &["v3"]);
    refused.sparse = false;
    assert_eq!(
        world.refused(Command::PutManifest(refused.clone())),
        unknown(&[3])
    );
    world.push_blob(&name, 3);
    assert_eq!(world.put(refused), AGAIN);
}

#[test]
fn what_a_sparse_image_names_is_held_and_the_rest_is_unknown() {
    let (mut world, name) = with_blobs(&[CONFIG, 2]);
    world.put(image(&name, &[2, 3], &[]));
    for number in [CONFIG, 2] {
        let refusal = world.refused(delete_blob(&name, number));
        assert_eq!(refusal, Refusal::BlobInUse { manifests: 1 });
    }
    assert_eq!(world.refused(delete_blob(&name, 3)), Refusal::BlobUnknown);
}

#[test]
fn a_sparse_image_that_is_deleted_awaits_nothing() {
    let (mut world, name) = with_blobs(&[CONFIG, 2]);
    world.put(image(&name, &[2, 3, 4], &["v1"]));
    world.push_blob(&name, 3);
    let deleted = world.apply(Command::DeleteManifest {
        repository: name.clone(),
        digest: manifest(1),
        principal: who("ann"),
    });
    assert_eq!(deleted, Reply::Done);
    assert_eq!(world.count(TableId::AwaitedBlob), 0);
    world.push_blob(&name, 4);
    for number in [CONFIG, 2, 3, 4] {
        assert_eq!(world.apply(delete_blob(&name, number)), Reply::Done);
    }
}

#[test]
fn each_repository_has_a_mark_of_its_own() {
    let (mut world, name) = with_blobs(&[CONFIG, 2]);
    world.put(image(&name, &[2, 3], &[]));
    let whole = repo("b");
    for number in [CONFIG, 2, 3] {
        world.push_blob(&whole, number);
    }
    assert_eq!(world.put(image(&whole, &[2, 3], &[])), CREATED);
    assert_eq!((absent(&world, &name), absent(&world, &whole)), (1, 0));
    assert!(!is_marked(&world, &whole));
}

#[test]
fn a_layer_that_was_deleted_there_is_an_absent_one() {
    let (mut world, name) = with_blobs(&[CONFIG, 2, 3]);
    assert_eq!(world.apply(delete_blob(&name, 3)), Reply::Done);
    assert_eq!(world.put(image(&name, &[2, 3], &[])), created(1));
}

#[test]
fn a_sparse_image_without_its_mark_breaks_an_invariant() {
    let (mut world, name) = with_blobs(&[CONFIG, 2]);
    world.put(image(&name, &[2, 3], &[]));
    let key = keys::manifest_link(&name, &manifest(1));
    let mut link = world.row(&key).expect("it is linked");
    link.sparse = false;
    let row = metadata::TypedRow::into_row(link);
    metadata::Tables::put(&mut world.tables, key.table(), key.bytes(), row).expect("it is memory");
    assert!(invariant::check_all(&world.tables).is_err());
}
