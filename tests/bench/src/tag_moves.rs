//! Moves tags through the members' gRPC service, as a gateway does: joins the cluster as one, and proposes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use cluster::{JoinWish, NodeFolder};
use identity::{Credentials, Revoked};
use mesh::Mesh;
use metadata::{Command, NodeAnnouncement, Payload, PrincipalName, PutManifest, Reply};
use metadata_client::{Client, MemberAddress};
use oci::{Algorithm, Digest, MediaType, RepositoryName, Tag};
use ports::{Deadline, MetadataStore, RandomIds};

/// As many as `etcdctl check perf --load=xl` has.
const CLIENTS: usize = 1000;

const PATIENCE: Duration = Duration::from_secs(30);

/// Joins by the token with an identity in `folder`, moves tags for so long, and gives how many a second.
pub fn per_second(seed: &str, token: &str, folder: &Path, length: Duration) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let client = Arc::new(join(seed, token, folder).await?);
        let moves = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let movers: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (client, moves) = (client.clone(), moves.clone());
                tokio::spawn(move_a_tag(client, number, began + length, moves))
            })
            .collect();
        for mover in movers {
            mover.await??;
        }
        Ok(moves.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
    })
}

async fn join(seed: &str, token: &str, folder: &Path) -> anyhow::Result<Client> {
    let folder = NodeFolder::below(folder);
    let wish = JoinWish {
        seeds: vec![seed.to_owned()],
        token: token.parse()?,
        announcement: NodeAnnouncement {
            name: "bench".to_owned(),
            // Nobody calls a gateway.
            peer_address: "127.0.0.1:1".to_owned(),
            client_address: "127.0.0.1:1".to_owned(),
            version: "bench".to_owned(),
            format_max: metadata::FORMAT_MAX,
        },
    };
    let identity = cluster::join(&folder, &wish).await?;
    let members = folder.members().into_iter();
    let members = members.map(|(node, address)| MemberAddress {
        node: node.0,
        address,
    });
    let mesh = Mesh::new(Credentials::new(identity, Revoked::default())?);
    Ok(Client::new(members.collect(), Arc::new(mesh), &RandomIds))
}

/// Moves one tag to and fro between two manifests until the end.
async fn move_a_tag(
    client: Arc<Client>,
    number: usize,
    end: Instant,
    moves: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let repository = RepositoryName::parse("bench/tags")?;
    let tag = Tag::parse(&format!("t{number}"))?;
    let manifests = ["a", "b"].map(|which| {
        Bytes::from(format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[],"annotations":{{"which":"{which}"}}}}"#,
            MediaType::OCI_INDEX
        ))
    });
    for payload in manifests.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        let put = PutManifest {
            repository: repository.clone(),
            digest: Digest::of(Algorithm::Sha256, payload),
            media_type: MediaType::OCI_INDEX,
            size: payload.len() as u64,
            payload: Payload::Inline(payload.clone()),
            references: Vec::new(),
            config: None,
            subject: None,
            referrer: None,
            tags: vec![tag.clone()],
            precondition: None,
            idempotency_key: None,
            sparse: false,
            principal: PrincipalName::anonymous(),
        };
        let command = Command::PutManifest(put);
        let reply = client.propose(command, Deadline::now() + PATIENCE).await;
        let reply = reply.context("a tag move was not decided")?;
        ensure!(!matches!(reply, Reply::Refused(_)), "{reply:?}");
        moves.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
