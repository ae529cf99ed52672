//! Uploads blobs in chunks, each through another node, and goes on where the registry says after a break; two writers at once;
//! requests that come late. What was acknowledged is never taken back, and never sent again.

use bytes::Bytes;
use linearizability::upload::Output;
use metadata::WriteFrom;
use oci::{Digest, RepositoryName, UploadId};
use registry::{Error, UploadStatus};

use super::{Client, Told};
use crate::invariants::p1::{Begun, Named};
use crate::invariants::{p2_uploads, p5};

/// A client gives an upload up after so many requests.
const REQUESTS_MAX: u32 = 12;

/// An upload as its client knows it.
struct Upload {
    repository: RepositoryName,
    id: UploadId,
    digest: Digest,
    bytes: Bytes,
    /// The last offset that it was told.
    acknowledged: u64,
}

impl Client {
    /// Uploads a blob that nothing is said of, in some unusual way.
    pub(super) async fn upload_somehow(&self) {
        let repository = self.repository();
        let (digest, bytes) = self.library.any_blob();
        match self.dice.within(0..5) {
            4 => {
                self.upload_after_a_lost_writer(&repository, digest, &bytes)
                    .await
            }
            0 => self.upload_contested(&repository, digest, &bytes).await,
            1 => self.upload_cancelled(&repository, digest, &bytes).await,
            _ => {
                self.push_in_chunks(&repository, digest, &bytes).await;
            }
        }
    }

    async fn open(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        bytes: &Bytes,
    ) -> Option<Upload> {
        let called = p2_uploads::now();
        let opened = self
            .ask("POST upload", |registry, caller| {
                let repository = repository.clone();
                async move { registry.open_upload(&caller, &repository, None).await }
            })
            .await
            .done()?;
        let uploads = &self.world.watch.uploads;
        uploads.opened(self.number, opened.upload, called);
        Some(Upload {
            repository: repository.clone(),
            id: opened.upload,
            digest,
            bytes: bytes.clone(),
            acknowledged: 0,
        })
    }

    /// Uploads a blob chunk by chunk. Whether it is there, as far as the client knows.
    pub(super) async fn push_in_chunks(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        bytes: &Bytes,
    ) -> bool {
        let Some(mut upload) = self.open(repository, digest, bytes).await else {
            return false;
        };
        for _ in 0..REQUESTS_MAX {
            let left = bytes.len() as u64 - upload.acknowledged;
            let closes = left == 0 || self.dice.hits(250);
            let went_on = if closes {
                match self.close(&upload).await {
                    Told::Done(()) => {
                        self.world.answered("blob pushed in chunks");
                        return true;
                    }
                    answer => self.after_break(&mut upload, answer).await,
                }
            } else {
                let answer = self.write(&upload, self.dice.within(1..left + 1)).await;
                self.after_write(&mut upload, answer).await
            };
            if !went_on {
                return false;
            }
        }
        false
    }

    /// A request begins that may make a blob of an upload.
    fn tell_of(&self, repository: &RepositoryName, digest: Digest) -> Begun {
        let named = Named {
            repository: repository.clone(),
            digest,
            is_manifest: false,
        };
        self.world.watch.told.begin(named, true)
    }

    /// Whence a request writes, in one of the ways in which clients say it.
    fn from(&self, upload: &Upload) -> WriteFrom {
        match self.dice.within(0..3) {
            0 => WriteFrom::Exactly(upload.acknowledged),
            _ => WriteFrom::Location(upload.acknowledged),
        }
    }

    async fn write(&self, upload: &Upload, len: u64) -> Told<UploadStatus> {
        let start = upload.acknowledged as usize;
        let body = self.body(&upload.bytes.slice(start..start + len as usize));
        let from = self.from(upload);
        let uploads = &self.world.watch.uploads;
        let at = upload.acknowledged;
        let writing = uploads.writes(self.number, upload.id, at, at + len);
        let told = self
            .ask("PATCH", |registry, caller| {
                let (repository, id) = (upload.repository.clone(), upload.id);
                async move {
                    registry
                        .write_upload(&caller, &repository, id, from, body)
                        .await
                }
            })
            .await;
        uploads.written(writing, &told);
        told
    }

