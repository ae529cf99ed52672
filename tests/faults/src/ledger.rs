//! What was acknowledged, and the check that a server still has it.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use harness::Client;
use harness::client::sha256;

use crate::Content;
use crate::operation::{MANIFEST, Operation};

/// A repository, and a digest or tag in it.
pub type Name = (String, String);

/// Everything that one worker knows to be acknowledged. `None` stands for "deleted".
#[derive(Default)]
pub struct Ledger {
    /// Blobs by digest.
    pub blobs: BTreeMap<Name, Option<Content>>,
    /// Manifests by digest.
    pub manifests: BTreeMap<Name, Option<String>>,
    /// Tags, with the digest that each points to.
    pub tags: BTreeMap<Name, Option<String>>,
    /// Open uploads, the oldest first.
    pub uploads: Vec<Upload>,
}

/// An upload that was answered 202 and is neither closed nor cancelled.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its repository.
    pub repository: String,
    /// Where its next request goes.
    pub location: String,
    /// What it is to become.
    pub content: Content,
    /// How many bytes were acknowledged.
    pub offset: usize,
}

impl Ledger {
    /// Notes that an operation without an upload was acknowledged; the worker notes those on uploads itself.
    pub fn acknowledge(&mut self, operation: &Operation) {
        let name = |repository: &String, what: &String| (repository.clone(), what.clone());
        match operation {
            Operation::PushBlob {
                repository,
                content,
            } => {
                self.blobs
                    .insert((repository.clone(), content.digest()), Some(*content));
            }
            Operation::Mount {
                from,
                repository,
                digest,
            } => {
                let content = self.blobs.get(&name(from, digest)).copied().flatten();
                self.blobs.insert(name(repository, digest), content);
            }
            Operation::PutManifest {
                repository,
                tag,
                payload,
            } => {
                let digest = sha256(payload.as_bytes());
                self.tags
                    .insert(name(repository, tag), Some(digest.clone()));
                self.manifests
                    .insert((repository.clone(), digest), Some(payload.clone()));
            }
            Operation::DeleteTag { repository, tag } => {
                self.tags.insert(name(repository, tag), None);
            }
            Operation::DeleteManifest { repository, digest } => {
                self.manifests.insert(name(repository, digest), None);
                let here = self.tags.iter_mut().filter(|((of, _), _)| of == repository);
                here.filter(|(_, to)| to.as_ref() == Some(digest))
                    .for_each(|(_, to)| *to = None);
            }
            Operation::DeleteBlob { repository, digest } => {
                self.blobs.insert(name(repository, digest), None);
            }
            Operation::Open { .. }
            | Operation::Write { .. }
            | Operation::Close
            | Operation::Cancel => {}
        }
    }

    /// That the server has all of it, and nothing of what was deleted.
    pub async fn verify(&self, client: &Client) -> anyhow::Result<()> {
        for ((repository, digest), content) in &self.blobs {
            verify_blob(client, repository, digest, content.as_ref()).await?;
        }
        for ((repository, digest), payload) in &self.manifests {
            verify_manifest(client, repository, digest, payload.as_deref()).await?;
        }
        for ((repository, tag), digest) in &self.tags {
            let payload = digest
                .as_ref()
                .and_then(|digest| self.manifests.get(&(repository.clone(), digest.clone())));
            let payload = payload.and_then(|payload| payload.as_deref());
            ensure!(
                digest.is_some() == payload.is_some(),
                "the ledger contradicts itself on {repository}:{tag}"
            );
            verify_manifest(client, repository, tag, payload).await?;
        }
        for upload in &self.uploads {
            let (offset, _) = status_of(client, upload).await?;
            ensure!(
                offset == upload.offset,
                "{upload:?} was acknowledged, the server has {offset}"
            );
        }
        Ok(())
    }

    /// How many things it knows.
    pub fn len(&self) -> usize {
        self.blobs.len() + self.manifests.len() + self.tags.len() + self.uploads.len()
    }

    /// Whether it knows nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

async fn verify_blob(
    client: &Client,
    repository: &str,
    digest: &str,
    content: Option<&Content>,
) -> anyhow::Result<()> {
    let target = format!("/v2/{repository}/blobs/{digest}");
    let reply = client.get(&target).send().await?;
    match content {
        Some(content) => {
            let reply = reply
                .expect(200)
                .with_context(|| format!("{target} was acknowledged"))?;
            ensure!(reply.body == content.bytes(), "{target} has other bytes");
        }
        None => drop(
            reply
                .expect(404)
                .with_context(|| format!("{target} was deleted"))?,
        ),
    }
    Ok(())
}

async fn verify_manifest(
    client: &Client,
    repository: &str,
    reference: &str,
    payload: Option<&str>,
) -> anyhow::Result<()> {
    let target = format!("/v2/{repository}/manifests/{reference}");
    let reply = client
        .get(&target)
        .header("Accept", MANIFEST)
        .send()
        .await?;
    match payload {
        Some(payload) => {
            let reply = reply
                .expect(200)
                .with_context(|| format!("{target} was acknowledged"))?;
            ensure!(reply.body == payload.as_bytes(), "{target} has other bytes");
        }
        None => drop(
            reply
                .expect(404)
                .with_context(|| format!("{target} was deleted"))?,
        ),
    }
    Ok(())
}

/// What the server says an upload has, and where it goes on: `Range: 0-N`, where `0-0` stands for nothing (one byte is
/// never written here). What it answers is acknowledged by the answer, so that the old `Location` is out of date.
pub async fn status_of(client: &Client, upload: &Upload) -> anyhow::Result<(usize, String)> {
    let reply = client
        .get(&upload.location)
        .send()
        .await?
        .expect(204)
        .with_context(|| format!("{upload:?}"))?;
    let range = reply
        .header("Range")
        .context("an upload's status has no Range")?;
    let last: usize = range.split('-').nth(1).context("an odd Range")?.parse()?;
    let offset = if last == 0 { 0 } else { last + 1 };
    Ok((offset, reply.location()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_manifest_takes_its_tags_along() {
        let mut ledger = Ledger::default();
        let put = |tag: &str, payload: &str| Operation::PutManifest {
            repository: "a".into(),
            tag: tag.into(),
            payload: payload.into(),
        };
        for operation in [put("v1", "x"), put("v2", "x"), put("v3", "y")] {
            ledger.acknowledge(&operation);
        }
        ledger.acknowledge(&Operation::DeleteManifest {
            repository: "a".into(),
            digest: sha256(b"x"),
        });
        let tag = |tag: &str| ledger.tags[&("a".to_owned(), tag.to_owned())].clone();
        assert_eq!((tag("v1"), tag("v2")), (None, None));
        assert_eq!(tag("v3"), Some(sha256(b"y")));
    }
}
