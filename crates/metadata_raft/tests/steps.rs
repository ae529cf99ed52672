//! A kill at every named step: whatever was acknowledged is there afterwards.
//!
//! The test starts itself again as the process to be killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use metadata::{Answer, Command, Page, Payload, PrincipalName, PutManifest, Query, Reply};
use metadata_raft::{Member, MemberConfig, STEPS};
use oci::{Algorithm, Digest, MediaType, RepositoryName, Tag};
use ports::{Deadline, MetadataStore};

const STEP: &str = "HOLDFAST_TEST_STEP";
const FOLDER: &str = "HOLDFAST_TEST_FOLDER";
const PASSES: &str = "HOLDFAST_TEST_PASSES";
const WRITES_MAX: u32 = 5_000;

fn config(folder: &Path) -> MemberConfig {
    MemberConfig {
        segment_bytes: 16 * 1024,
        log_cache_bytes: 4 * 1024,
        log_entries_kept: 5,
        free_bytes_min: 0,
        ..MemberConfig::new(folder.to_owned(), 1)
    }
}

fn soon() -> Deadline {
    Deadline::now() + Duration::from_secs(30)
}

fn repository() -> RepositoryName {
    RepositoryName::parse("steps/app").unwrap()
}

fn put(tag: &str) -> Command {
    let payload = Bytes::from(format!("{{\"tag\":\"{tag}\",\"pad\":\"{:0200}\"}}", 0));
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

/// The process that is killed. Does nothing unless it was started as such.
#[test]
fn child() {
    let (Ok(step), Ok(folder), Ok(passes)) = (
        std::env::var(STEP),
        std::env::var(FOLDER),
        std::env::var(PASSES),
    ) else {
        return;
    };
    let left = AtomicU32::new(passes.parse().unwrap());
    fail::cfg_callback(step, move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    })
    .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let member = Member::open(config(Path::new(&folder))).await.unwrap();
        for n in 0..WRITES_MAX {
            let tag = format!("v{n}");
            let reply = member.propose(put(&tag), soon()).await.unwrap();
            assert_eq!(
                reply,
                Reply::ManifestPut {
                    created: true,
                    absent: 0
                }
            );
            // Each line is one write, so that a kill never leaves half of it.
            std::io::stdout()
                .write_all(format!("\nacknowledged {tag}\n").as_bytes())
                .unwrap();
            if n % 40 == 39 {
                member.snapshot().await.unwrap();
            }
        }
    });
}

/// Runs the child in `folder` until it is killed at the given pass of `step`; gives what it acknowledged.
fn killed_at(step: &str, pass: u32, folder: &Path) -> BTreeSet<String> {
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(STEP, step)
        .env(FOLDER, folder)
        .env(PASSES, pass.to_string())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(
        !output.status.success(),
        "{step} was not passed {pass} times: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("acknowledged "))
        .map(str::to_owned)
        .collect()
}

async fn tags(member: &Member) -> BTreeSet<String> {
    let page = Page {
        after: None,
        limit: 10_000,
    };
    match member
        .read(
            Query::Tags {
                repository: repository(),
                page,
            },
            soon(),
        )
        .await
        .unwrap()
        .answer
    {
        Answer::Tags { tags, .. } => tags.into_iter().map(|view| view.tag.to_string()).collect(),
        Answer::RepositoryUnknown => BTreeSet::new(),
        other => panic!("no answer about tags: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_survives_a_kill_at_every_step() {
    for step in STEPS {
        for pass in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("metadata");
            let acknowledged = killed_at(step, pass, &path);
            let member = Member::open(config(&path))
                .await
                .unwrap_or_else(|e| panic!("{step}: {e}"));
            let found = tags(&member).await;
            let lost: Vec<_> = acknowledged.difference(&found).collect();
            assert!(lost.is_empty(), "{step}, pass {pass}: lost {lost:?}");
            assert!(
                found.len() <= acknowledged.len() + 1,
                "{step}, pass {pass}: more than was asked for"
            );
            let reply = member.propose(put("afterwards"), soon()).await.unwrap();
            assert_eq!(
                reply,
                Reply::ManifestPut {
                    created: true,
                    absent: 0
                }
            );
            member.shutdown().await;
        }
    }
}