    async fn close(&self, upload: &Upload) -> Told<()> {
        let body = self.body(&upload.bytes.slice(upload.acknowledged as usize..));
        let from = self.from(upload);
        let uploads = &self.world.watch.uploads;
        let (at, total) = (upload.acknowledged, upload.bytes.len() as u64);
        let finishing = uploads.finishes(self.number, upload.id, at, total);
        let told = self.tell_of(&upload.repository, upload.digest);
        let closed = self
            .ask("PUT upload", |registry, caller| {
                let (repository, id, digest) =
                    (upload.repository.clone(), upload.id, upload.digest);
                async move {
                    let closed =
                        registry.close_upload(&caller, &repository, id, from, body, digest);
                    closed.await.map(|_| ())
                }
            })
            .await;
        uploads.finished(finishing, &closed);
        if let Told::Done(()) = closed {
            self.world.watch.told.end(&told);
        }
        if let Told::No(Error::DigestMismatch { expected, actual }) = &closed {
            let said = format!(
                "upload {} ends as {actual}, not {expected}, with the bytes that were sent",
                upload.id
            );
            self.world.breach("P3", said);
        }
        closed
    }

    /// The answer to a write. Whether the upload goes on.
    async fn after_write(&self, upload: &mut Upload, answer: Told<UploadStatus>) -> bool {
        match answer {
            Told::Done(status) => {
                self.told_offset(upload, status.offset);
                true
            }
            answer => self.after_break(upload, answer).await,
        }
    }

    /// Asks where the upload stands after a request that broke off, or was refused. Whether the upload goes on.
    async fn after_break<T>(&self, upload: &mut Upload, answer: Told<T>) -> bool {
        match answer {
            Told::No(Error::UploadUnknown | Error::NameUnknown) => return false,
            Told::No(Error::OffsetMismatch { acknowledged }) => {
                let id = upload.id.to_string();
                p5::check_offset(&self.world, &id, upload.acknowledged, acknowledged);
            }
            _ => {}
        }
        match self.ask_status(upload).await {
            Told::Done(status) => {
                self.told_offset(upload, status.offset);
                self.world.answered("upload resumed");
                true
            }
            Told::No(Error::UploadUnknown | Error::NameUnknown) => false,
            Told::No(_) | Told::Unknown | Told::Unsent => true,
        }
    }

    async fn ask_status(&self, upload: &Upload) -> Told<UploadStatus> {
        let uploads = &self.world.watch.uploads;
        let asked = uploads.asks(self.number, upload.id);
        let status = self
            .ask("GET upload", |registry, caller| {
                let (repository, id) = (upload.repository.clone(), upload.id);
                async move { registry.upload_status(&caller, &repository, id).await }
            })
            .await;
        uploads.answered(asked, &status, |status| Output::At(status.offset));
        status
    }

    fn told_offset(&self, upload: &mut Upload, offset: u64) {
        let id = upload.id.to_string();
        p5::check_offset(&self.world, &id, upload.acknowledged, offset);
        if offset > upload.bytes.len() as u64 {
            let said = format!(
                "upload {} stands at {offset}, and {} bytes were ever sent",
                upload.id,
                upload.bytes.len()
            );
            self.world.breach("P5", said);
            return;
        }
        upload.acknowledged = offset;
    }

