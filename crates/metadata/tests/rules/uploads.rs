//! Uploads from their opening to an acknowledged offset. Rules 1.1 to 1.5.

use metadata::{
    Acknowledge, BeginWrite, Checkpoint, Command, Epoch, MultipartId, ObjectKey, PART_NUMBER_MAX,
    PARTS_RESERVED_AT_BEGIN, Part, Progress, Refusal, Reply, TableId, TailObject, UploadRow,
    WriteFrom, WriteGrant, keys,
};
use oci::{RepositoryName, UploadId};

use crate::world::{CLUSTER, PART, World, create, midstate, plain, repo};

pub fn begin(repository: &RepositoryName, upload: UploadId, from: WriteFrom) -> Command {
    Command::BeginWrite(BeginWrite {
        repository: repository.clone(),
        upload,
        from,
        after: None,
    })
}

pub fn granted(world: &mut World, command: Command) -> WriteGrant {
    match world.apply(command) {
        Reply::WriteGranted(grant) => *grant,
        reply => panic!("{reply:?}"),
    }
}

pub fn part(number: u32) -> Part {
    Part {
        number,
        etag: format!("etag {number}"),
        size: PART,
    }
}

/// The state after whole parts, the last of which is `last_part`.
pub fn at_parts(count: u32, last_part: u32) -> Progress {
    let offset = u64::from(count * PART);
    Progress {
        offset,
        midstate: midstate(offset),
        last_part,
        tail: None,
    }
}

/// The same with `size` bytes more, stored as the next part too.
pub fn with_tail(mut progress: Progress, upload: UploadId, epoch: Epoch, size: u32) -> Progress {
    progress.offset += u64::from(size);
    progress.midstate = midstate(progress.offset);
    progress.tail = Some(TailObject {
        key: ObjectKey::tail(CLUSTER, upload, epoch, progress.offset),
        size,
        part: Some(Part {
            number: progress.last_part + 1,
            etag: "tail".into(),
            size,
        }),
    });
    progress
}

pub fn multipart() -> Option<MultipartId> {
    Some(MultipartId("m".into()))
}

pub fn checkpoint(repository: &RepositoryName, upload: UploadId, epoch: Epoch) -> Checkpoint {
    Checkpoint {
        repository: repository.clone(),
        upload,
        epoch,
        progress: at_parts(2, 2),
        parts: vec![part(1), part(2)],
        multipart: multipart(),
        reserve: 0,
    }
}

pub fn acknowledge(
    repository: &RepositoryName,
    upload: UploadId,
    epoch: Epoch,
    progress: Progress,
    parts: Vec<Part>,
) -> Command {
    Command::Acknowledge(Acknowledge {
        repository: repository.clone(),
        upload,
        epoch,
        multipart: parts.first().and(multipart()),
        progress,
        parts,
    })
}

pub fn row(world: &World, upload: UploadId) -> UploadRow {
    world.row(&keys::upload(upload)).expect("the upload exists")
}

#[test]
fn an_upload_that_is_written_at_once_gets_the_first_epoch() {
    let mut world = World::new();
    let (upload, grant) = world.create(&repo("a"));
    assert_eq!(grant.epoch, Epoch(1));
    assert_eq!(grant.progress, Progress::default());
    assert_eq!(grant.key, ObjectKey::data(CLUSTER, upload, Epoch(1)));
    assert_eq!(
        (grant.next_part, grant.reserved_until),
        (1, PARTS_RESERVED_AT_BEGIN)
    );

    let plain = UploadId::from_u128(77);
    let reply = world.apply(create(&repo("a"), plain, false));
    assert_eq!(reply, Reply::UploadCreated { grant: None });
    assert_eq!(row(&world, plain).epoch, Epoch(0));
    let refusal = world.refused(create(&repo("a"), plain, false));
    assert!(matches!(refusal, Refusal::Invalid { .. }));
}

#[test]
fn an_upload_is_known_in_its_repository_only() {
    let mut world = World::new();
    let (upload, _) = world.create(&repo("a"));
    let elsewhere = begin(&repo("b"), upload, WriteFrom::Acknowledged);
    assert_eq!(world.refused(elsewhere), Refusal::UploadUnknown);
    let unknown = begin(&repo("a"), UploadId::from_u128(99), WriteFrom::Acknowledged);
    assert_eq!(world.refused(unknown), Refusal::UploadUnknown);
}

