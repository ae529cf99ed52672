//! Random histories: every invariant holds after each entry (the world checks them), the same log makes the same
//! tables, and a retry has no second effect. Promise P6, rules 3.1 and 3.4.

use metadata::{
    Command, CommandId, Entry, LogIndex, LogTime, ManifestReference, MemoryTables, Mount,
    ObjectKey, Payload, Precondition, Reply, Row, SealUpload, TableId, UploadEnd, apply, keys,
};
use oci::{Digest, RepositoryName, UploadId};
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::uploads::{at_parts, multipart, part, with_tail};
use crate::world::{
    CLUSTER, World, about, blob, create, finish, manifest, naming, plain, put, repo, tag, who,
    writer_end,
};

const REPOSITORIES: [&str; 4] = ["team/a", "team/b", "c", "c/d"];
const TAGS: [&str; 3] = ["v1", "v2", "v3"];

/// What somebody wants; ids that must be fresh are chosen when it becomes a command.
#[derive(Debug, Clone)]
enum Wish {
    PushSmall(usize, u32),
    PushBig(usize, u32),
    Cancel(usize),
    Mount(usize, u32, Option<usize>),
    Put(Box<PutWish>),
    DeleteTag(usize, usize, Option<Precondition>),
    DeleteManifest(usize, u32),
    DeleteBlob(usize, u32),
    Renew(usize, u32),
    ObjectsDeleted,
    Retry(usize),
    Wait(u64),
}

#[derive(Debug, Clone)]
struct PutWish {
    repository: usize,
    number: u32,
    tags: Vec<usize>,
    precondition: Option<Precondition>,
    key: Option<u8>,
    is_large: bool,
    sparse: bool,
}

/// What each manifest names is fixed, as its digest is.
fn references(number: u32) -> Vec<ManifestReference> {
    use ManifestReference::{Child, OptionalBlob, RequiredBlob};
    match number {
        0 => vec![],
        1 => vec![RequiredBlob(blob(0))],
        2 => [0, 1, 2].map(|n| RequiredBlob(blob(n))).to_vec(),
        3 => vec![OptionalBlob(blob(2)), RequiredBlob(blob(1))],
        4 => vec![Child(manifest(1)), Child(manifest(2))],
        _ => vec![OptionalBlob(blob(2)), Child(manifest(4))],
    }
}

fn precondition() -> impl Strategy<Value = Option<Precondition>> {
    let digests = || prop::collection::vec((0..6_u32).prop_map(manifest), 0..3);
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(Precondition::Absent)),
        1 => Just(Some(Precondition::Exists)),
        1 => digests().prop_map(|digests| Some(Precondition::Matches(digests))),
        1 => digests().prop_map(|digests| Some(Precondition::MatchesNone(digests))),
    ]
}

fn put_wish() -> impl Strategy<Value = Wish> {
    let tags = subsequence((0..TAGS.len()).collect::<Vec<_>>(), 0..=TAGS.len());
    let key = prop::option::weighted(0.2, 0..3_u8);
    (
        0..4_usize,
        0..6_u32,
        tags,
        precondition(),
        key,
        (prop::bool::weighted(0.3), prop::bool::weighted(0.7)),
    )
        .prop_map(
            |(repository, number, tags, precondition, key, (is_large, sparse))| {
                Wish::Put(Box::new(PutWish {
                    repository,
                    number,
                    tags,
                    precondition,
                    key,
                    is_large,
                    sparse,
                }))
            },
        )
}

fn wish() -> impl Strategy<Value = Wish> {
    let (repository, number) = (0..4_usize, 0..3_u32);
    prop_oneof![
        6 => (repository.clone(), number.clone()).prop_map(|(r, n)| Wish::PushSmall(r, n)),
        2 => (repository.clone(), number.clone()).prop_map(|(r, n)| Wish::PushBig(r, n)),
        1 => repository.clone().prop_map(Wish::Cancel),
        3 => (repository.clone(), number.clone(), prop::option::of(0..4_usize))
            .prop_map(|(r, n, from)| Wish::Mount(r, n, from)),
        12 => put_wish(),
        3 => (repository.clone(), 0..3_usize, precondition())
            .prop_map(|(r, t, precondition)| Wish::DeleteTag(r, t, precondition)),
        4 => (repository.clone(), 0..6_u32).prop_map(|(r, n)| Wish::DeleteManifest(r, n)),
        2 => (repository.clone(), number.clone()).prop_map(|(r, n)| Wish::DeleteBlob(r, n)),
        1 => (repository, number).prop_map(|(r, n)| Wish::Renew(r, n)),
        1 => Just(Wish::ObjectsDeleted),
        2 => (0..100_usize).prop_map(Wish::Retry),
        2 => prop::sample::select(vec![1, 5_000, 20_000, 700_000, 4_000_000]).prop_map(Wish::Wait),
    ]
}

/// A history in the making.
struct History {
    world: World,
    log: Vec<Entry>,
    replies: Vec<Reply>,
}

impl History {
    fn new() -> History {
        let mut history = History {
            world: World::unnamed(),
            log: Vec::new(),
            replies: Vec::new(),
        };
        history.propose(Command::InitializeCluster { cluster: CLUSTER });
        history
    }

    fn propose(&mut self, command: Command) -> Reply {
        let entry = Entry {
            id: CommandId {
                incarnation: 1,
                sequence: self.log.len() as u64,
            },
            seen: LogIndex(self.world.index),
            stamped: LogTime(self.world.now),
            command,
        };
        self.log.push(entry.clone());
        let reply = self.world.apply_entry(&entry);
        self.replies.push(reply.clone());
        reply
    }

