//! Writers on several nodes, an object store, and one upload: whatever they do, no byte of two writers is mixed, and
//! nothing that is named is deleted. Rules 1.1 to 1.6, promises P3 and P5.
//!
//! A writer's bytes bear its number, and the midstate of an offset is the bytes before it, so whatever state is kept can
//! be compared with what the store would give for it. A fenced writer goes on to store, as a paused node does.

use std::collections::BTreeMap;

use bytes::Bytes;
use metadata::{
    Acknowledge, BeginWrite, Checkpoint, Command, CreateUpload, FinishUpload, LogTime, MultipartId,
    ObjectKey, Part, Progress, Query, Refusal, Reply, SealUpload, TailObject, UploadEnd, UploadRow,
    UploadState, WriteFrom, WriteGrant, keys,
};
use oci::{Algorithm, Digest, RepositoryName, UploadId};
use proptest::prelude::*;

use crate::world::{CLUSTER, World, repo, who};

const PART_SIZE: usize = 4;
const UPLOAD: UploadId = UploadId::from_u128(5);

#[derive(Debug, Clone)]
enum Step {
    Begin(u8, u64),
    Write(usize, usize),
    Checkpoint(usize, u32),
    Acknowledge(usize),
    AcknowledgeCheckpoint,
    CloseByWriter(usize),
    CloseEmpty,
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    let writer = 0..4_usize;
    prop_oneof![
        3 => (0..3_u8, 0..30_u64).prop_map(|(kind, pick)| Step::Begin(kind, pick)),
        6 => (writer.clone(), 1..10_usize).prop_map(|(writer, count)| Step::Write(writer, count)),
        3 => (writer.clone(), 0..5_u32).prop_map(|(writer, reserve)| Step::Checkpoint(writer, reserve)),
        4 => writer.clone().prop_map(Step::Acknowledge),
        1 => Just(Step::AcknowledgeCheckpoint),
        1 => writer.prop_map(Step::CloseByWriter),
        1 => Just(Step::CloseEmpty),
        1 => Just(Step::Delete),
    ]
}

/// What the nodes have put into the object store. A part that is stored again under its number replaces the first.
#[derive(Default)]
struct Store {
    objects: BTreeMap<ObjectKey, Vec<u8>>,
    parts: BTreeMap<(MultipartId, u32), (String, Vec<u8>)>,
}

impl Store {
    fn part(&self, multipart: Option<&MultipartId>, part: &Part) -> Vec<u8> {
        let multipart = multipart.expect("parts are of a multipart upload").clone();
        let (etag, bytes) = &self.parts[&(multipart, part.number)];
        assert_eq!(etag, &part.etag, "a late part has replaced a recorded one");
        bytes.clone()
    }
}

/// A request that writes, on some node.
struct Writer {
    number: u8,
    grant: WriteGrant,
    multipart: Option<MultipartId>,
    /// Everything up to where it is.
    bytes: Vec<u8>,
    whole: usize,
    last_part: u32,
    next_part: u32,
    reserved_until: u32,
    unrecorded: Vec<Part>,
    done: bool,
}

struct Model {
    world: World,
    name: RepositoryName,
    store: Store,
    writers: Vec<Writer>,
    stored: u32,
}

impl Model {
    fn new() -> Model {
        let mut world = World::new();
        let name = repo("a");
        let reply = world.apply(Command::CreateUpload(CreateUpload {
            upload: UPLOAD,
            repository: name.clone(),
            algorithm: Algorithm::Sha256,
            part_size: PART_SIZE as u32,
            write: false,
            principal: who("ann"),
        }));
        assert_eq!(reply, Reply::UploadCreated { grant: None });
        Model {
            world,
            name,
            store: Store::default(),
            writers: Vec::new(),
            stored: 0,
        }
    }

