//! A request that is sent again from where the one before it began has looked at the upload, and may drop what it saw. Its entry is
//! late, its client is told that the outcome is unknown, and asks where the upload stands. Then the entry is decided: it must not
//! take back what the client was told (P5, rule 1.5). Found by seed 703 of the second version.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use metadata::{Answer, BeginWrite, Command, Query, WriteFrom};
use oci::{RepositoryName, UploadId};
use ports::MetadataStore;
use registry::{Body, UploadStatus};
use tokio::time::Instant;

use crate::clients::{Client, Library, Told, content};
use crate::invariants::p5;
use crate::world::{GATEWAYS_FROM, World};

/// Where the last request began, and where it ended.
const FROM: usize = 20;
const TO: usize = 50;
/// So late is the entry.
const LATE_MS: u64 = 1_200;

const FIRST: u64 = GATEWAYS_FROM;
const SECOND: u64 = GATEWAYS_FROM + 1;

pub(super) fn is_not_taken_back(
    world: Arc<World>,
    library: Arc<Library>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if let Err(problem) = play(&world, &library).await {
            world.breach("bug", format!("the scenario did not come about: {problem}"));
        }
    })
}

async fn play(world: &Arc<World>, library: &Arc<Library>) -> Result<(), String> {
    let client = Client::new(world, library, 0);
    let repository = library.repositories[0].clone();
    let to = repository.clone();
    let opened = client
        .ask_node(SECOND, "POST upload", |registry, caller| async move {
            registry.open_upload(&caller, &to, None).await
        })
        .await;
    let upload = done(opened)?.upload;
    let bytes = content(1, TO);
    write(&client, &repository, upload, 0, bytes.slice(..FROM)).await?;
    write(&client, &repository, upload, FROM, bytes.slice(FROM..)).await?;

    let log = world.node(FIRST).and_then(|node| node.alive());
    let log = log.ok_or("the first gateway is down")?.client;
    let soon = || Instant::now() + Duration::from_secs(5);
    let query = Query::Upload {
        repository: repository.clone(),
        upload,
    };
    let seen = log.read(query, soon()).await;
    let Ok(Answer::Upload(view)) = seen.map(|seen| seen.answer) else {
        return Err("the upload is not there".to_owned());
    };
    for member in 1..=world.plan.members {
        world
            .network
            .set_link(FIRST, member, |link| link.slow_ms = LATE_MS);
    }
    let again = Command::BeginWrite(BeginWrite {
        repository: repository.clone(),
        upload,
        from: WriteFrom::Location(FROM as u64),
        after: Some(view.epoch),
    });
    let late = tokio::spawn(async move { log.propose(again, soon()).await });
    let told = status(&client, &repository, upload).await?;
    // It is refused, or it began where nothing was told.
    drop(late.await);
    world.network.heal();
    let now = status(&client, &repository, upload).await?;
    p5::check_offset(world, &upload.to_string(), told.offset, now.offset);
    Ok(())
}

async fn write(
    client: &Client,
    repository: &RepositoryName,
    upload: UploadId,
    at: usize,
    bytes: Bytes,
) -> Result<UploadStatus, String> {
    let written = client
        .ask_node(SECOND, "PATCH", |registry, caller| {
            let (repository, body) = (repository.clone(), Body::from_bytes(bytes));
            let from = WriteFrom::Location(at as u64);
            async move {
                registry
                    .write_upload(&caller, &repository, upload, from, body)
                    .await
            }
        })
        .await;
    done(written)
}

async fn status(
    client: &Client,
    repository: &RepositoryName,
    upload: UploadId,
) -> Result<UploadStatus, String> {
    let asked = client
        .ask_node(SECOND, "GET upload", |registry, caller| {
            let repository = repository.clone();
            async move { registry.upload_status(&caller, &repository, upload).await }
        })
        .await;
    done(asked)
}

fn done<T: std::fmt::Debug>(told: Told<T>) -> Result<T, String> {
    match told {
        Told::Done(done) => Ok(done),
        other => Err(format!("{other:?}")),
    }
}
