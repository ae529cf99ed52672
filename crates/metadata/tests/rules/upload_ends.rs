//! Uploads that end: sealed, finished, cancelled. Rules 1.6, 2.3 and 2.4.

use metadata::{
    BlobState, Command, Epoch, LogTime, ObjectKey, Refusal, Reply, SealUpload, SealedObject,
    TableId, UploadEnd, UploadState, WriteFrom, keys,
};
use oci::{Digest, RepositoryName, UploadId};

use crate::uploads::{
    acknowledge, at_parts, begin, checkpoint, granted, multipart, part, row, with_tail,
};
use crate::world::{CLUSTER, World, blob, finish, plain, repo, writer_end};

fn seal(repository: &RepositoryName, upload: UploadId, digest: Digest, end: UploadEnd) -> Command {
    Command::SealUpload(SealUpload {
        repository: repository.clone(),
        upload,
        digest,
        end,
        unverified: false,
    })
}

const AT_ACKNOWLEDGED: UploadEnd = UploadEnd::Acknowledged { offset: None };

/// The end of a closing request that carried the second part and 20 bytes.
fn big_end(upload: UploadId, epoch: Epoch) -> UploadEnd {
    UploadEnd::Writer {
        epoch,
        progress: with_tail(at_parts(2, 2), upload, epoch, 20),
        parts: vec![part(1), part(2)],
        multipart: multipart(),
    }
}

fn cancel(repository: &RepositoryName, upload: UploadId) -> Command {
    Command::CancelUpload {
        repository: repository.clone(),
        upload,
    }
}

fn sealed(reply: Reply) -> SealedObject {
    match reply {
        Reply::Sealed(sealed) => *sealed,
        reply => panic!("{reply:?}"),
    }
}

#[test]
fn a_small_blob_is_the_tail_itself() {
    let mut world = World::new();
    let name = repo("team/a");
    let key = world.push_blob(&name, 1);
    let row = world.row(&keys::blob(&blob(1))).expect("it is there");
    assert_eq!((row.key, row.size, row.count), (key, 11, 0));
    let since = LogTime(world.now);
    assert_eq!(row.state, BlobState::Unreferenced { since });
    assert_eq!(world.queued(), []);
    let repository = world.row(&keys::repository(&name)).expect("it began");
    assert_eq!((repository.blobs, repository.bytes), (1, 11));
    assert_eq!(world.row(&keys::project_count("team", &blob(1))), Some(1));
}

#[test]
fn an_empty_blob_is_an_empty_tail() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let nothing = finish(&name, upload, blob(1), Some(AT_ACKNOWLEDGED));
    assert_eq!(
        world.refused(nothing),
        Refusal::WrongEnd,
        "no object holds its bytes"
    );
    let end = writer_end(grant.epoch, plain(upload, grant.epoch, 0));
    let reply = world.apply(finish(&name, upload, blob(1), Some(end)));
    assert_eq!(
        reply,
        Reply::BlobFinished {
            digest: blob(1),
            size: 0
        }
    );
}

#[test]
fn a_blob_that_exists_keeps_its_object() {
    let mut world = World::new();
    let kept = world.push_blob(&repo("a"), 1);
    let other = world.push_blob(&repo("b"), 1);
    let row = world.row(&keys::blob(&blob(1))).expect("it is there");
    assert_eq!(row.key, kept);
    assert_eq!(world.queued(), [(0, other.to_string())]);
    assert_eq!(
        world.row(&keys::project_count("library", &blob(1))),
        Some(2)
    );
}

#[test]
fn a_blob_of_one_digest_has_one_size() {
    let mut world = World::new();
    let name = repo("a");
    world.push_blob(&name, 1);
    let (upload, grant) = world.create(&name);
    let end = writer_end(grant.epoch, plain(upload, grant.epoch, 12));
    let refusal = world.refused(finish(&name, upload, blob(1), Some(end)));
    assert!(matches!(refusal, Refusal::Invalid { .. }));
}

#[test]
fn a_finish_that_is_sent_again_gets_the_same_answer_for_an_hour() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let end = Some(writer_end(grant.epoch, plain(upload, grant.epoch, 11)));
    let first = world.apply(finish(&name, upload, blob(1), end.clone()));
    world.now += 60 * 60 * 1000;
    assert_eq!(world.apply(finish(&name, upload, blob(1), None)), first);
    assert_eq!(world.apply(finish(&name, upload, blob(1), end)), first);
    assert_eq!(
        world.apply(seal(&name, upload, blob(1), AT_ACKNOWLEDGED)),
        first
    );
    let other = finish(&name, upload, blob(2), None);
    assert_eq!(world.refused(other), Refusal::UploadUnknown);
    let late = begin(&name, upload, WriteFrom::Acknowledged);
    assert_eq!(world.refused(late), Refusal::UploadUnknown);
    assert_eq!(world.refused(cancel(&name, upload)), Refusal::UploadUnknown);

    world.now += 1;
    world.create(&name);
    let forgotten = finish(&name, upload, blob(1), None);
    assert_eq!(world.refused(forgotten), Refusal::UploadUnknown);
    assert_eq!(world.count(TableId::FinishedUpload), 0);
}