    fn row(&self) -> UploadRow {
        self.world.row(&keys::upload(UPLOAD)).expect("it is kept")
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Begin(kind, pick) => self.begin(kind, pick),
            Step::Write(writer, count) => self.write(writer, count),
            Step::Checkpoint(writer, reserve) => self.checkpoint(writer, reserve),
            Step::Acknowledge(writer) => self.acknowledge(writer),
            Step::AcknowledgeCheckpoint => {
                self.world.apply(Command::AcknowledgeCheckpoint {
                    repository: self.name.clone(),
                    upload: UPLOAD,
                });
            }
            Step::CloseByWriter(writer) => self.close_by_writer(writer),
            Step::CloseEmpty => self.close(UploadEnd::Acknowledged { offset: None }),
            Step::Delete => self.delete(),
        }
        self.check();
    }

    fn begin(&mut self, kind: u8, pick: u64) {
        let row = self.row();
        let offsets = [
            Some(&row.acknowledged),
            row.checkpoint.as_ref(),
            row.started.as_ref(),
        ];
        let offsets: Vec<u64> = offsets.into_iter().flatten().map(|it| it.offset).collect();
        let offset = match pick {
            0..4 => 0,
            4..8 => pick,
            pick => offsets[pick as usize % offsets.len()],
        };
        let from = match kind {
            0 => WriteFrom::Acknowledged,
            1 => WriteFrom::Exactly(offset),
            _ => WriteFrom::Location(offset),
        };
        let command = Command::BeginWrite(BeginWrite {
            repository: self.name.clone(),
            upload: UPLOAD,
            from,
            after: None,
        });
        let Reply::WriteGranted(grant) = self.world.apply(command) else {
            return;
        };
        if let WriteFrom::Exactly(offset) | WriteFrom::Location(offset) = from {
            assert_eq!(grant.progress.offset, offset);
        }
        let bytes = self.bytes_of(&self.row(), &grant.progress);
        let tail = grant
            .progress
            .tail
            .as_ref()
            .map_or(0, |tail| tail.size as usize);
        let whole = bytes.len() - tail;
        assert_eq!(grant.parts_count as usize * PART_SIZE, whole);
        let writer = Writer {
            number: self.writers.len() as u8 + 1,
            multipart: grant.multipart.clone(),
            bytes,
            whole,
            last_part: grant.progress.last_part,
            next_part: grant.next_part,
            reserved_until: grant.reserved_until,
            unrecorded: Vec::new(),
            done: false,
            grant: *grant,
        };
        self.writers.push(writer);
    }

    /// One of the latest writers, unless its request has ended.
    fn writer(&mut self, pick: usize) -> Option<&mut Writer> {
        self.writers
            .iter_mut()
            .rev()
            .nth(pick)
            .filter(|it| !it.done)
    }

    fn write(&mut self, pick: usize, count: usize) {
        let mut stored = self.stored;
        let Some(writer) = self.writer(pick) else {
            return;
        };
        writer.bytes.extend(vec![writer.number; count]);
        let mut parts = Vec::new();
        // A whole part is kept back until more comes: it may be the end of a plain object.
        while writer.bytes.len() - writer.whole > PART_SIZE
            && writer.next_part <= writer.reserved_until
        {
            let bytes = writer.bytes[writer.whole..writer.whole + PART_SIZE].to_vec();
            stored += 1;
            let part = writer.store(stored, PART_SIZE);
            writer.whole += PART_SIZE;
            writer.last_part = part.number;
            writer.unrecorded.push(part.clone());
            let multipart = writer.multipart.clone().expect("store began it");
            parts.push(((multipart, part.number), (part.etag, bytes)));
        }
        self.stored = stored;
        self.store.parts.extend(parts);
    }

    fn checkpoint(&mut self, pick: usize, reserve: u32) {
        let name = self.name.clone();
        let Some(writer) = self.writer(pick) else {
            return;
        };
        let offset = writer.whole as u64;
        let command = Command::Checkpoint(Checkpoint {
            repository: name,
            upload: UPLOAD,
            epoch: writer.grant.epoch,
            progress: writer.progress(writer.whole, None),
            parts: writer.unrecorded.clone(),
            multipart: writer.multipart.clone(),
            reserve,
        });
        let started_beyond = offset < writer.grant.progress.offset;
        let reply = self.world.apply(command);
        let writer = self.writer(pick).expect("it was there");
        match reply {
            Reply::Checkpointed { reserved_until } => {
                writer.unrecorded.clear();
                writer.reserved_until = reserved_until;
            }
            Reply::Refused(Refusal::Invalid { .. }) => assert!(started_beyond, "{reply:?}"),
            _ => {}
        }
    }

    /// Stores what a writer has beyond its parts, and gives its state at the end.
    fn store_tail(&mut self, pick: usize) -> Option<Progress> {
        let stored = self.stored + 1;
        let writer = self.writer(pick)?;
        let rest = writer.bytes[writer.whole..].to_vec();
        let unchanged = writer.bytes.len() as u64 == writer.grant.progress.offset;
        if unchanged || rest.is_empty() {
            let tail = writer.grant.progress.tail.clone().filter(|_| unchanged);
            let offset = writer.bytes.len();
            return Some(writer.progress(offset, tail));
        }
        let has_parts = writer.whole > 0;
        if has_parts && (writer.next_part > writer.reserved_until || rest.len() >= PART_SIZE) {
            return None;
        }
        if rest.len() > PART_SIZE {
            return None;
        }
        let key = ObjectKey::tail(CLUSTER, UPLOAD, writer.grant.epoch, writer.whole as u64);
        let part = has_parts.then(|| writer.store(stored, rest.len()));
        let tail = TailObject {
            key: key.clone(),
            size: rest.len() as u32,
            part: part.clone(),
        };
        let progress = writer.progress(writer.bytes.len(), Some(tail));
        let multipart = writer.multipart.clone();
        self.stored = stored;
        self.store.objects.insert(key, rest.clone());
        if let (Some(part), Some(multipart)) = (part, multipart) {
            self.store
                .parts
                .insert((multipart, part.number), (part.etag, rest));
        }
        Some(progress)
    }

    fn acknowledge(&mut self, pick: usize) {
        let name = self.name.clone();
        let Some(progress) = self.store_tail(pick) else {
            return;
        };
        let Some(writer) = self.writer(pick) else {
            return;
        };
        writer.done = true;
        let command = Command::Acknowledge(Acknowledge {
            repository: name,
            upload: UPLOAD,
            epoch: writer.grant.epoch,
            parts: std::mem::take(&mut writer.unrecorded),
            multipart: writer.multipart.clone(),
            progress,
        });
        let reply = self.world.apply(command);
        assert!(
            !matches!(reply, Reply::Refused(Refusal::Invalid { .. })),
            "{reply:?}"
        );
    }

    fn close_by_writer(&mut self, pick: usize) {
        let Some(progress) = self.store_tail(pick) else {
            return;
        };
        let Some(writer) = self.writer(pick) else {
            return;
        };
        writer.done = true;
        let end = UploadEnd::Writer {
            epoch: writer.grant.epoch,
            progress,
            parts: std::mem::take(&mut writer.unrecorded),
            multipart: writer.multipart.clone(),
        };
        self.close(end);
    }

    /// Ends the upload as whatever the closing request believes that the bytes are.
    fn close(&mut self, end: UploadEnd) {
        let row = self.row();
        let progress = match &end {
            UploadEnd::Acknowledged { .. } => row.acknowledged.clone(),
            UploadEnd::Writer { progress, .. } => progress.clone(),
        };
        let digest = Digest::of(Algorithm::Sha256, &progress.midstate);
        let mut finish = FinishUpload {
            repository: self.name.clone(),
            upload: UPLOAD,
            digest,
            end: Some(end.clone()),
            principal: who("ann"),
        };
        if progress.last_part > 0 {
            let reply = self.world.apply(Command::SealUpload(SealUpload {
                repository: self.name.clone(),
                upload: UPLOAD,
                digest,
                end,
                unverified: false,
            }));
            let Reply::Sealed(sealed) = reply else {
                return;
            };
            if !self.store.objects.contains_key(&sealed.key) {
                let parts = sealed.parts.iter();
                let bytes = parts.flat_map(|part| self.store.part(Some(&sealed.multipart), part));
                let bytes: Vec<u8> = bytes.collect();
                self.store.objects.insert(sealed.key, bytes);
            }
            finish.end = None;
        }
        if let Reply::BlobFinished { .. } = self.world.apply(Command::FinishUpload(finish)) {
            let row = self
                .world
                .row(&keys::blob(&digest))
                .expect("it is finished");
            assert_eq!(self.store.objects[&row.key], progress.midstate);
        }
    }

    /// Removes from the store what the log says may go.
    fn delete(&mut self) {
        let now = LogTime(self.world.now);
        let query = Query::DueDeletions { limit: 9, now };
        let metadata::Answer::Deletions { objects } = self.world.ask(query) else {
            panic!("another answer");
        };
        for row in &objects {
            self.store.objects.remove(&row.key);
            if let Some(multipart) = &row.multipart {
                self.store.parts.retain(|(of, _), _| of != multipart);
            }
        }
        let keys = objects.into_iter().map(|row| row.key).collect();
        self.world.apply(Command::ObjectsDeleted { keys });
    }

    /// The bytes that the store would give for a kept state.
    fn bytes_of(&self, row: &UploadRow, progress: &Progress) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 1..=progress.last_part {
            if let Some(part) = self.world.row(&keys::upload_part(UPLOAD, number)) {
                let (etag, size) = (part.etag, part.size);
                let part = Part { number, etag, size };
                bytes.extend(self.store.part(row.multipart.as_ref(), &part));
            }
        }
        if let Some(tail) = &progress.tail {
            assert_eq!(self.store.objects[&tail.key].len(), tail.size as usize);
            bytes.extend(&self.store.objects[&tail.key]);
            if let Some(part) = &tail.part {
                let as_part = self.store.part(row.multipart.as_ref(), part);
                assert_eq!(as_part, self.store.objects[&tail.key]);
            }
        }
        bytes
    }

    fn check(&self) {
        let row = self.row();
        if row.state != UploadState::Open {
            return;
        }
        let kept = [
            Some(&row.acknowledged),
            row.checkpoint.as_ref(),
            row.started.as_ref(),
        ];
        for progress in kept.into_iter().flatten() {
            assert_eq!(self.bytes_of(&row, progress), progress.midstate);
        }
    }
}

impl Writer {
    /// Takes the next number for a part that is stored now; the first of all begins the multipart upload.
    fn store(&mut self, stored: u32, size: usize) -> Part {
        let epoch = self.grant.epoch;
        self.multipart
            .get_or_insert_with(|| MultipartId(format!("begun by {epoch}").into()));
        let number = self.next_part;
        self.next_part += 1;
        Part {
            number,
            etag: format!("stored {stored}"),
            size: size as u32,
        }
    }

    fn progress(&self, offset: usize, tail: Option<TailObject>) -> Progress {
        Progress {
            offset: offset as u64,
            midstate: Bytes::copy_from_slice(&self.bytes[..offset]),
            last_part: self.last_part,
            tail,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_of_two_writers_never_mix(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
    }
}
