//! Runs operations one after another, and goes on where it was when its server has come back.

use anyhow::{Context as _, bail, ensure};
use harness::client::{Reply, with_query};
use harness::{Client, client};

use crate::ledger::{Ledger, Upload, status_of};
use crate::operation::{MANIFEST, Operation};

/// One client with a ledger of its own. Workers must not share repositories.
#[derive(Default)]
pub struct Worker {
    /// What was acknowledged.
    pub ledger: Ledger,
    /// What was under way when the server died.
    pending: Option<Operation>,
}

/// How an operation went.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It was acknowledged.
    Acknowledged,
    /// The connection broke: the server is dead.
    Interrupted,
}

/// What a request brought, where a broken connection is no error.
enum Answer {
    Reply(Reply),
    Broken,
}

impl Worker {
    /// Runs one operation. An error is an answer that no live server may give.
    pub async fn run(&mut self, client: &Client, operation: Operation) -> anyhow::Result<Step> {
        self.pending = Some(operation.clone());
        let acknowledged = self
            .attempt(client, &operation)
            .await
            .with_context(|| format!("{operation:?}"))?;
        if !acknowledged {
            return Ok(Step::Interrupted);
        }
        self.pending = None;
        self.ledger.acknowledge(&operation);
        Ok(Step::Acknowledged)
    }

    /// Finds out, after a restart, whether the operation that was under way has happened. Returns it when it must be run
    /// again. After an error it may be asked once more, of a server that lives.
    pub async fn settle(&mut self, client: &Client) -> anyhow::Result<Option<Operation>> {
        let Some(operation) = self.pending.clone() else {
            return Ok(None);
        };
        let happened = self
            .has_happened(client, &operation)
            .await
            .with_context(|| format!("settling {operation:?}"))?;
        self.pending = None;
        if happened {
            self.ledger.acknowledge(&operation);
        }
        Ok((!happened).then_some(operation))
    }

    /// Whether the server acknowledged; false when it died instead.
    async fn attempt(&mut self, client: &Client, operation: &Operation) -> anyhow::Result<bool> {
        let manifests =
            |repository: &str, reference: &str| format!("/v2/{repository}/manifests/{reference}");
        match operation {
            Operation::PushBlob {
                repository,
                content,
            } => {
                let Answer::Reply(opened) = ask(client.post(&uploads(repository)), 202).await?
                else {
                    return Ok(false);
                };
                let target = with_query(opened.location()?, "digest", &content.digest());
                done(client.put(&target).body(content.bytes()), 201).await
            }
            Operation::Open {
                repository,
                content,
            } => {
                let Answer::Reply(opened) = ask(client.post(&uploads(repository)), 202).await?
                else {
                    return Ok(false);
                };
                let location = opened.location()?.to_owned();
                self.ledger.uploads.push(Upload {
                    repository: repository.clone(),
                    location,
                    content: *content,
                    offset: 0,
                });
                Ok(true)
            }
            Operation::Write { to } => self.write(client, *to).await,
            Operation::Close => self.close(client).await,
            Operation::Cancel => {
                let upload = self.oldest()?;
                let deleted = done(client.delete(&upload.location), 204).await?;
                if deleted {
                    self.ledger.uploads.remove(0);
                }
                Ok(deleted)
            }
            Operation::Mount {
                from,
                repository,
                digest,
            } => {
                let target = format!("{}?mount={digest}&from={from}", uploads(repository));
                done(client.post(&target), 201).await
            }
            Operation::PutManifest {
                repository,
                tag,
                payload,
            } => {
                let put = client
                    .put(&manifests(repository, tag))
                    .header("Content-Type", MANIFEST);
                done(put.body(payload.clone()), 201).await
            }
            Operation::DeleteTag { repository, tag } => {
                done(client.delete(&manifests(repository, tag)), 202).await
            }
            Operation::DeleteManifest { repository, digest } => {
                done(client.delete(&manifests(repository, digest)), 202).await
            }
            Operation::DeleteBlob { repository, digest } => {
                done(
                    client.delete(&format!("/v2/{repository}/blobs/{digest}")),
                    202,
                )
                .await
            }
        }
    }

    fn oldest(&self) -> anyhow::Result<Upload> {
        self.ledger
            .uploads
            .first()
            .cloned()
            .context("no upload is open")
    }

