//! A server over fakes, and the things that tests push to it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::{Access, Info, Limits, Mounted, Report, ServeParts, Settings, serve};
use front::Front;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use oci::{Algorithm, Digest};
use ports::RandomIds;
use ports::blob_store::faulty::FaultyBlobStore;
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::faulty::FaultyMetadataStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use registry::{Parts, Registry};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Call, Connection, call};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What a server has beside the use-cases.
#[derive(Default)]
struct Beside {
    access: Option<Access>,
    mounted: Mounted,
    limits: Option<Limits>,
}

/// A server that ends with the test.
pub struct Fixture {
    pub address: SocketAddr,
    pub metadata: Arc<FaultyMetadataStore>,
    pub blobs: Arc<FaultyBlobStore>,
    pub shutdown: CancellationToken,
    pub serving: JoinHandle<()>,
}

impl Fixture {
    pub async fn start() -> Fixture {
        Fixture::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Fixture {
        Fixture::over(MemoryMetadataStore::new(), change).await
    }

    /// A server over a log of the test's own.
    pub async fn over(log: MemoryMetadataStore, change: impl FnOnce(&mut Settings)) -> Fixture {
        Fixture::serving(log, registry::Settings::default(), change).await
    }

    /// A server that refuses sparse images.
    pub async fn without_sparse_images() -> Fixture {
        let settings = registry::Settings {
            sparse_images: registry::SparseImages::Refused,
            ..registry::Settings::default()
        };
        Fixture::serving(MemoryMetadataStore::new(), settings, |_| {}).await
    }

    /// A server that answers such pulls without a confirmation, and whose log is given up after `hold`.
    pub async fn with_stale_reads(stale_reads: registry::StaleReads, hold: Duration) -> Fixture {
        let use_cases = registry::Settings {
            stale_reads,
            hold,
            ..registry::Settings::default()
        };
        let short = |settings: &mut Settings| settings.hold = hold;
        Fixture::serving(MemoryMetadataStore::new(), use_cases, short).await
    }

    async fn serving(
        log: MemoryMetadataStore,
        use_cases: registry::Settings,
        change: impl FnOnce(&mut Settings),
    ) -> Fixture {
        let beside = Beside::default();
        Fixture::serving_behind(Front::plain(), beside, log, use_cases, change).await
    }

    /// A server that asks who is there, over a log in which access is not switched on yet, and counts pulls and failed logins.
    pub async fn limited(
        log: MemoryMetadataStore,
        access: Access,
        limits: Option<Limits>,
    ) -> Fixture {
        let use_cases = registry::Settings::default();
        let beside = Beside {
            access: Some(access),
            limits,
            ..Beside::default()
        };
        Fixture::serving_behind(Front::plain(), beside, log, use_cases, |_| {}).await
    }

    /// A server that has routers of others beside the registry protocol.
    pub async fn mounting(
        log: MemoryMetadataStore,
        access: Option<Access>,
        mounted: Mounted,
    ) -> Fixture {
        let use_cases = registry::Settings::default();
        let beside = Beside {
            access,
            mounted,
            ..Beside::default()
        };
        Fixture::serving_behind(Front::plain(), beside, log, use_cases, |_| {}).await
    }

    /// A server whose connections go through this before they speak HTTP.
    pub async fn behind(front: Front) -> Fixture {
        let use_cases = registry::Settings::default();
        let log = MemoryMetadataStore::new();
        let beside = Beside::default();
        Fixture::serving_behind(front, beside, log, use_cases, |_| {}).await
    }

    async fn serving_behind(
        front: Front,
        beside: Beside,
        log: MemoryMetadataStore,
        use_cases: registry::Settings,
        change: impl FnOnce(&mut Settings),
    ) -> Fixture {
        let log = Arc::new(log);
        let plan = ports::metadata_store::faulty::FaultPlan::none();
        let metadata = Arc::new(FaultyMetadataStore::new(log, plan));
        let plan = ports::blob_store::faulty::FaultPlan::none();
        let blobs = Arc::new(FaultyBlobStore::new(Arc::new(MemoryBlobStore::new()), plan));
        let registry = Registry::new(Parts {
            metadata: metadata.clone(),
            blobs: blobs.clone(),
            ids: Arc::new(RandomIds),
            settings: registry::Settings {
                part_size: 64 * 1024,
                ..use_cases
            },
        });
        let mut settings = Settings {
            drain_delay: Duration::ZERO,
            ..Settings::default()
        };
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(ServeParts {
            listeners: vec![listener],
            registry,
            access: beside.access,
            mounted: beside.mounted,
            limits: beside.limits,
            settings,
            front,
            reports: vec![Report {
                name: "part",
                tell: Arc::new(|| "as it should be".to_owned()),
            }],
            info: Info {
                version: "1.2.3".into(),
                revision: Some("abcdef".into()),
                addresses: vec![address.to_string()],
            },
            metrics: Some(metrics()),
            shutdown: shutdown.clone(),
            without_delay: CancellationToken::new(),
            without_answers: CancellationToken::new(),
        }));
        Fixture {
            address,
            metadata,
            blobs,
            shutdown,
            serving,
        }
    }

    /// Sends a request on a connection of its own.
    pub async fn send(&self, call: Call) -> Answer {
        Connection::open(self.address).await.send(&call).await
    }

    /// Pushes a blob in one request.
    pub async fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        let target = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.send(call("POST", target).body(content))
            .await
            .expect(201);
        digest
    }

    /// Pushes a manifest and gives the answer.
    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &Value,
    ) -> Answer {
        self.send(manifest_put(repository, reference, manifest))
            .await
    }

    /// Pushes an image that consists of `name`, with its blobs, under a tag.
    pub async fn push_image(&self, repository: &str, tag: &str, name: &str) -> Digest {
        let manifest = self.image(repository, name).await;
        let answer = self
            .push_manifest(repository, tag, &manifest)
            .await
            .expect(201);
        let digest = answer
            .header("docker-content-digest")
            .expect("a push tells its digest");
        Digest::parse(digest).expect("it is one")
    }

    /// Pushes the blobs of an image that consists of `name`, and gives its manifest.
    pub async fn image(&self, repository: &str, name: &str) -> Value {
        let config = self.push_blob(repository, b"{}").await;
        let layer = self.push_blob(repository, name.as_bytes()).await;
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": name.len(),
            }],
        })
    }

    /// Opens an upload and gives its `Location`.
    pub async fn open_upload(&self, repository: &str) -> String {
        let answer = self
            .send(call("POST", format!("/v2/{repository}/blobs/uploads/")).body(""))
            .await
            .expect(202);
        answer
            .header("location")
            .expect("an upload has a location")
            .to_owned()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The recorder of this process, which all tests share.
fn metrics() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        PrometheusBuilder::new()
            .install_recorder()
            .expect("nobody else installs one")
    };
    RECORDER.get_or_init(install).clone()
}

/// A manifest push as it is sent.
pub fn manifest_put(repository: &str, reference: &str, manifest: &Value) -> Call {
    let media_type = manifest["mediaType"]
        .as_str()
        .unwrap_or(OCI_MANIFEST)
        .to_owned();
    call("PUT", format!("/v2/{repository}/manifests/{reference}"))
        .header("Content-Type", media_type)
        .body(manifest.to_string())
}

pub fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}
