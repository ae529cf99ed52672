//! What every metadata log must do, as tests that each implementation runs.
//!
//! An implementation says in one line how a log is opened, and gets one test per promise:
//!
//! ```text
//! async fn member() -> Subject { … }
//! ports::metadata_store_suite!(member);
//! ```
//!
//! The cases must never rely on an empty log: each works in repositories of its own.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, in a library because several crates run them"
)]

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metadata::{
    Answer, ClusterId, Command, LogIndex, ManifestView, Page, Payload, Precondition, PrincipalName,
    PutManifest, Query, Refusal, Reply,
};
use oci::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag};

use super::{MetadataFailure, MetadataStore};
use crate::Deadline;

type Opened = Pin<Box<dyn Future<Output = Arc<dyn MetadataStore>> + Send>>;

/// A log to be tried.
pub struct Subject {
    store: Arc<dyn MetadataStore>,
    restart: Box<dyn Fn() -> Opened + Send>,
    leads: bool,
    _keep: Box<dyn Any + Send>,
}

impl Subject {
    /// A log, and how to stop it and open it again with what it had.
    #[must_use]
    pub fn new<F>(
        store: Arc<dyn MetadataStore>,
        restart: impl Fn() -> F + Send + 'static,
    ) -> Subject
    where
        F: Future<Output = Arc<dyn MetadataStore>> + Send + 'static,
    {
        Subject {
            store,
            restart: Box::new(move || Box::pin(restart())),
            leads: true,
            _keep: Box::new(()),
        }
    }

    /// The node is not one that leads a group, so that it holds no log and no snapshot of its own.
    #[must_use]
    pub fn that_never_leads(mut self) -> Subject {
        self.leads = false;
        self
    }

    /// Keeps something (a folder) until the case has ended.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send) -> Subject {
        self._keep = Box::new(what);
        self
    }

    async fn propose(&self, command: Command) -> Reply {
        self.store.propose(command, soon()).await.unwrap()
    }

    async fn ask(&self, query: Query) -> Answer {
        let answered = self.store.read(query, soon()).await.unwrap();
        assert!(!answered.stale);
        answered.answer
    }

    async fn manifest(&self, repository: &RepositoryName, tag: &str) -> Option<ManifestView> {
        let query = Query::Manifest {
            repository: repository.clone(),
            reference: Reference::Tag(Tag::parse(tag).unwrap()),
        };
        match self.ask(query).await {
            Answer::Manifest(view) => Some(*view),
            Answer::Absent | Answer::RepositoryUnknown => None,
            other => panic!("no answer to a question about a manifest: {other:?}"),
        }
    }
}

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(30)
}

fn fresh_repository() -> RepositoryName {
    RepositoryName::parse(&format!("suite/{}", uuid::Uuid::new_v4().simple())).unwrap()
}

fn put(repository: &RepositoryName, tag: &str, content: &str) -> PutManifest {
    let payload = Bytes::from(content.to_owned());
    PutManifest {
        repository: repository.clone(),
        digest: Digest::of(Algorithm::Sha256, &payload),
        media_type: MediaType::OCI_INDEX,
        size: payload.len() as u64,
        payload: Payload::Inline(payload),
        references: Vec::new(),
        config: None,
        subject: None,
        referrer: None,
        tags: vec![Tag::parse(tag).unwrap()],
        precondition: None,
        idempotency_key: None,
        sparse: false,
        principal: PrincipalName::anonymous(),
    }
}

/// Generates one test per promise of the port. The argument names an `async fn() -> Subject`.
#[macro_export]
macro_rules! metadata_store_suite {
    ($open:path) => {
        $crate::metadata_store_suite! { @cases $open:
            what_was_acknowledged_is_read,
            a_refusal_is_a_reply,
            a_cluster_is_named_once,
            of_rivals_one_wins,
            proposals_at_once_all_count,
            a_reader_never_sees_time_go_back,
            a_deadline_that_has_passed_is_honoured,
            lists_see_the_latest,
            a_read_that_may_be_stale_is_not_while_it_can_be_confirmed,
            health_tells_how_far_it_is,
            a_restart_keeps_everything,
        }
    };
    (@cases $open:path: $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::metadata_store::suite::$case($open().await).await;
            }
        )*
    };
}

