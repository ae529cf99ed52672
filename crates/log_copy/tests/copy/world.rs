//! A member whose log is copied, and the states that come of it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use identity::RecoveryKey;
use log_copy::{Copier, CopySettings, RestoreFailure, RestoreWish, Restored, restore};
use metadata::{
    Answer, ClusterId, Command, MemoryTables, Payload, PrincipalName, PutManifest, Query,
    ReadTables, Reply, Row, TableId, Tables,
};
use metadata_raft::{Member, MemberConfig};
use oci::{Algorithm, Digest, MediaType, RepositoryName, Tag};
use ports::blob_store::memory::MemoryBlobStore;
use ports::{BlobStore, Deadline, MetadataStore};
use tempfile::TempDir;

pub const SUCCESSOR: ClusterId = ClusterId(0xbeef);

pub fn key() -> RecoveryKey {
    RecoveryKey::from_bytes([5; 32])
}

/// Small, so that a short history has all that a long one has.
pub const SMALL: CopySettings = CopySettings {
    segment_bytes: 100_000,
    segment_entries: 4,
    snapshot_segments: 3,
    snapshot_bytes: u64::MAX,
};

pub struct World {
    pub member: Arc<Member>,
    pub cluster: ClusterId,
    pub store: MemoryBlobStore,
    pushed: u32,
    _folder: TempDir,
}

pub fn config(folder: &Path) -> MemberConfig {
    MemberConfig {
        segment_bytes: 256 * 1024,
        free_bytes_min: 0,
        ..MemberConfig::new(folder.to_owned(), 1)
    }
}

pub fn deadline() -> Deadline {
    Deadline::now() + Duration::from_secs(60)
}

impl World {
    pub async fn new() -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let member = Member::open(config(folder.path())).await.expect("it opens");
        let cluster = cluster_of(&member).await;
        World {
            member,
            cluster,
            store: MemoryBlobStore::new(),
            pushed: 0,
            _folder: folder,
        }
    }

    pub fn copier(&self, settings: CopySettings) -> Copier {
        Copier::new(self.cluster, key(), settings)
    }

    /// Pushes so many manifests more.
    pub async fn push(&mut self, count: u32) {
        for _ in 0..count {
            self.pushed += 1;
            push(&self.member, self.pushed).await;
        }
    }

    /// What a restore has to give.
    pub fn expected(&self) -> MemoryTables {
        let mut tables = rows(&*self.member.state());
        metadata::succeed(&mut tables, self.cluster, SUCCESSOR).expect("the state is sound");
        tables
    }

    pub async fn restore(&self, to: &Path, key: &RecoveryKey) -> Result<Restored, RestoreFailure> {
        restore(RestoreWish {
            store: &self.store,
            from: self.cluster,
            key,
            successor: SUCCESSOR,
            member: config(&to.join("metadata")),
        })
        .await
    }

    /// Restores, and compares every row.
    pub async fn check(&self) -> Restored {
        let to = tempfile::tempdir().expect("a temporary folder");
        let restored = self
            .restore(to.path(), &key())
            .await
            .expect("it is restored");
        assert_eq!(Some(restored.state.last), self.member.applied());
        let member = reopened(to.path()).await;
        assert!(rows(&*member.state()) == self.expected(), "the rows differ");
        member.shutdown().await;
        restored
    }

    /// The objects of a kind in the copy, in the order of their names.
    pub fn objects(&self, kind: &str) -> Vec<String> {
        let keys = self.store.keys().into_iter();
        keys.filter(|key| key.contains(&format!("/log/{kind}-")))
            .collect()
    }

    pub async fn delete(&self, key: &str) {
        let key = metadata::ObjectKey::parse(key).expect("a key");
        self.store.delete(&[key]).await.expect("it is deleted");
    }
}

pub async fn reopened(folder: &Path) -> Arc<Member> {
    let opened = Member::open(config(&folder.join("metadata"))).await;
    opened.expect("what was restored opens")
}

pub async fn cluster_of(member: &Member) -> ClusterId {
    let answered = member.read(Query::Cluster, deadline()).await;
    match answered.expect("it answers").answer {
        Answer::Cluster(view) => view.cluster.expect("it has its name"),
        answer => panic!("{answer:?}"),
    }
}

/// Steps until nothing is to be done.
pub async fn drive(copier: &mut Copier, member: &Member, store: &dyn BlobStore) {
    while copier.step(member, store).await.expect("the store is well") {}
}

pub fn rows(state: &dyn ReadTables) -> MemoryTables {
    let mut all = MemoryTables::default();
    for table in TableId::ALL {
        let mut visit = |key: &[u8], row: Row| {
            all.put(table, key, row).expect("memory");
            ControlFlow::Continue(())
        };
        state
            .scan(table, &[], None, &mut visit)
            .expect("it is read");
    }
    all
}

pub async fn push(member: &Member, number: u32) {
    push_sized(member, number, 40).await;
}

pub async fn push_sized(member: &Member, number: u32, size: usize) {
    let mut payload = format!("manifest {number}").into_bytes();
    payload.resize(size, b' ');
    let put = PutManifest {
        repository: RepositoryName::parse("a/b").expect("a name"),
        digest: Digest::of(Algorithm::Sha256, &payload),
        media_type: MediaType::OCI_MANIFEST,
        size: payload.len() as u64,
        payload: Payload::Inline(Bytes::from(payload)),
        references: Vec::new(),
        config: None,
        subject: None,
        referrer: None,
        tags: vec![Tag::parse(&format!("t{}", number % 7)).expect("a tag")],
        precondition: None,
        idempotency_key: None,
        sparse: false,
        principal: PrincipalName("ann".into()),
    };
    let reply = member.propose(Command::PutManifest(put), deadline()).await;
    let reply = reply.expect("it is decided");
    assert!(matches!(reply, Reply::ManifestPut { .. }), "{reply:?}");
}