#[test]
fn a_seal_fixes_parts_and_digest_and_ends_every_writer() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let end = big_end(upload, grant.epoch);
    let first = sealed(world.apply(seal(&name, upload, blob(1), end.clone())));
    assert_eq!((first.digest, first.size), (blob(1), 220));
    assert_eq!(first.key, ObjectKey::data(CLUSTER, upload, grant.epoch));
    let numbers: Vec<u32> = first.parts.iter().map(|part| part.number).collect();
    assert_eq!(numbers, [1, 2, 3], "the tail is the last part");
    assert_eq!(
        world.count(TableId::UploadPart),
        0,
        "the parts are in the seal"
    );

    let again = sealed(world.apply(seal(&name, upload, blob(1), AT_ACKNOWLEDGED)));
    assert_eq!(again, first, "whatever the second one says");
    let refusal = Refusal::Sealed { digest: blob(1) };
    for command in [
        seal(&name, upload, blob(2), end.clone()),
        finish(&name, upload, blob(2), None),
        begin(&name, upload, WriteFrom::Acknowledged),
        Command::Checkpoint(checkpoint(&name, upload, grant.epoch)),
        acknowledge(
            &name,
            upload,
            grant.epoch,
            at_parts(2, 2),
            vec![part(1), part(2)],
        ),
        Command::AcknowledgeCheckpoint {
            repository: name.clone(),
            upload,
        },
    ] {
        assert_eq!(world.refused(command), refusal);
    }
    let refusal = world.refused(finish(&name, upload, blob(1), Some(end)));
    assert_eq!(refusal, Refusal::WrongEnd);

    let reply = world.apply(finish(&name, upload, blob(1), None));
    assert_eq!(
        reply,
        Reply::BlobFinished {
            digest: blob(1),
            size: 220
        }
    );
    let tail = ObjectKey::tail(CLUSTER, upload, grant.epoch, 220);
    assert_eq!(world.queued(), [(0, tail.to_string())]);
    let finished = row(&world, upload);
    assert_eq!(
        finished.state,
        UploadState::Finished {
            digest: blob(1),
            size: 220
        }
    );
}

#[test]
fn a_sealed_upload_of_a_blob_that_exists_gives_its_object_away() {
    let mut world = World::new();
    let name = repo("a");
    let mut uploads = Vec::new();
    for _ in 0..2 {
        let (upload, grant) = world.create(&name);
        world.apply(seal(&name, upload, blob(1), big_end(upload, grant.epoch)));
        uploads.push(upload);
    }
    for upload in &uploads {
        world.apply(finish(&name, *upload, blob(1), None));
    }
    let loser = ObjectKey::data(CLUSTER, uploads[1], Epoch(1)).to_string();
    assert_eq!(world.queued().len(), 3, "two tails and an object");
    assert!(world.queued().contains(&(0, loser)));
}

#[test]
fn the_end_must_be_what_the_upload_is() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let small = writer_end(grant.epoch, plain(upload, grant.epoch, 11));
    let refusal = world.refused(seal(&name, upload, blob(1), small));
    assert_eq!(refusal, Refusal::WrongEnd);
    let unsealed = finish(&name, upload, blob(1), Some(big_end(upload, grant.epoch)));
    assert_eq!(world.refused(unsealed), Refusal::WrongEnd);
    let endless = finish(&name, upload, blob(1), None);
    assert_eq!(world.refused(endless), Refusal::WrongEnd);
    let stale = writer_end(Epoch(9), plain(upload, grant.epoch, 11));
    let refusal = world.refused(finish(&name, upload, blob(1), Some(stale)));
    assert_eq!(refusal, Refusal::Fenced { acknowledged: 0 });
    let refusal = world.refused(finish(&repo("b"), upload, blob(1), None));
    assert_eq!(refusal, Refusal::UploadUnknown);
}

#[test]
fn an_end_without_bytes_must_be_at_the_acknowledged_offset() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let progress = plain(upload, grant.epoch, 11);
    world.apply(acknowledge(&name, upload, grant.epoch, progress, vec![]));
    let at = |offset| {
        Some(UploadEnd::Acknowledged {
            offset: Some(offset),
        })
    };
    let refusal = world.refused(finish(&name, upload, blob(1), at(10)));
    assert_eq!(refusal, Refusal::OffsetMismatch { acknowledged: 11 });
    let reply = world.apply(finish(&name, upload, blob(1), at(11)));
    assert_eq!(
        reply,
        Reply::BlobFinished {
            digest: blob(1),
            size: 11
        }
    );
}