/// Every read that begins after an acknowledgement sees it.
pub async fn what_was_acknowledged_is_read(subject: Subject) {
    let repository = fresh_repository();
    assert_eq!(subject.manifest(&repository, "v1").await, None);
    for round in 0..50 {
        let put = put(&repository, "v1", &format!("{{\"round\":{round}}}"));
        let wanted = put.payload.clone();
        let reply = subject.propose(Command::PutManifest(put)).await;
        assert_eq!(
            reply,
            Reply::ManifestPut {
                created: true,
                absent: 0
            }
        );
        let found = subject.manifest(&repository, "v1").await.unwrap();
        assert_eq!(found.payload, wanted);
    }
}

/// "No" is an answer of the log, not a failure.
pub async fn a_refusal_is_a_reply(subject: Subject) {
    let repository = fresh_repository();
    let absent = Command::DeleteTag {
        repository: repository.clone(),
        tag: Tag::parse("v1").unwrap(),
        precondition: None,
        principal: PrincipalName::anonymous(),
    };
    assert!(matches!(
        subject.propose(absent).await,
        Reply::Refused(Refusal::RepositoryUnknown | Refusal::TagUnknown)
    ));
}

/// The log comes with a cluster, and keeps its name.
pub async fn a_cluster_is_named_once(subject: Subject) {
    let Answer::Cluster(view) = subject.ask(Query::Cluster).await else {
        panic!("no answer about the cluster");
    };
    let cluster = view.cluster.unwrap();
    let other = Command::InitializeCluster {
        cluster: ClusterId(cluster.0 ^ 1),
    };
    assert_eq!(
        subject.propose(other).await,
        Reply::Refused(Refusal::AlreadyInitialized { cluster })
    );
}

/// Of many who want to be first, one is, and the others are told who.
pub async fn of_rivals_one_wins(subject: Subject) {
    let repository = fresh_repository();
    let rivals = (0..16).map(|rival| {
        let mut put = put(&repository, "v1", &format!("{{\"rival\":{rival}}}"));
        put.precondition = Some(Precondition::Absent);
        let digest = put.digest;
        let subject = &subject;
        async move { (digest, subject.propose(Command::PutManifest(put)).await) }
    });
    let outcomes = futures::future::join_all(rivals).await;
    let winners: Vec<_> = outcomes
        .iter()
        .filter(|(_, reply)| matches!(reply, Reply::ManifestPut { .. }))
        .collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    let winner = winners[0].0;
    let found = subject.manifest(&repository, "v1").await.unwrap();
    assert_eq!(found.digest, winner);
    for (digest, reply) in outcomes.iter().filter(|(digest, _)| *digest != winner) {
        let Reply::Refused(Refusal::PreconditionFailed { current, .. }) = reply else {
            panic!("{digest} was answered {reply:?}");
        };
        assert_eq!(*current, Some(winner));
    }
}

/// More proposals at once than the log takes at a time: all are answered, and all count.
pub async fn proposals_at_once_all_count(subject: Subject) {
    let repository = fresh_repository();
    let tag = |n: usize| format!("tag-{n:04}");
    let proposals = (0..2_000).map(|n| {
        let put = put(&repository, &tag(n), &format!("{{\"n\":{n}}}"));
        subject.propose(Command::PutManifest(put))
    });
    for reply in futures::future::join_all(proposals).await {
        assert_eq!(
            reply,
            Reply::ManifestPut {
                created: true,
                absent: 0
            }
        );
    }
    let page = Page {
        after: None,
        limit: 5_000,
    };
    let Answer::Tags { tags, more } = subject.ask(Query::Tags { repository, page }).await else {
        panic!("no answer about tags");
    };
    let names: Vec<_> = tags.iter().map(|view| view.tag.to_string()).collect();
    assert_eq!(names, (0..2_000).map(tag).collect::<Vec<_>>());
    assert!(!more);
}

/// While a tag moves on, whoever looks again sees the same or something newer.
pub async fn a_reader_never_sees_time_go_back(subject: Subject) {
    let repository = fresh_repository();
    let content = |n: u32| format!("{:08}", n);
    let writer = async {
        for n in 0..200 {
            let command = Command::PutManifest(put(&repository, "v1", &content(n)));
            subject.propose(command).await;
        }
    };
    let reader = async {
        let mut latest = 0;
        while latest < 199 {
            if let Some(view) = subject.manifest(&repository, "v1").await {
                let Payload::Inline(bytes) = view.payload else {
                    panic!("a small manifest is inline");
                };
                let seen: u32 = std::str::from_utf8(&bytes).unwrap().parse().unwrap();
                assert!(seen >= latest, "{seen} was seen after {latest}");
                latest = seen;
            }
            tokio::task::yield_now().await;
        }
    };
    futures::future::join3(writer, reader, async {
        let mut latest = None;
        for _ in 0..200 {
            let seen = subject
                .manifest(&repository, "v1")
                .await
                .map(|view| view.payload);
            let seen = seen.map(|payload| match payload {
                Payload::Inline(bytes) => bytes,
                Payload::Object(key) => panic!("a small manifest is inline, not at {key}"),
            });
            assert!(seen >= latest);
            latest = seen;
        }
    })
    .await;
}

