//! `holdfast storage check`: tries each call that Holdfast needs of a store, and says what is missing.
//!
//! It touches only keys of its own, below a cluster id that no cluster has, and removes what it wrote. It must never
//! report a store as good of which one of the calls was not tried.

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use metadata::{ClusterId, MultipartId, ObjectKey};
use ports::{BlobFailure, BlobStore, ByteSpan, CompletedPart, Target};
use uuid::Uuid;

use crate::settings::StorageKind;

/// No cluster has this id.
const PROBE_CLUSTER: ClusterId = ClusterId(0);
const PROBE_BYTES: usize = 100_000;

/// One call that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckStep {
    /// What was tried, for people.
    pub name: &'static str,
    /// How it went.
    pub outcome: CheckOutcome,
    /// What to do when it did not pass.
    pub hint: Option<String>,
}

/// How a call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// As it should.
    Passed,
    /// Not as it should: why.
    Failed(String),
    /// It could not be tried, because an earlier step failed.
    Skipped,
}

impl CheckStep {
    /// Whether it went as it should.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.outcome == CheckOutcome::Passed
    }
}

/// Tries every call. The store is good when all steps passed.
///
/// Takes as long as the calls do; a store that does not answer ends the check at its first step.
pub async fn run(store: &dyn BlobStore, kind: StorageKind) -> Vec<CheckStep> {
    let mut check = Check {
        store,
        kind,
        steps: Vec::new(),
        is_reachable: true,
    };
    check.objects().await;
    check.multipart().await;
    check.steps
}

struct Check<'a> {
    store: &'a dyn BlobStore,
    kind: StorageKind,
    steps: Vec<CheckStep>,
    is_reachable: bool,
}

impl Check<'_> {
    async fn objects(&mut self) {
        let store = self.store;
        let (first, second) = (fresh_key(), fresh_key());
        let bytes = probe_bytes();
        let put = self
            .step("put an object", "s3:PutObject", async {
                put(store, &Target::Object(first.clone()), &bytes).await?;
                put(store, &Target::Object(second.clone()), &bytes).await
            })
            .await;
        if put.is_some() {
            let read = read_back(store, &first, &bytes);
            self.step("read a range of it", "s3:GetObject", read).await;
        } else {
            self.skip("read a range of it");
        }
        let absent = fresh_key();
        let size = expect_absent(store.object_size(&absent));
        self.step("be told that an object is absent", "s3:ListBucket", size)
            .await;
        let prefix = ObjectKey::cluster_prefix(PROBE_CLUSTER);
        let list = async {
            let listed = store.list(&prefix, None).await?;
            let is_listed = listed.iter().any(|object| object.key == first.as_str());
            if is_listed || put.is_none() || listed.len() >= 1000 {
                Ok(())
            } else {
                Err(wrong("the object is not listed"))
            }
        };
        self.step("list objects", "s3:ListBucket", list).await;
        if put.is_none() {
            self.skip("delete objects");
            return;
        }
        let delete = async {
            store.delete(&[first.clone(), second.clone()]).await?;
            store.delete(std::slice::from_ref(&first)).await?;
            expect_absent(store.object_size(&first)).await
        };
        self.step("delete objects", "s3:DeleteObject", delete).await;
    }

    async fn multipart(&mut self) {
        const BEGIN: &str = "begin a multipart upload";
        const PART: &str = "upload a part";
        const COMPLETE: &str = "complete the upload";
        const READ: &str = "read the completed object";
        const LIST: &str = "list unfinished uploads";
        const ABORT: &str = "abort an upload";
        let store = self.store;
        let (key, bytes) = (fresh_key(), probe_bytes());
        let Some(multipart) = self
            .step(BEGIN, "s3:PutObject", store.begin_multipart(&key))
            .await
        else {
            for name in [PART, LIST, COMPLETE, READ, ABORT] {
                self.skip(name);
            }
            return;
        };
        let target = Target::Part {
            key: key.clone(),
            multipart: multipart.clone(),
            number: 1,
        };
        let part = self
            .step(PART, "s3:PutObject", put(store, &target, &bytes))
            .await;
        let list = find_upload(store, &multipart);
        self.step(LIST, "s3:ListBucketMultipartUploads", list).await;
        let mut completed = None;
        if let Some(etag) = part {
            let parts = [CompletedPart {
                number: 1,
                etag,
                size: bytes.len() as u64,
            }];
            completed = self
                .step(
                    COMPLETE,
                    "s3:PutObject",
                    store.complete_multipart(&key, &multipart, &parts),
                )
                .await;
        } else {
            self.skip(COMPLETE);
        }
        if completed.is_some() {
            let read = async {
                let whole = read_back(store, &key, &bytes).await;
                store.delete(std::slice::from_ref(&key)).await?;
                whole
            };
            self.step(READ, "s3:GetObject", read).await;
        } else {
            self.skip(READ);
        }
        let abort = async {
            if completed.is_none() {
                store.abort_multipart(&key, &multipart).await?;
            }
            let key = fresh_key();
            let multipart = store.begin_multipart(&key).await?;
            store.abort_multipart(&key, &multipart).await
        };
        self.step(ABORT, "s3:AbortMultipartUpload", abort).await;
    }

    async fn step<T>(
        &mut self,
        name: &'static str,
        permission: &'static str,
        call: impl Future<Output = Result<T, BlobFailure>>,
    ) -> Option<T> {
        if !self.is_reachable {
            self.skip(name);
            return None;
        }
        let (value, outcome, hint) = match call.await {
            Ok(value) => (Some(value), CheckOutcome::Passed, None),
            Err(failure) => {
                self.is_reachable = !matches!(failure, BlobFailure::Unavailable { .. });
                (
                    None,
                    CheckOutcome::Failed(failure.to_string()),
                    Some(self.hint(&failure, permission)),
                )
            }
        };
        self.steps.push(CheckStep {
            name,
            outcome,
            hint,
        });
        value
    }

    fn skip(&mut self, name: &'static str) {
        self.steps.push(CheckStep {
            name,
            outcome: CheckOutcome::Skipped,
            hint: None,
        });
    }

    fn hint(&self, failure: &BlobFailure, permission: &str) -> String {
        match (failure, self.kind) {
            (BlobFailure::Denied { reason }, StorageKind::S3) => denied_hint(reason, permission),
            (BlobFailure::Denied { .. }, StorageKind::Folder) => {
                "the user that runs holdfast must own the folder, on a file system that can be written".to_owned()
            }
            (BlobFailure::Unavailable { .. }, StorageKind::S3) => {
                "is storage.s3.endpoint right, and can this machine reach it (proxy, firewall, name)?".to_owned()
            }
            (BlobFailure::Full { .. }, _) => "make room, or raise the quota".to_owned(),
            (BlobFailure::Other { reason }, StorageKind::S3) if reason.contains("NoSuchBucket") => {
                "create the bucket that storage.s3.bucket names".to_owned()
            }
            _ => "see the reason; without this call, pushes or the removal of old bytes will fail".to_owned(),
        }
    }
}

