//! A cluster that is one state machine, and short ways to say what is pushed to it.

use bytes::Bytes;
use metadata::{
    Answer, ClusterId, Command, CommandId, CountedTables, CreateUpload, Entry, Epoch, FinishUpload,
    LogIndex, LogTime, ManifestReference, MemoryTables, ObjectKey, Payload, PrincipalName,
    Progress, PutManifest, Query, ROWS_PER_ENTRY_MAX, ReadTables, Refusal, Reply, Row, TableId,
    TailObject, TypedRow, UploadEnd, WriteGrant, answer, apply, invariant, keys,
};
use oci::{Algorithm, Descriptor, Digest, MediaType, RepositoryName, Tag, UploadId};

pub const CLUSTER: ClusterId = ClusterId(0xc1);
pub const PART: u32 = 100;

pub struct World {
    pub tables: MemoryTables,
    pub index: u64,
    pub sequence: u64,
    pub now: u64,
    /// Off for tests of large states.
    pub checks_invariants: bool,
    fresh: u128,
}

impl World {
    /// A cluster that has its name.
    pub fn new() -> World {
        let mut world = World::unnamed();
        let reply = world.apply(Command::InitializeCluster { cluster: CLUSTER });
        assert_eq!(reply, Reply::Initialized { cluster: CLUSTER });
        world
    }

    pub fn unnamed() -> World {
        World {
            tables: MemoryTables::default(),
            index: 0,
            sequence: 0,
            now: 1_000_000,
            checks_invariants: true,
            fresh: 0,
        }
    }

    pub fn apply(&mut self, command: Command) -> Reply {
        self.sequence += 1;
        let entry = Entry {
            id: CommandId {
                incarnation: 1,
                sequence: self.sequence,
            },
            seen: LogIndex(self.index),
            stamped: LogTime(self.now),
            command,
        };
        self.apply_entry(&entry)
    }

    pub fn apply_entry(&mut self, entry: &Entry) -> Reply {
        self.index += 1;
        let before = self.checks_invariants.then(|| self.tables.clone());
        let mut counted = CountedTables::new(&mut self.tables);
        let reply = apply(&mut counted, LogIndex(self.index), entry).expect("the tables are sound");
        let touched = counted.touched();
        assert!(touched <= ROWS_PER_ENTRY_MAX, "{touched} rows touched");
        if let Some(before) = before {
            invariant::check_all(&self.tables).expect("every invariant holds");
            if let Reply::Refused(_) = reply {
                assert_eq!(lasting(&before), lasting(&self.tables), "{entry:?}");
            }
        }
        reply
    }

    /// Applies what must be refused.
    pub fn refused(&mut self, command: Command) -> Refusal {
        match self.apply(command) {
            Reply::Refused(refusal) => refusal,
            reply => panic!("not refused: {reply:?}"),
        }
    }

    pub fn ask(&self, query: Query) -> Answer {
        answer(&self.tables, &query).expect("the tables are sound")
    }

    pub fn row<R: TypedRow>(&self, key: &keys::Key<R>) -> Option<R> {
        let row = self.tables.get(key.table(), key.bytes());
        row.expect("memory can be read").and_then(R::from_row)
    }

    pub fn count(&self, table: TableId) -> usize {
        self.tables.rows().filter(|row| row.0 == table).count()
    }

    /// The objects in the delete queue, with the milliseconds until they are due.
    pub fn queued(&self) -> Vec<(u64, String)> {
        let rows = self.tables.rows();
        rows.filter(|row| row.0 == TableId::Deletion)
            .filter_map(|(_, key, _)| keys::read_deletion(key))
            .map(|(due, object)| (due.0.saturating_sub(self.now), object.to_string()))
            .collect()
    }

    pub fn fresh(&mut self) -> u128 {
        self.fresh += 1;
        self.fresh
    }

    /// Opens an upload whose request goes on to write.
    pub fn create(&mut self, repository: &RepositoryName) -> (UploadId, WriteGrant) {
        let upload = UploadId::from_u128(self.fresh());
        match self.apply(create(repository, upload, true)) {
            Reply::UploadCreated { grant: Some(grant) } => (upload, *grant),
            reply => panic!("{reply:?}"),
        }
    }

