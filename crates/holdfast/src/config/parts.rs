//! What each part of the node is told: its own settings, made from the configuration.

use std::path::{Path, PathBuf};

use blobs::{FolderSettings, S3Settings, StorageSettings};
use metadata_raft::MemberConfig;

use super::check::largest_blob;
use super::settings::{S3, Settings, TlsMode};
use super::value::{ByteSize, Span};

/// The most objects that are removed at once; S3 takes a thousand.
const SWEEP_BATCH: usize = 500;

/// The id of a node that is alone; ids are never used again, so a cluster goes on counting from here.
pub const FIRST_NODE: u64 = 1;

/// The most bytes of headers that one request may have.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// What the HTTP server is told.
pub fn api_settings(settings: &Settings) -> api::Settings {
    let server = &settings.server;
    api::Settings {
        connections_max: count(server.connections_max),
        requests_max: count(server.requests_max),
        queue_wait: server.queue_wait.0,
        header_timeout: server.header_timeout.0,
        idle_timeout: server.idle_timeout.0,
        body_idle_timeout: server.body_idle_timeout.0,
        manifest_timeout: server.manifest_timeout.0,
        write_timeout: server.write_timeout.0,
        hold: server.hold_time.0,
        drain_delay: server.drain_delay.0,
        drain_deadline: server.drain_timeout.0,
        header_bytes_max: HEADER_BYTES_MAX,
        manifest_memory_max: bytes(server.manifest_memory),
        page_size_max: count(server.page_size_max),
        cors_write_origins: server.cors_write_origins.clone(),
        chunk_bytes_min: server.chunk_bytes_min.0,
    }
}

/// What the port of clients is told: whom to believe, and for how long to wait.
pub fn front_settings(settings: &Settings) -> front::FrontSettings {
    let server = &settings.server;
    front::FrontSettings {
        trusted_proxies: server.trusted_proxies.clone(),
        proxy_protocol: server.proxy_protocol,
        forwarded_by: server.forwarded_by,
        handshake_timeout: settings.tls.handshake_timeout.0,
    }
}

/// Whether the port of clients speaks TLS.
pub fn speaks_tls(settings: &Settings) -> bool {
    TlsMode::in_effect(settings) != TlsMode::Off
}

/// What TLS is spoken with: the files that are set, or the node's own with its key.
pub fn tls_settings(settings: &Settings, own: Option<PathBuf>) -> front::TlsSettings {
    let tls = &settings.tls;
    let certificate = own.or_else(|| tls.certificate.clone()).unwrap_or_default();
    front::TlsSettings {
        key: tls.key.clone().unwrap_or_else(|| certificate.clone()),
        certificate,
        client_authorities: tls.client_authorities.clone(),
        client_certificates: tls.client_certificates,
        version_min: tls.min_version,
    }
}

/// What the use-cases are told.
pub fn registry_settings(settings: &Settings) -> registry::Settings {
    let uploads = &settings.uploads;
    let part_size =
        u32::try_from(uploads.part_size.0).expect("the range of part_size ends far below 4 GiB");
    registry::Settings {
        part_size,
        blob_size_max: uploads
            .blob_size_max
            .unwrap_or_else(|| largest_blob(uploads.part_size))
            .0,
        checkpoint_every_parts: uploads.checkpoint_every_parts,
        grace: uploads.grace.0,
        sparse_images: settings.registry.sparse_images,
        stale_reads: settings.registry.stale_reads,
        body_idle_timeout: settings.server.body_idle_timeout.0,
        hold: settings.server.hold_time.0,
        retry_after: settings.server.retry_after.0,
        sweep_interval: uploads.sweep_interval.0,
        sweep_batch: SWEEP_BATCH,
        upload_expiry: uploads.expiry.0,
    }
}

/// What the metadata log is told; `folder` is where it is kept.
pub fn member_config(settings: &Settings, folder: PathBuf) -> MemberConfig {
    let metadata = &settings.metadata;
    MemberConfig {
        log_cache_bytes: bytes(metadata.log_cache),
        table_cache_bytes: bytes(metadata.cache),
        snapshot_every_bytes: metadata.snapshot_after.0,
        free_bytes_min: metadata.free_space_min.0,
        ..MemberConfig::new(folder, FIRST_NODE)
    }
}

/// What the store of blobs is told; `default_folder` is where blobs are when no folder is set.
pub fn storage_settings(settings: &Settings, default_folder: &Path) -> StorageSettings {
    let folder = settings
        .folder
        .path
        .clone()
        .unwrap_or_else(|| default_folder.to_owned());
    StorageSettings {
        kind: settings.storage.kind,
        folder: FolderSettings { path: Some(folder) },
        s3: s3_settings(&settings.s3),
    }
}

fn s3_settings(s3: &S3) -> S3Settings {
    S3Settings {
        bucket: s3.bucket.clone().unwrap_or_default(),
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        prefix: s3.prefix.clone().unwrap_or_default(),
        path_style: s3.path_style,
        ca_file: s3.ca_file.clone(),
        proxy: s3.proxy.clone(),
        no_proxy: s3.no_proxy.clone(),
        encryption: s3.encryption,
        kms_key_id: s3.kms_key_id.clone(),
        customer_key_file: s3.customer_key_file.clone(),
        storage_class: s3.storage_class.clone(),
        credentials: s3.credentials,
        access_key_id: s3.access_key_id.clone(),
        secret_access_key: s3.secret_access_key.clone(),
        session_token: s3.session_token.clone(),
        credentials_file: s3.credentials_file.clone(),
        profile: s3.profile.clone(),
        web_identity_token_file: s3.web_identity_token_file.clone(),
        role_arn: s3.role_arn.clone(),
        checksums: s3.checksums,
        memory_mib: u32::try_from(s3.memory.0 >> 20).expect("the range of memory ends at 64 GiB"),
        connect_timeout_ms: milliseconds(s3.connect_timeout),
        attempt_timeout_ms: milliseconds(s3.attempt_timeout),
        read_timeout_ms: milliseconds(s3.read_timeout),
        deadline_ms: milliseconds(s3.deadline),
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).expect("no machine that this runs on counts in 16 bits")
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

fn milliseconds(span: Span) -> u64 {
    u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)
}