#[test]
fn a_plain_end_of_an_upload_that_began_parts_drops_them() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let progress = plain(upload, grant.epoch, 11);
    world.apply(acknowledge(
        &name,
        upload,
        grant.epoch,
        progress.clone(),
        vec![],
    ));
    let second = granted(&mut world, begin(&name, upload, WriteFrom::Acknowledged));
    let mut kept = checkpoint(&name, upload, second.epoch);
    kept.progress = at_parts(2, 2);
    assert_eq!(
        world.apply(Command::Checkpoint(kept)),
        Reply::Checkpointed { reserved_until: 32 }
    );
    let reply = world.apply(finish(&name, upload, blob(1), Some(AT_ACKNOWLEDGED)));
    assert_eq!(
        reply,
        Reply::BlobFinished {
            digest: blob(1),
            size: 11
        }
    );
    assert_eq!(world.count(TableId::UploadPart), 0);
    let multipart_key = ObjectKey::data(CLUSTER, upload, second.epoch).to_string();
    assert_eq!(world.queued(), [(0, multipart_key)]);
    let object = progress.tail.expect("it has one").key;
    assert_eq!(
        world.row(&keys::blob(&blob(1))).map(|row| row.key),
        Some(object)
    );
}

#[test]
fn a_cancelled_upload_leaves_its_objects_to_the_queue() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let progress = with_tail(at_parts(1, 1), upload, grant.epoch, 5);
    world.apply(acknowledge(
        &name,
        upload,
        grant.epoch,
        progress,
        vec![part(1)],
    ));
    assert_eq!(
        world.refused(cancel(&repo("b"), upload)),
        Refusal::UploadUnknown
    );
    assert_eq!(world.apply(cancel(&name, upload)), Reply::Done);
    assert_eq!(world.queued().len(), 2);
    assert_eq!(
        world.count(TableId::Upload) + world.count(TableId::UploadPart),
        0
    );
    assert_eq!(world.refused(cancel(&name, upload)), Refusal::UploadUnknown);

    let (upload, grant) = world.create(&name);
    world.apply(seal(&name, upload, blob(1), big_end(upload, grant.epoch)));
    assert_eq!(
        world.apply(cancel(&name, upload)),
        Reply::Done,
        "its bytes were others"
    );
    assert_eq!(world.queued().len(), 4);
}

#[test]
fn objects_leave_the_queue_when_they_are_gone() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let progress = with_tail(at_parts(1, 1), upload, grant.epoch, 5);
    world.apply(acknowledge(
        &name,
        upload,
        grant.epoch,
        progress,
        vec![part(1)],
    ));
    world.apply(cancel(&name, upload));
    let gone = ObjectKey::data(CLUSTER, upload, grant.epoch);
    let unknown = ObjectKey::manifest(CLUSTER, 1);
    let reply = world.apply(Command::ObjectsDeleted {
        keys: vec![gone.clone(), unknown],
    });
    assert_eq!(reply, Reply::Done);
    let tail = ObjectKey::tail(CLUSTER, upload, grant.epoch, 105).to_string();
    assert_eq!(world.queued(), [(0, tail)]);
    let too_many = Command::ObjectsDeleted {
        keys: vec![gone; 1_001],
    };
    assert!(matches!(world.refused(too_many), Refusal::Invalid { .. }));
}

#[test]
fn an_upload_of_as_many_parts_as_there_can_be_stays_within_the_bounds_of_an_entry() {
    let mut world = World::new();
    world.checks_invariants = false;
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let epoch = grant.epoch;
    let (mut recorded, mut reserved) = (0, grant.reserved_until);
    while recorded < metadata::PART_NUMBER_MAX - 1 {
        let last = reserved.min(metadata::PART_NUMBER_MAX - 1);
        let mut kept = checkpoint(&name, upload, epoch);
        kept.parts = (recorded + 1..=last).map(part).collect();
        kept.progress = at_parts(last, last);
        kept.reserve = 1_000.min(metadata::PART_NUMBER_MAX - 1 - reserved);
        match world.apply(Command::Checkpoint(kept)) {
            Reply::Checkpointed { reserved_until } => reserved = reserved_until,
            reply => panic!("{reply:?}"),
        }
        recorded = last;
    }
    let mut fork = World::new();
    fork.tables = world.tables.clone();
    (fork.index, fork.sequence, fork.checks_invariants) = (world.index, world.sequence, false);
    granted(&mut fork, begin(&name, upload, WriteFrom::Location(0)));
    assert_eq!(fork.count(TableId::UploadPart), 0);

    let mut kept = checkpoint(&name, upload, epoch);
    kept.parts.clear();
    kept.progress = at_parts(recorded, recorded);
    kept.reserve = 1;
    world.apply(Command::Checkpoint(kept));
    let end = UploadEnd::Writer {
        epoch,
        progress: with_tail(at_parts(recorded, recorded), upload, epoch, 7),
        parts: vec![],
        multipart: None,
    };
    let sealed = sealed(world.apply(seal(&name, upload, blob(1), end)));
    assert_eq!(sealed.parts.len(), metadata::PART_NUMBER_MAX as usize);
    let reply = world.apply(finish(&name, upload, blob(1), None));
    assert!(matches!(reply, Reply::BlobFinished { .. }));
}