    /// Pushes `blob(number)` as a small plain object of `10 + number` bytes.
    pub fn push_blob(&mut self, repository: &RepositoryName, number: u32) -> ObjectKey {
        let (upload, grant) = self.create(repository);
        let progress = plain(upload, grant.epoch, 10 + number % 50);
        let key = progress.tail.as_ref().expect("it has one").key.clone();
        let reply = self.apply(finish(
            repository,
            upload,
            blob(number),
            Some(writer_end(grant.epoch, progress)),
        ));
        let (digest, size) = (blob(number), u64::from(10 + number % 50));
        assert_eq!(reply, Reply::BlobFinished { digest, size });
        key
    }

    pub fn put(&mut self, put: PutManifest) -> Reply {
        self.apply(Command::PutManifest(put))
    }
}

/// What a refusal must not change. What is remembered of answers is not among it, nor what an unused payload costs.
fn lasting(tables: &MemoryTables) -> Vec<(TableId, &[u8], &Row)> {
    let passing = [
        TableId::Cluster,
        TableId::Reply,
        TableId::ReplyOrder,
        TableId::Deletion,
        TableId::RecentPut,
        TableId::IdempotencyKey,
        TableId::FirstAnswerOrder,
    ];
    tables
        .rows()
        .filter(|(table, _, _)| !passing.contains(table))
        .collect()
}

pub fn repo(name: &str) -> RepositoryName {
    RepositoryName::parse(name).expect("a name")
}

pub fn tag(name: &str) -> Tag {
    Tag::parse(name).expect("a tag")
}

pub fn who(name: &str) -> PrincipalName {
    PrincipalName(name.into())
}

pub fn blob(number: u32) -> Digest {
    Digest::of(Algorithm::Sha256, format!("blob {number}").as_bytes())
}

pub fn manifest(number: u32) -> Digest {
    Digest::of(Algorithm::Sha256, format!("manifest {number}").as_bytes())
}

pub fn create(repository: &RepositoryName, upload: UploadId, write: bool) -> Command {
    Command::CreateUpload(CreateUpload {
        upload,
        repository: repository.clone(),
        algorithm: Algorithm::Sha256,
        part_size: PART,
        write,
        principal: who("ann"),
    })
}

/// The state of an upload that is one plain object.
pub fn plain(upload: UploadId, epoch: Epoch, size: u32) -> Progress {
    Progress {
        offset: u64::from(size),
        midstate: midstate(u64::from(size)),
        last_part: 0,
        tail: Some(TailObject {
            key: ObjectKey::tail(CLUSTER, upload, epoch, u64::from(size)),
            size,
            part: None,
        }),
    }
}

pub fn midstate(offset: u64) -> Bytes {
    match offset {
        0 => Bytes::new(),
        offset => Bytes::from(format!("hash of {offset} bytes")),
    }
}

pub fn writer_end(epoch: Epoch, progress: Progress) -> UploadEnd {
    UploadEnd::Writer {
        epoch,
        progress,
        parts: Vec::new(),
        multipart: None,
    }
}

pub fn finish(
    repository: &RepositoryName,
    upload: UploadId,
    digest: Digest,
    end: Option<UploadEnd>,
) -> Command {
    Command::FinishUpload(FinishUpload {
        repository: repository.clone(),
        upload,
        digest,
        end,
        principal: who("ann"),
    })
}

/// `manifest(number)`, which names nothing.
pub fn put(repository: &RepositoryName, number: u32, tags: &[&str]) -> PutManifest {
    let payload = Bytes::from(format!("payload of manifest {number}"));
    PutManifest {
        repository: repository.clone(),
        digest: manifest(number),
        media_type: MediaType::OCI_MANIFEST,
        size: payload.len() as u64,
        payload: Payload::Inline(payload),
        references: Vec::new(),
        config: None,
        subject: None,
        referrer: None,
        tags: tags.iter().map(|name| tag(name)).collect(),
        precondition: None,
        idempotency_key: None,
        sparse: false,
        principal: who("ann"),
    }
}

pub fn naming(mut put: PutManifest, references: &[ManifestReference]) -> PutManifest {
    put.references = references.to_vec();
    put.references.sort_unstable();
    put
}

pub fn about(mut put: PutManifest, subject: Digest, artifact_type: &str) -> PutManifest {
    let mut descriptor = Descriptor::new(MediaType::OCI_MANIFEST, put.digest, put.size);
    descriptor.artifact_type = Some(artifact_type.to_owned());
    put.subject = Some(subject);
    put.referrer = Some(Box::new(descriptor));
    put
}

pub const CREATED: Reply = Reply::ManifestPut {
    created: true,
    absent: 0,
};
pub const AGAIN: Reply = Reply::ManifestPut {
    created: false,
    absent: 0,
};