fn denied_hint(reason: &str, permission: &str) -> String {
    let has = |text: &str| reason.contains(text);
    if has("certificate") {
        "name the authority that signed the store's certificate as storage.s3.ca_file".to_owned()
    } else if has("InvalidAccessKeyId") || has("SignatureDoesNotMatch") || has("NotSignedUp") {
        "the access key or its secret is wrong".to_owned()
    } else if has("RequestTimeTooSkewed") {
        "set this machine's clock".to_owned()
    } else if has("credentials") {
        "no credentials were found where storage.s3.credentials says".to_owned()
    } else {
        format!("the credentials need the permission {permission}")
    }
}

fn fresh_key() -> ObjectKey {
    ObjectKey::probe(PROBE_CLUSTER, Uuid::new_v4().as_u128())
}

fn probe_bytes() -> Bytes {
    (0..PROBE_BYTES).map(|n| (n % 251) as u8).collect()
}

fn wrong(how: &str) -> BlobFailure {
    BlobFailure::Other {
        reason: how.to_owned(),
    }
}

async fn put(store: &dyn BlobStore, target: &Target, bytes: &Bytes) -> Result<String, BlobFailure> {
    let mut staged = store.stage(bytes.len() as u64).await?;
    staged.append(bytes.clone()).await?;
    staged.store(target).await
}

async fn read_back(
    store: &dyn BlobStore,
    key: &ObjectKey,
    bytes: &Bytes,
) -> Result<(), BlobFailure> {
    let span = ByteSpan {
        start: 1000,
        len: 50_000,
    };
    let mut stream = store.read(key, span).await?;
    let mut read = BytesMut::new();
    while let Some(block) = stream.try_next().await? {
        read.extend_from_slice(&block);
    }
    if read != bytes[1000..51_000] {
        return Err(wrong("other bytes were read than were written"));
    }
    match store.object_size(key).await? {
        size if size == bytes.len() as u64 => Ok(()),
        size => Err(wrong(&format!(
            "the store says that {PROBE_BYTES} bytes are {size}"
        ))),
    }
}

async fn expect_absent(
    call: impl Future<Output = Result<u64, BlobFailure>>,
) -> Result<(), BlobFailure> {
    match call.await {
        Err(BlobFailure::NoSuchObject { .. }) => Ok(()),
        Err(failure) => Err(failure),
        Ok(_) => Err(wrong("an object that does not exist has a size")),
    }
}

async fn find_upload(store: &dyn BlobStore, multipart: &MultipartId) -> Result<(), BlobFailure> {
    let listed = store
        .list_multipart(&ObjectKey::cluster_prefix(PROBE_CLUSTER))
        .await?;
    let is_listed = listed.iter().any(|upload| upload.multipart == *multipart);
    if is_listed || listed.len() >= 1000 {
        Ok(())
    } else {
        Err(wrong("the upload is not listed"))
    }
}