    fn grant(&mut self, name: &RepositoryName) -> Option<(UploadId, metadata::Epoch)> {
        let upload = UploadId::from_u128(self.world.fresh());
        match self.propose(create(name, upload, true)) {
            Reply::UploadCreated { grant: Some(grant) } => Some((upload, grant.epoch)),
            _ => None,
        }
    }

    fn wish(&mut self, wish: &Wish) {
        let name = |index: usize| repo(REPOSITORIES[index]);
        match wish {
            Wish::PushSmall(r, n) => self.push_small(&name(*r), *n),
            Wish::PushBig(r, n) => self.push_big(&name(*r), blob(100 + *n)),
            Wish::Cancel(r) => {
                if let Some((upload, _)) = self.grant(&name(*r)) {
                    let repository = name(*r);
                    self.propose(Command::CancelUpload { repository, upload });
                }
            }
            Wish::Mount(r, n, from) => {
                self.propose(Command::Mount(Mount {
                    repository: name(*r),
                    digest: blob(*n),
                    from: from.map(name),
                    principal: who("ann"),
                }));
            }
            Wish::Put(wish) => self.put(wish),
            Wish::DeleteTag(r, t, precondition) => {
                self.propose(Command::DeleteTag {
                    repository: name(*r),
                    tag: tag(TAGS[*t]),
                    precondition: precondition.clone(),
                    principal: who("ann"),
                });
            }
            Wish::DeleteManifest(r, n) => {
                self.propose(Command::DeleteManifest {
                    repository: name(*r),
                    digest: manifest(*n),
                    principal: who("ann"),
                });
            }
            Wish::DeleteBlob(r, n) => {
                self.propose(Command::DeleteBlob {
                    repository: name(*r),
                    digest: blob(*n),
                    principal: who("ann"),
                });
            }
            Wish::Renew(r, n) => {
                let (repository, digest) = (name(*r), blob(*n));
                self.propose(Command::RenewBlob { repository, digest });
            }
            Wish::ObjectsDeleted => self.objects_deleted(),
            Wish::Retry(pick) => self.retry(*pick),
            Wish::Wait(ms) => self.world.now += ms,
        }
    }

    fn push_small(&mut self, name: &RepositoryName, number: u32) {
        if let Some((upload, epoch)) = self.grant(name) {
            let end = writer_end(epoch, plain(upload, epoch, 10 + number));
            self.propose(finish(name, upload, blob(number), Some(end)));
        }
    }

    fn push_big(&mut self, name: &RepositoryName, digest: Digest) {
        let Some((upload, epoch)) = self.grant(name) else {
            return;
        };
        self.propose(Command::SealUpload(SealUpload {
            repository: name.clone(),
            upload,
            digest,
            end: UploadEnd::Writer {
                epoch,
                progress: with_tail(at_parts(2, 2), upload, epoch, 20),
                parts: vec![part(1), part(2)],
                multipart: multipart(),
            },
            unverified: false,
        }));
        self.propose(finish(name, upload, digest, None));
    }

    fn put(&mut self, wish: &PutWish) {
        let tags: Vec<&str> = wish.tags.iter().map(|index| TAGS[*index]).collect();
        let name = repo(REPOSITORIES[wish.repository]);
        let mut command = naming(put(&name, wish.number, &tags), &references(wish.number));
        if wish.number == 3 {
            command = about(command, manifest(1), "signature");
        }
        if wish.number == 2 {
            command.config = Some(blob(0));
        }
        command.sparse = wish.sparse;
        if wish.is_large {
            command.payload = Payload::Object(ObjectKey::manifest(CLUSTER, self.world.fresh()));
        }
        command.precondition.clone_from(&wish.precondition);
        command.idempotency_key = wish.key.map(|key| format!("k{key}"));
        self.propose(Command::PutManifest(command));
    }

    fn objects_deleted(&mut self) {
        let due = self.world.queued().into_iter().filter(|row| row.0 == 0);
        let keys = due.filter_map(|row| ObjectKey::parse(&row.1)).collect();
        self.propose(Command::ObjectsDeleted { keys });
    }

    /// Sends an earlier entry again, as whoever did not hear its reply does.
    fn retry(&mut self, pick: usize) {
        let pick = pick % self.log.len();
        let mut entry = self.log[pick].clone();
        entry.stamped = LogTime(self.world.now);
        let before = timeless(&self.world.tables);
        let remembered = self.world.row(&keys::reply(entry.id)).is_some();
        self.log.push(entry.clone());
        let reply = self.world.apply_entry(&entry);
        self.replies.push(reply.clone());
        assert_eq!(timeless(&self.world.tables), before);
        if remembered {
            assert_eq!(reply, self.replies[pick]);
        } else {
            assert_eq!(reply, Reply::Refused(metadata::Refusal::OutcomeUnknown));
        }
    }
}

/// The tables but for the clock.
fn timeless(tables: &MemoryTables) -> Vec<(TableId, Vec<u8>, Row)> {
    let rows = tables.rows().map(|(table, key, row)| {
        let mut row = row.clone();
        if let Row::Cluster(cluster) = &mut row {
            cluster.time = LogTime(0);
        }
        (table, key.to_vec(), row)
    });
    rows.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn every_history_keeps_the_invariants_and_repeats_itself(wishes in prop::collection::vec(wish(), 1..80)) {
        let mut history = History::new();
        for wish in &wishes {
            history.wish(wish);
        }
        let mut tables = MemoryTables::default();
        for (position, entry) in history.log.iter().enumerate() {
            let index = LogIndex(position as u64 + 1);
            let reply = apply(&mut tables, index, entry).expect("the tables are sound");
            prop_assert_eq!(&reply, &history.replies[position]);
        }
        prop_assert_eq!(&tables, &history.world.tables);
    }
}