    async fn write(&mut self, client: &Client, to: usize) -> anyhow::Result<bool> {
        let upload = self.oldest()?;
        ensure!(upload.offset < to, "the upload is past that");
        let chunk = upload.content.bytes()[upload.offset..to].to_vec();
        let range = format!("{}-{}", upload.offset, to - 1);
        let patch = client
            .patch(&upload.location)
            .header("Content-Range", &range)
            .body(chunk);
        let Answer::Reply(reply) = ask(patch, 202).await? else {
            return Ok(false);
        };
        self.ledger.uploads[0].offset = to;
        self.ledger.uploads[0].location = reply.location()?.to_owned();
        Ok(true)
    }

    async fn close(&mut self, client: &Client) -> anyhow::Result<bool> {
        let upload = self.oldest()?;
        let rest = upload.content.bytes()[upload.offset..].to_vec();
        let target = with_query(&upload.location, "digest", &upload.content.digest());
        let closed = done(client.put(&target).body(rest), 201).await?;
        if closed {
            self.closed();
        }
        Ok(closed)
    }

    /// The oldest upload has become a blob.
    fn closed(&mut self) {
        let upload = self.ledger.uploads.remove(0);
        self.ledger.acknowledge(&Operation::PushBlob {
            repository: upload.repository,
            content: upload.content,
        });
    }

    async fn has_happened(
        &mut self,
        client: &Client,
        operation: &Operation,
    ) -> anyhow::Result<bool> {
        let blob = |repository: &str, digest: &str| format!("/v2/{repository}/blobs/{digest}");
        let manifest =
            |repository: &str, reference: &str| format!("/v2/{repository}/manifests/{reference}");
        match operation {
            Operation::PushBlob {
                repository,
                content,
            } => exists(client, &blob(repository, &content.digest())).await,
            Operation::Mount {
                repository, digest, ..
            } => exists(client, &blob(repository, digest)).await,
            Operation::DeleteBlob { repository, digest } => {
                Ok(!exists(client, &blob(repository, digest)).await?)
            }
            Operation::DeleteTag { repository, tag } => {
                Ok(!exists(client, &manifest(repository, tag)).await?)
            }
            Operation::DeleteManifest { repository, digest } => {
                Ok(!exists(client, &manifest(repository, digest)).await?)
            }
            Operation::PutManifest {
                repository,
                tag,
                payload,
            } => {
                let reply = client
                    .get(&manifest(repository, tag))
                    .header("Accept", MANIFEST)
                    .send()
                    .await?;
                Ok(reply.status == 200 && reply.body == payload.as_bytes())
            }
            // Where it was begun, nobody knows; the sweep takes it one day.
            Operation::Open { .. } => Ok(false),
            Operation::Write { to } => {
                let upload = self.oldest()?;
                let (offset, location) = status_of(client, &upload).await?;
                ensure!(
                    (upload.offset..=*to).contains(&offset),
                    "{upload:?} came back with {offset} bytes"
                );
                self.ledger.uploads[0].offset = offset;
                self.ledger.uploads[0].location = location;
                Ok(offset == *to)
            }
            // Sent again, the closing request is answered as the first would have been.
            Operation::Close => {
                ensure!(self.close(client).await?, "the server died again");
                Ok(true)
            }
            Operation::Cancel => {
                let upload = self.oldest()?;
                let reply = client.delete(&upload.location).send().await?;
                ensure!(
                    [204, 404].contains(&reply.status.as_u16()),
                    "cancelled again: {}",
                    reply.status
                );
                self.ledger.uploads.remove(0);
                Ok(true)
            }
        }
    }
}

fn uploads(repository: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/")
}

/// Sends; a broken connection is an answer, another status is an error.
async fn ask(request: client::Ask<'_>, status: u16) -> anyhow::Result<Answer> {
    match request.send().await {
        Ok(reply) => Ok(Answer::Reply(reply.expect(status)?)),
        Err(error)
            if error
                .chain()
                .any(|cause| cause.is::<tokio::time::error::Elapsed>()) =>
        {
            bail!("no answer in time: {error:#}")
        }
        Err(_) => Ok(Answer::Broken),
    }
}

async fn done(request: client::Ask<'_>, status: u16) -> anyhow::Result<bool> {
    Ok(matches!(ask(request, status).await?, Answer::Reply(_)))
}

async fn exists(client: &Client, target: &str) -> anyhow::Result<bool> {
    let reply = client
        .head(target)
        .header("Accept", MANIFEST)
        .send()
        .await?;
    match reply.status.as_u16() {
        200 => Ok(true),
        404 => Ok(false),
        other => bail!("HEAD {target}: {other}"),
    }
}
