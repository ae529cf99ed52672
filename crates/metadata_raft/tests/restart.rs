//! What a member does with the folder it finds: after a crash, after damage, and when it is not its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metadata::{Answer, Command, Payload, PrincipalName, PutManifest, Query, Reply};
use metadata_raft::{Member, MemberConfig, OpenFailure};
use oci::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag};
use ports::{Deadline, MetadataFailure, MetadataStore};

fn config(folder: &Path) -> MemberConfig {
    MemberConfig {
        segment_bytes: 32 * 1024,
        log_cache_bytes: 4 * 1024,
        log_entries_kept: 10,
        free_bytes_min: 0,
        ..MemberConfig::new(folder.to_owned(), 1)
    }
}

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(30)
}

fn repository() -> RepositoryName {
    RepositoryName::parse("restart/app").unwrap()
}

fn put(tag: &str) -> Command {
    let payload = Bytes::from(format!("{{\"tag\":\"{tag}\",\"pad\":\"{:0300}\"}}", 0));
    Command::PutManifest(PutManifest {
        repository: repository(),
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
    })
}

async fn push(member: &Member, tags: std::ops::Range<u32>) {
    for n in tags {
        let reply = member.propose(put(&format!("v{n}")), soon()).await.unwrap();
        assert_eq!(
            reply,
            Reply::ManifestPut {
                created: true,
                absent: 0
            }
        );
    }
}

async fn has(member: &Member, tag: &str) -> bool {
    let reference = Reference::Tag(Tag::parse(tag).unwrap());
    let query = Query::Manifest {
        repository: repository(),
        reference,
    };
    matches!(
        member.read(query, soon()).await.unwrap().answer,
        Answer::Manifest(_)
    )
}

async fn has_all(member: &Member, tags: std::ops::Range<u32>) {
    for n in tags {
        assert!(has(member, &format!("v{n}")).await, "v{n} is lost");
    }
}

/// Copies a folder: what another process would find if this one were killed now.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