#[test]
fn a_later_writer_fences_the_earlier() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, first) = world.create(&name);
    let second = granted(&mut world, begin(&name, upload, WriteFrom::Acknowledged));
    assert_eq!(second.epoch, Epoch(2));
    assert_eq!(
        second.next_part,
        first.reserved_until + 1,
        "above every reserved number"
    );

    let fenced = Refusal::Fenced { acknowledged: 0 };
    let late = checkpoint(&name, upload, first.epoch);
    assert_eq!(world.refused(Command::Checkpoint(late)), fenced);
    let late = acknowledge(
        &name,
        upload,
        first.epoch,
        plain(upload, first.epoch, 5),
        vec![],
    );
    assert_eq!(world.refused(late), fenced);
    assert_eq!(world.count(TableId::UploadPart), 0);
}

#[test]
fn a_tail_is_acknowledged_and_the_next_writer_goes_on_from_it() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, first) = world.create(&name);
    let progress = plain(upload, first.epoch, 30);
    let reply = world.apply(acknowledge(
        &name,
        upload,
        first.epoch,
        progress.clone(),
        vec![],
    ));
    assert_eq!(reply, Reply::Acknowledged { offset: 30 });

    let second = granted(&mut world, begin(&name, upload, WriteFrom::Exactly(30)));
    assert_eq!(second.progress, progress);
    assert_eq!(
        second.next_part, 1,
        "what the first writer did not use was given back"
    );
    let with_parts = with_tail(at_parts(1, 1), upload, second.epoch, 20);
    let reply = world.apply(acknowledge(
        &name,
        upload,
        second.epoch,
        with_parts,
        vec![part(1)],
    ));
    assert_eq!(reply, Reply::Acknowledged { offset: 120 });
    assert_eq!(
        world.queued(),
        [],
        "a request that is sent again starts from the old tail"
    );

    let third = granted(&mut world, begin(&name, upload, WriteFrom::Acknowledged));
    assert_eq!(
        (third.parts_count, third.next_part),
        (1, 3),
        "the tail took number 2"
    );
    assert_eq!(third.key, ObjectKey::data(CLUSTER, upload, second.epoch));
    let old = ObjectKey::tail(CLUSTER, upload, first.epoch, 30).to_string();
    assert_eq!(world.queued(), [(0, old)]);
}

#[test]
fn a_request_that_is_sent_again_takes_up_where_it_started() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, first) = world.create(&name);
    let early = plain(upload, first.epoch, 30);
    world.apply(acknowledge(
        &name,
        upload,
        first.epoch,
        early.clone(),
        vec![],
    ));
    let second = granted(&mut world, begin(&name, upload, WriteFrom::Location(30)));
    let later = with_tail(at_parts(1, 1), upload, second.epoch, 20);
    let dropped = later.tail.clone().expect("it has one").key;
    world.apply(acknowledge(
        &name,
        upload,
        second.epoch,
        later,
        vec![part(1)],
    ));

    let again = granted(&mut world, begin(&name, upload, WriteFrom::Location(30)));
    assert_eq!(again.progress, early);
    assert_eq!(
        row(&world, upload).acknowledged,
        early,
        "what lay beyond is dropped"
    );
    assert_eq!(world.count(TableId::UploadPart), 0);
    assert_eq!(world.queued(), [(0, dropped.to_string())]);

    let from_nothing = granted(&mut world, begin(&name, upload, WriteFrom::Location(0)));
    assert_eq!(from_nothing.progress, Progress::default());
    assert_eq!(world.queued().len(), 2, "the first tail goes too");
    let refusal = world.refused(begin(&name, upload, WriteFrom::Location(30)));
    assert_eq!(refusal, Refusal::OffsetMismatch { acknowledged: 0 });
}