/// Who comes too late is told so at once, and nothing is done.
pub async fn a_deadline_that_has_passed_is_honoured(subject: Subject) {
    let repository = fresh_repository();
    let passed = Deadline::now();
    let command = Command::PutManifest(put(&repository, "v1", "{}"));
    let proposed = subject.store.propose(command, passed).await;
    assert!(
        matches!(proposed, Err(MetadataFailure::Unavailable { .. })),
        "{proposed:?}"
    );
    assert!(proposed.unwrap_err().is_retryable());
    assert_eq!(subject.manifest(&repository, "v1").await, None);
}

/// Lists are answered from the same state as records.
pub async fn lists_see_the_latest(subject: Subject) {
    let repository = fresh_repository();
    for n in 0..20 {
        let command = Command::PutManifest(put(&repository, &format!("v{n:02}"), "{}"));
        subject.propose(command).await;
        let page = Page {
            after: None,
            limit: 100,
        };
        let query = Query::Tags {
            repository: repository.clone(),
            page,
        };
        let Answer::Tags { tags, .. } = subject.ask(query).await else {
            panic!("no answer about tags");
        };
        assert_eq!(tags.len(), n + 1);
    }
}

/// Leave to be stale is not made use of by a log that answers.
pub async fn a_read_that_may_be_stale_is_not_while_it_can_be_confirmed(subject: Subject) {
    let repository = fresh_repository();
    for round in 0..50 {
        let put = put(&repository, "v1", &format!("{{\"round\":{round}}}"));
        let wanted = put.payload.clone();
        subject.propose(Command::PutManifest(put)).await;
        let query = Query::Manifest {
            repository: repository.clone(),
            reference: Reference::Tag(Tag::parse("v1").unwrap()),
        };
        let answered = subject.store.read_even_stale(query, soon()).await.unwrap();
        assert!(!answered.stale);
        let Answer::Manifest(view) = answered.answer else {
            panic!("no answer to a question about a manifest: {answered:?}");
        };
        assert_eq!(view.payload, wanted);
    }
}

/// A log that answers says so, and counts on.
pub async fn health_tells_how_far_it_is(subject: Subject) {
    let ready = async {
        while !subject.store.health().can_confirm {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout_at(soon(), ready).await.unwrap();
    let before = subject.store.health();
    assert_eq!(before.leader, subject.leads);
    let repository = fresh_repository();
    for n in 0..10 {
        let command = Command::PutManifest(put(&repository, "v1", &format!("{{\"n\":{n}}}")));
        subject.propose(command).await;
    }
    let wanted = LogIndex(before.applied.0 + 10);
    // What is told without asking may be a moment old.
    let told = async {
        while subject.store.health().applied < wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout_at(soon(), told).await.unwrap();
    let after = subject.store.health();
    assert!(!subject.leads || after.last_log >= after.applied);
    assert!(after.snapshot >= after.purged);
}

/// What was acknowledged is there after the log was stopped and opened again, and again.
pub async fn a_restart_keeps_everything(mut subject: Subject) {
    let repository = fresh_repository();
    for round in 0..3 {
        for n in 0..20 {
            let tag = format!("r{round}-{n}");
            let command = Command::PutManifest(put(&repository, &tag, &tag));
            assert!(matches!(
                subject.propose(command).await,
                Reply::ManifestPut { .. }
            ));
        }
        let cluster = subject.ask(Query::Cluster).await;
        let Subject {
            store,
            restart,
            leads,
            _keep,
        } = subject;
        drop(store);
        let store = restart().await;
        subject = Subject {
            store,
            restart,
            leads,
            _keep,
        };
        let (Answer::Cluster(before), Answer::Cluster(after)) =
            (cluster, subject.ask(Query::Cluster).await)
        else {
            panic!("no answer about the cluster");
        };
        assert_eq!(after.cluster, before.cluster);
        assert!(after.time >= before.time);
        for round in 0..=round {
            for n in 0..20 {
                let tag = format!("r{round}-{n}");
                let found = subject.manifest(&repository, &tag).await.unwrap();
                assert_eq!(found.payload, Payload::Inline(Bytes::from(tag)));
            }
        }
    }
}