/// A folder whose log was purged up to a snapshot, with entries after it.
async fn purged_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metadata");
    let member = Member::open(config(&path)).await.unwrap();
    push(&member, 0..400).await;
    member.snapshot().await.unwrap();
    let purged = async {
        while member.health().purged.0 < 300 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), purged)
        .await
        .unwrap();
    push(&member, 400..450).await;
    member.shutdown().await;
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let member = Member::open(config(&folder.path().join("live")))
        .await
        .unwrap();
    for round in 0..4 {
        push(&member, round * 50..(round + 1) * 50).await;
        let killed = folder.path().join(format!("killed-{round}"));
        copy(&folder.path().join("live"), &killed);
        let again = Member::open(config(&killed)).await.unwrap();
        has_all(&again, 0..(round + 1) * 50).await;
        push(&again, 1_000..1_005).await;
        again.shutdown().await;
        let again = Member::open(config(&killed)).await.unwrap();
        has_all(&again, 1_000..1_005).await;
        again.shutdown().await;
    }
    member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_purged_below_a_snapshot_and_everything_is_there() {
    let (_folder, path) = purged_folder().await;
    let first = std::fs::read_dir(path.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".segment"))
        .min()
        .unwrap();
    assert_ne!(
        first,
        format!("{:016x}.segment", 1),
        "old segments are deleted"
    );
    let member = Member::open(config(&path)).await.unwrap();
    has_all(&member, 0..450).await;
    push(&member, 450..460).await;
    member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_or_damaged_tables_are_rebuilt_from_snapshot_and_log() {
    let (_folder, path) = purged_folder().await;
    let tables = path.join("tables.redb");
    let whole = std::fs::read(&tables).unwrap();
    std::fs::remove_file(&tables).unwrap();
    let member = Member::open(config(&path)).await.unwrap();
    has_all(&member, 0..450).await;
    member.shutdown().await;

    for (at, len) in [(0, 16), (64, 64), (4096, 4096), (whole.len() / 2, 8192)] {
        let mut damaged = std::fs::read(&tables).unwrap();
        let end = (at + len).min(damaged.len());
        damaged[at..end].fill(0xa5);
        std::fs::write(&tables, &damaged).unwrap();
        let member = Member::open(config(&path))
            .await
            .unwrap_or_else(|e| panic!("damaged at {at}: {e}"));
        has_all(&member, 0..450).await;
        member.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_only_missed_when_it_is_needed() {
    let (_folder, path) = purged_folder().await;
    let snapshot = std::fs::read_dir(path.join("snapshots"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, &bytes).unwrap();
    let member = Member::open(config(&path)).await.unwrap();
    has_all(&member, 0..450).await;
    member.shutdown().await;

    // The start above took a new one, because a purged log needs one.
    for entry in std::fs::read_dir(path.join("snapshots")).unwrap() {
        std::fs::write(entry.unwrap().path(), b"nothing").unwrap();
    }
    std::fs::remove_file(path.join("tables.redb")).unwrap();
    let refused = Member::open(config(&path)).await;
    assert!(
        matches!(&refused, Err(OpenFailure::Damaged { reason }) if reason.contains("restore")),
        "{:?}",
        refused.err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_stops_the_node_with_a_message_that_says_what_to_do() {
    let (_folder, path) = purged_folder().await;
    let mut segments: Vec<_> = std::fs::read_dir(path.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "segment")
        })
        .collect();
    segments.sort();
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    bytes[1_000] ^= 1;
    std::fs::write(&segments[0], &bytes).unwrap();
    let Err(OpenFailure::Damaged { reason }) = Member::open(config(&path)).await else {
        panic!("a damaged log was opened");
    };
    assert!(
        reason.contains("metadata log is damaged") && reason.contains("restore"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_or_of_another_node_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let member = Member::open(config(folder.path())).await.unwrap();
    let second = Member::open(config(folder.path())).await;
    assert!(
        matches!(&second, Err(e @ OpenFailure::InUse { .. }) if e.to_string().contains("in use"))
    );
    member.shutdown().await;
    let other = Member::open(MemberConfig {
        node_id: 2,
        ..config(folder.path())
    })
    .await;
    assert!(matches!(
        other,
        Err(OpenFailure::OtherNode {
            found: 1,
            wanted: 2,
            ..
        })
    ));
    let same = Member::open(config(folder.path())).await.unwrap();
    same.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_answers_reads() {
    let folder = tempfile::tempdir().unwrap();
    let member = Member::open(config(folder.path())).await.unwrap();
    push(&member, 0..3).await;
    member.shutdown().await;
    let full = MemberConfig {
        free_bytes_min: u64::MAX,
        ..config(folder.path())
    };
    let member = Member::open(full).await.unwrap();
    has_all(&member, 0..3).await;
    let refused = member.propose(put("late"), soon()).await;
    assert!(
        matches!(&refused, Err(MetadataFailure::Unavailable { reason }) if reason.contains("full")),
        "{refused:?}"
    );
    assert!(!has(&member, "late").await);
    member.shutdown().await;
    let member = Member::open(config(folder.path())).await.unwrap();
    push(&member, 3..4).await;
    member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_on_a_full_disk_says_so_and_gives_the_folder_back() {
    let folder = tempfile::tempdir().unwrap();
    let full = MemberConfig {
        free_bytes_min: u64::MAX,
        ..config(folder.path())
    };
    let Err(failure) = Member::open(full).await else {
        panic!("a cluster was formed on a full disk");
    };
    assert!(failure.to_string().contains("full"), "{failure}");
    let member = Member::open(config(folder.path())).await.unwrap();
    push(&member, 0..3).await;
    member.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_follow_the_bytes_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let small = MemberConfig {
        snapshot_every_bytes: 20_000,
        ..config(folder.path())
    };
    let member = Member::open(small).await.unwrap();
    let mut pushed = 0;
    let taken = async {
        while member.health().snapshot.0 == 0 {
            push(&member, pushed..pushed + 10).await;
            pushed += 10;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), taken)
        .await
        .unwrap();
    member.shutdown().await;
    let member: Arc<Member> = Member::open(config(folder.path())).await.unwrap();
    has_all(&member, 0..pushed).await;
    member.shutdown().await;
}