#[test]
fn what_was_acknowledged_is_dropped_only_by_who_knows_the_latest_writer() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, first) = world.create(&name);
    let told = plain(upload, first.epoch, 30);
    world.apply(acknowledge(&name, upload, first.epoch, told, vec![]));
    let back = |after| {
        Command::BeginWrite(BeginWrite {
            repository: name.clone(),
            upload,
            from: WriteFrom::Location(0),
            after: Some(after),
        })
    };
    let refusal = world.refused(back(Epoch(0)));
    assert_eq!(refusal, Refusal::OffsetMismatch { acknowledged: 30 });
    let again = granted(&mut world, back(first.epoch));
    assert_eq!(again.progress, Progress::default());
}

#[test]
fn what_a_client_was_told_is_not_taken_back_by_what_was_sent_before() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, first) = world.create(&name);
    let early = plain(upload, first.epoch, 30);
    world.apply(acknowledge(&name, upload, first.epoch, early, vec![]));
    let second = granted(&mut world, begin(&name, upload, WriteFrom::Location(30)));
    let later = plain(upload, second.epoch, 50);
    world.apply(acknowledge(&name, upload, second.epoch, later, vec![]));
    let ask = Command::AcknowledgeCheckpoint {
        repository: name.clone(),
        upload,
    };
    assert_eq!(world.apply(ask), Reply::Acknowledged { offset: 50 });
    for at in [0, 30] {
        // It knows the latest writer, and was on its way when the client asked.
        let late = Command::BeginWrite(BeginWrite {
            repository: name.clone(),
            upload,
            from: WriteFrom::Location(at),
            after: Some(second.epoch),
        });
        let refusal = Refusal::OffsetMismatch { acknowledged: 50 };
        assert_eq!(world.refused(late), refusal, "from {at}");
    }
    let on = granted(&mut world, begin(&name, upload, WriteFrom::Location(50)));
    assert_eq!(on.progress.offset, 50);
}

#[test]
fn a_content_range_starts_at_the_acknowledged_or_the_checkpointed_offset() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, first) = world.create(&name);
    let kept = checkpoint(&name, upload, first.epoch);
    let reply = world.apply(Command::Checkpoint(kept.clone()));
    assert_eq!(
        reply,
        Reply::Checkpointed {
            reserved_until: PARTS_RESERVED_AT_BEGIN
        }
    );

    let wrong = begin(&name, upload, WriteFrom::Exactly(100));
    assert_eq!(
        world.refused(wrong),
        Refusal::OffsetMismatch { acknowledged: 0 }
    );
    let not_told = begin(&name, upload, WriteFrom::Location(200));
    assert_eq!(
        world.refused(not_told),
        Refusal::OffsetMismatch { acknowledged: 0 }
    );

    let second = granted(&mut world, begin(&name, upload, WriteFrom::Exactly(200)));
    assert_eq!(second.progress, kept.progress);
    assert_eq!((second.multipart, second.parts_count), (multipart(), 2));
    assert_eq!(row(&world, upload).acknowledged.offset, 0);
    let third = granted(&mut world, begin(&name, upload, WriteFrom::Exactly(200)));
    assert_eq!(
        third.progress, kept.progress,
        "the checkpoint outlives a writer that died"
    );

    let back = granted(&mut world, begin(&name, upload, WriteFrom::Exactly(0)));
    assert_eq!(back.progress, Progress::default());
    assert_eq!(world.count(TableId::UploadPart), 0);
    assert_eq!(row(&world, upload).checkpoint, None);
}

#[test]
fn asking_for_the_status_acknowledges_the_checkpoint() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let ask = |repository: &RepositoryName| Command::AcknowledgeCheckpoint {
        repository: repository.clone(),
        upload,
    };
    assert_eq!(world.apply(ask(&name)), Reply::Acknowledged { offset: 0 });
    world.apply(Command::Checkpoint(checkpoint(&name, upload, grant.epoch)));
    assert_eq!(world.apply(ask(&name)), Reply::Acknowledged { offset: 200 });
    assert_eq!(world.refused(ask(&repo("b"))), Refusal::UploadUnknown);

    let more = acknowledge(&name, upload, grant.epoch, at_parts(3, 3), vec![part(3)]);
    assert_eq!(
        world.apply(more),
        Reply::Acknowledged { offset: 300 },
        "its writer goes on"
    );
}

