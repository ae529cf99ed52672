//! Measures one member on this machine: proposals and reads a second, and how long each takes.
//!
//! `cargo run --release -p metadata_raft --example measure [FOLDER]`. fsync is on; nothing is left behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metadata::{Command, Payload, PrincipalName, PutManifest, Query};
use metadata_raft::{Member, MemberConfig};
use oci::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag};
use ports::{Deadline, MetadataStore};

const TAGS: u64 = 1_000;
const TIME: Duration = Duration::from_secs(3);

fn put(n: u64) -> Command {
    let payload = Bytes::from(format!(
        "{{\"schemaVersion\":2,\"n\":{n},\"pad\":\"{:0700}\"}}",
        0
    ));
    Command::PutManifest(PutManifest {
        repository: RepositoryName::parse("measured/app").expect("a good name"),
        digest: Digest::of(Algorithm::Sha256, &payload),
        media_type: MediaType::OCI_INDEX,
        size: payload.len() as u64,
        payload: Payload::Inline(payload),
        references: Vec::new(),
        config: None,
        subject: None,
        referrer: None,
        tags: vec![Tag::parse(&format!("v{}", n % TAGS)).expect("a good tag")],
        precondition: None,
        idempotency_key: None,
        sparse: false,
        principal: PrincipalName::anonymous(),
    })
}

fn get(n: u64) -> Query {
    Query::Manifest {
        repository: RepositoryName::parse("measured/app").expect("a good name"),
        reference: Reference::Tag(Tag::parse(&format!("v{}", n % TAGS)).expect("a good tag")),
    }
}

async fn run(name: &str, member: &Arc<Member>, clients: u64, reads: bool) {
    let until = Instant::now() + TIME;
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let member = Arc::clone(member);
            tokio::spawn(async move {
                let (mut count, mut n) = (0_u64, client * 1_000_003);
                while Instant::now() < until {
                    let deadline = Deadline::now() + Duration::from_secs(10);
                    n += 1;
                    if reads {
                        member
                            .read(get(n), deadline)
                            .await
                            .expect("a read is answered");
                    } else {
                        member
                            .propose(put(n), deadline)
                            .await
                            .expect("a proposal is answered");
                    }
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await.expect("a client does not panic");
    }
    let rate = total as f64 / TIME.as_secs_f64();
    println!(
        "{name:10} {clients:4} at once {rate:10.0}/s {:8.1} µs each",
        1e6 * clients as f64 / rate
    );
}

#[tokio::main]
async fn main() {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("holdfast-measure-{}", std::process::id()));
    let member = Member::open(MemberConfig::new(folder.clone(), 1))
        .await
        .expect("the member opens");
    for n in 0..TAGS {
        member
            .propose(put(n), Deadline::now() + Duration::from_secs(10))
            .await
            .expect("a proposal is answered");
    }
    for clients in [1, 16, 64] {
        run("proposals", &member, clients, false).await;
    }
    for clients in [1, 16, 64] {
        run("reads", &member, clients, true).await;
    }
    member.shutdown().await;
    std::fs::remove_dir_all(folder).expect("the folder was ours");
}