    /// Two writers on one upload, who do not know of each other: the one's bytes and the other's are never mixed.
    async fn upload_contested(&self, repository: &RepositoryName, digest: Digest, bytes: &Bytes) {
        let Some(mut upload) = self.open(repository, digest, bytes).await else {
            return;
        };
        // The other one sends other bytes.
        let others: Bytes = bytes.iter().map(|byte| byte ^ 0x55).collect();
        let other = Upload {
            repository: repository.clone(),
            id: upload.id,
            digest,
            bytes: others,
            acknowledged: 0,
        };
        if bytes.is_empty() {
            return;
        }
        let len = self.dice.within(1..bytes.len() as u64 + 1);
        let (first, second) = tokio::join!(self.write(&upload, len), async {
            tokio::time::sleep(self.dice.ms(0..30)).await;
            self.write(&other, len).await
        });
        self.world.answered("upload contested");
        drop((first, second));
        // Whoever closes it gets a blob of its digest, or is told that it is none.
        upload.acknowledged = 0;
        let Told::Done(status) = self.ask_status(&upload).await else {
            return;
        };
        if status.offset > bytes.len() as u64 {
            return;
        }
        let start = status.offset as usize;
        let (body, id) = (self.body(&bytes.slice(start..)), upload.id);
        let uploads = &self.world.watch.uploads;
        let total = bytes.len() as u64;
        let finishing = uploads.finishes(self.number, id, status.offset, total);
        let told = self.tell_of(repository, digest);
        let closed = self
            .ask("PUT upload", |registry, caller| {
                let repository = repository.clone();
                let from = WriteFrom::Exactly(status.offset);
                async move {
                    registry
                        .close_upload(&caller, &repository, id, from, body, digest)
                        .await
                }
            })
            .await;
        uploads.finished(finishing, &closed);
        if closed.done().is_some() {
            self.world.watch.told.end(&told);
            self.pull_blob(repository, digest).await;
        }
    }

    /// A writer of other bytes loses its client, and its node goes on; then another one writes from the beginning, and once it was
    /// told that its bytes are safe nothing of the first writer comes between them.
    async fn upload_after_a_lost_writer(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        bytes: &Bytes,
    ) {
        let Some(mut upload) = self.open(repository, digest, bytes).await else {
            return;
        };
        if bytes.is_empty() {
            return;
        }
        let lost = Upload {
            repository: repository.clone(),
            id: upload.id,
            digest,
            bytes: bytes.iter().map(|byte| byte ^ 0x55).collect(),
            acknowledged: 0,
        };
        let (client, len) = (self.clone(), bytes.len() as u64);
        let writer = tokio::spawn(async move { drop(client.write(&lost, len).await) });
        tokio::time::sleep(self.dice.ms(2..80)).await;
        writer.abort();
        let len = self.dice.within(1..bytes.len() as u64 + 1);
        let Told::Done(status) = self.write(&upload, len).await else {
            return;
        };
        if status.offset != len {
            return;
        }
        upload.acknowledged = len;
        tokio::time::sleep(self.dice.ms(1..300)).await;
        if let Told::Done(()) = self.close(&upload).await {
            self.world.answered("lost writer outrun");
            self.pull_blob(repository, digest).await;
        }
    }

    /// An upload that its client cancels; a request that comes after it is refused.
    async fn upload_cancelled(&self, repository: &RepositoryName, digest: Digest, bytes: &Bytes) {
        let Some(mut upload) = self.open(repository, digest, bytes).await else {
            return;
        };
        if !bytes.is_empty() {
            let answer = self
                .write(&upload, self.dice.within(1..bytes.len() as u64 + 1))
                .await;
            if !self.after_write(&mut upload, answer).await {
                return;
            }
        }
        let id = upload.id;
        let uploads = &self.world.watch.uploads;
        let cancelling = uploads.cancels(self.number, id);
        let cancelled = self
            .ask("DELETE upload", |registry, caller| {
                let repository = repository.clone();
                async move { registry.cancel_upload(&caller, &repository, id).await }
            })
            .await;
        uploads.answered(cancelling, &cancelled, |()| Output::Done);
        if cancelled.done().is_none() {
            return;
        }
        self.world.answered("upload cancelled");
        match self.close(&upload).await {
            Told::Done(()) => {
                let said = format!("upload {id} was finished after it had been cancelled");
                self.world.breach("P2", said);
            }
            Told::No(Error::UploadUnknown) => self.world.answered("late request refused"),
            Told::No(_) | Told::Unknown | Told::Unsent => {}
        }
    }
}