#[test]
fn part_numbers_are_given_in_blocks_until_there_are_no_more() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let mut kept = checkpoint(&name, upload, grant.epoch);
    kept.reserve = 1_000;
    let reply = world.apply(Command::Checkpoint(kept.clone()));
    assert_eq!(
        reply,
        Reply::Checkpointed {
            reserved_until: 1_000 + PARTS_RESERVED_AT_BEGIN
        }
    );
    kept.parts.clear();
    kept.reserve = 1_001;
    let refusal = world.refused(Command::Checkpoint(kept.clone()));
    assert!(matches!(refusal, Refusal::Invalid { .. }));
    kept.reserve = 1_000;
    for _ in 0..9 {
        world.apply(Command::Checkpoint(kept.clone()));
    }
    assert_eq!(row(&world, upload).reserved_until, PART_NUMBER_MAX);
    let refusal = world.refused(begin(&name, upload, WriteFrom::Exactly(200)));
    assert_eq!(refusal, Refusal::TooManyParts);
}

#[test]
fn an_upload_in_a_thousand_small_requests_does_not_run_out_of_part_numbers() {
    let mut world = World::new();
    world.checks_invariants = false;
    let name = repo("a");
    let (upload, mut grant) = world.create(&name);
    let mut parts = 0;
    for round in 1..=1_000_u32 {
        // Each request brings 10 bytes; every tenth completes a part.
        let (whole, rest) = (round / 10, round % 10 * 10);
        let mut next = grant.next_part;
        let mut progress = at_parts(whole, grant.progress.last_part);
        let mut new = Vec::new();
        if whole > parts {
            new.push(part(next));
            progress.last_part = next;
            parts = whole;
            next += 1;
        }
        if whole == 0 {
            progress = plain(upload, grant.epoch, rest);
        } else if rest > 0 {
            progress = with_tail(progress, upload, grant.epoch, rest);
            let tail = progress.tail.as_mut().and_then(|tail| tail.part.as_mut());
            tail.expect("it has parts").number = next;
        }
        let reply = world.apply(acknowledge(&name, upload, grant.epoch, progress, new));
        let offset = u64::from(round * 10);
        assert_eq!(reply, Reply::Acknowledged { offset });
        grant = granted(&mut world, begin(&name, upload, WriteFrom::Exactly(offset)));
    }
    assert!(grant.next_part <= 1_100, "{}", grant.next_part);
}

#[test]
fn numbers_of_a_writer_that_never_acknowledged_are_lost() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, first) = world.create(&name);
    let second = granted(&mut world, begin(&name, upload, WriteFrom::Acknowledged));
    let reply = acknowledge(
        &name,
        upload,
        second.epoch,
        plain(upload, second.epoch, 5),
        vec![],
    );
    world.apply(reply);
    let third = granted(&mut world, begin(&name, upload, WriteFrom::Acknowledged));
    assert_eq!(third.next_part, first.reserved_until + 1);
}

fn tail_of(command: &mut Acknowledge) -> &mut TailObject {
    command.progress.tail.as_mut().expect("it has one")
}

/// What goes on rightly from [`checkpoint`].
fn third_part_and_tail(repository: &RepositoryName, upload: UploadId, epoch: Epoch) -> Acknowledge {
    Acknowledge {
        repository: repository.clone(),
        upload,
        epoch,
        progress: with_tail(at_parts(3, 3), upload, epoch, 20),
        parts: vec![part(3)],
        multipart: multipart(),
    }
}

#[test]
fn what_contradicts_the_recorded_state_is_invalid() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    world.apply(Command::Checkpoint(checkpoint(&name, upload, grant.epoch)));
    let broken = |change: &dyn Fn(&mut Acknowledge)| {
        let mut command = third_part_and_tail(&name, upload, grant.epoch);
        change(&mut command);
        Command::Acknowledge(command)
    };
    let cases: [(&str, Command); 14] = [
        ("offset", broken(&|it| it.progress.offset += 1)),
        ("midstate", broken(&|it| it.progress.midstate = midstate(0))),
        (
            "backwards",
            broken(&|it| (it.progress, it.parts) = (at_parts(1, 1), vec![])),
        ),
        ("last part", broken(&|it| it.progress.last_part = 2)),
        ("old number", broken(&|it| it.parts[0].number = 2)),
        ("number beyond", broken(&|it| it.parts[0].number = 33)),
        ("part size", broken(&|it| it.parts[0].size = 99)),
        (
            "too long a receipt",
            broken(&|it| it.parts[0].etag = "e".repeat(129)),
        ),
        (
            "other multipart",
            broken(&|it| it.multipart = Some(MultipartId("n".into()))),
        ),
        (
            "tail size",
            broken(&|it| {
                it.progress.offset += 80;
                tail_of(it).size = PART;
            }),
        ),
        (
            "tail key",
            broken(&|it| tail_of(it).key = ObjectKey::manifest(CLUSTER, 1)),
        ),
        ("tail without part", broken(&|it| tail_of(it).part = None)),
        (
            "tail's number",
            broken(&|it| tail_of(it).part = Some(part(3))),
        ),
        (
            "too long a midstate",
            broken(&|it| it.progress.midstate = vec![1; 513].into()),
        ),
    ];
    for (what, command) in cases {
        let refusal = world.refused(command);
        assert!(
            matches!(refusal, Refusal::Invalid { .. }),
            "{what}: {refusal:?}"
        );
    }
    assert_eq!(
        world.apply(broken(&|_| {})),
        Reply::Acknowledged { offset: 320 }
    );
}

#[test]
fn parts_need_a_multipart_upload_and_checkpoints_have_no_tail() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let mut untold = checkpoint(&name, upload, grant.epoch);
    untold.multipart = None;
    let refusal = world.refused(Command::Checkpoint(untold));
    assert!(matches!(refusal, Refusal::Invalid { .. }));
    let mut tailed = checkpoint(&name, upload, grant.epoch);
    tailed.progress = with_tail(tailed.progress, upload, grant.epoch, 5);
    let refusal = world.refused(Command::Checkpoint(tailed));
    assert!(matches!(refusal, Refusal::Invalid { .. }));
    let mut partly = plain(upload, grant.epoch, 5);
    partly.tail.as_mut().expect("it has one").part = Some(part(1));
    let refusal = world.refused(acknowledge(&name, upload, grant.epoch, partly, vec![]));
    assert!(matches!(refusal, Refusal::Invalid { .. }));
}

#[test]
fn a_request_without_bytes_acknowledges_what_was_there() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, first) = world.create(&name);
    let progress = plain(upload, first.epoch, 30);
    world.apply(acknowledge(
        &name,
        upload,
        first.epoch,
        progress.clone(),
        vec![],
    ));
    let second = granted(&mut world, begin(&name, upload, WriteFrom::Acknowledged));
    let reply = world.apply(acknowledge(&name, upload, second.epoch, progress, vec![]));
    assert_eq!(reply, Reply::Acknowledged { offset: 30 });
}

#[test]
fn a_tail_object_is_never_taken_for_other_bytes() {
    let mut world = World::new();
    let name = repo("a");
    let (upload, grant) = world.create(&name);
    let first = plain(upload, grant.epoch, 30);
    let old = first.tail.clone().expect("it has one");
    world.apply(acknowledge(&name, upload, grant.epoch, first, vec![]));

    let mut grown = plain(upload, grant.epoch, 40);
    grown.tail.as_mut().expect("it has one").key = old.key.clone();
    let refusal = world.refused(acknowledge(&name, upload, grant.epoch, grown, vec![]));
    assert!(
        matches!(refusal, Refusal::Invalid { .. }),
        "the key holds 30 bytes"
    );

    let second = granted(&mut world, begin(&name, upload, WriteFrom::Acknowledged));
    let mut moved = at_parts(1, 1);
    moved.offset += 30;
    moved.midstate = midstate(130);
    moved.tail = Some(old);
    let refusal = world.refused(acknowledge(
        &name,
        upload,
        second.epoch,
        moved,
        vec![part(1)],
    ));
    assert!(
        matches!(refusal, Refusal::Invalid { .. }),
        "its bytes were the first ones"
    );
}
