//! What people set: encryption, storage class, certificates, and where credentials come from.

use std::fs;
use std::path::PathBuf;

use blobs::settings::{Checksums, CredentialsFrom, Encryption};
use blobs::{S3Settings, S3Store};
use ports::blob_store::suite::pattern;
use ports::{BlobFailure, BlobStore, Target};
use tempfile::TempDir;

use crate::light_s3::{ACCESS_KEY, BUCKET, LightS3, SECRET_KEY};
use crate::trouble::{key, put, read};

#[tokio::test]
async fn what_objects_are_to_be_like_is_said() {
    let server = LightS3::start().await;
    let settings = S3Settings {
        encryption: Encryption::Kms,
        kms_key_id: Some("key-1".to_owned()),
        storage_class: Some("STANDARD_IA".to_owned()),
        checksums: Checksums::Never,
        ..server.settings()
    };
    let store = S3Store::open(&settings).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 10))
        .await
        .unwrap();
    let said = server.last_put().unwrap();
    assert_eq!(said.bucket, BUCKET);
    assert_eq!(
        said.server_side_encryption
            .as_ref()
            .map(|method| method.as_str()),
        Some("aws:kms")
    );
    assert_eq!(said.ssekms_key_id.as_deref(), Some("key-1"));
    assert_eq!(
        said.storage_class.as_ref().map(|class| class.as_str()),
        Some("STANDARD_IA")
    );
    assert_eq!(said.checksum_crc32, None);
}

/// The settings without their keys.
fn without_keys(settings: S3Settings, credentials: CredentialsFrom) -> S3Settings {
    S3Settings {
        access_key_id: None,
        secret_access_key: None,
        credentials,
        ..settings
    }
}

#[tokio::test]
async fn a_key_of_the_customer_goes_with_each_call() {
    let server = LightS3::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let settings = S3Settings {
        encryption: Encryption::Customer,
        customer_key_file: Some(file),
        ..server.settings()
    };
    let store = S3Store::open(&settings).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 10))
        .await
        .unwrap();
    let said = server.last_put().unwrap();
    assert_eq!(said.sse_customer_algorithm.as_deref(), Some("AES256"));
    assert_eq!(
        said.sse_customer_key_md5.as_deref(),
        Some("y4HAEFCYWuvAXWFTtA1Qpg==")
    );
}

#[tokio::test]
async fn credentials_come_from_a_profile_of_a_file() {
    let server = LightS3::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let text = format!(
        "[holdfast]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    );
    fs::write(&file, text).unwrap();
    let settings = S3Settings {
        credentials_file: Some(file),
        profile: Some("holdfast".to_owned()),
        ..without_keys(server.settings(), CredentialsFrom::File)
    };
    let store = S3Store::open(&settings).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 10))
        .await
        .unwrap();
    let other = S3Settings {
        profile: Some("other".to_owned()),
        deadline_ms: 1_000,
        ..settings
    };
    let failed = put(
        &S3Store::open(&other).await.unwrap(),
        &Target::Object(key(1)),
        pattern(1, 10),
    )
    .await;
    assert!(
        matches!(failed, Err(BlobFailure::Denied { .. })),
        "{failed:?}"
    );
}

#[tokio::test]
async fn requests_without_credentials_are_not_signed_and_refused() {
    let server = LightS3::start().await;
    let settings = without_keys(server.settings(), CredentialsFrom::Anonymous);
    let failed = read(&S3Store::open(&settings).await.unwrap(), &key(1), 0, 1).await;
    assert!(
        matches!(failed, Err(BlobFailure::Denied { .. })),
        "{failed:?}"
    );
}

/// The certificate of an authority, in a file, and a server that it vouches for.
async fn server_with_certificate() -> (LightS3, PathBuf, TempDir) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    fs::write(&ca_file, signed.cert.pem()).unwrap();
    let server = LightS3::start_with_certificate(
        signed.cert.der().clone(),
        signed.signing_key.serialize_der(),
    )
    .await;
    (server, ca_file, folder)
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted() {
    let (server, ca_file, _folder) = server_with_certificate().await;
    let store = S3Store::open(&S3Settings {
        ca_file: Some(ca_file),
        ..server.settings()
    })
    .await
    .unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 300_000))
        .await
        .unwrap();
    assert_eq!(
        read(&store, &key(1), 0, 300_000).await.unwrap(),
        pattern(1, 300_000)
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_at_once() {
    let (server, _, _folder) = server_with_certificate().await;
    let failed = read(
        &S3Store::open(&server.settings()).await.unwrap(),
        &key(1),
        0,
        1,
    )
    .await;
    assert!(
        matches!(&failed, Err(BlobFailure::Denied { reason }) if reason.contains("certificate")),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_file_that_holds_no_certificate_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let server = LightS3::start().await;
    for text in [
        "",
        "nothing",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ] {
        fs::write(&file, text).unwrap();
        let settings = S3Settings {
            ca_file: Some(file.clone()),
            ..server.settings()
        };
        let opened = S3Store::open(&settings).await.map(|_| ());
        assert!(
            matches!(&opened, Err(BlobFailure::Other { reason }) if reason.contains("ca_file")),
            "{opened:?}"
        );
    }
}

#[tokio::test]
async fn a_proxy_is_used() {
    let server = LightS3::start().await;
    let settings = S3Settings {
        endpoint: Some("http://s3.invalid:9000".to_owned()),
        proxy: Some(format!("http://{}", server.address())),
        ..server.settings()
    };
    // The server takes the place of the proxy: it is asked for a host that nobody could find.
    let store = S3Store::open(&settings).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 10))
        .await
        .unwrap();
    assert_eq!(server.keys(), [key(1).to_string()]);
    assert!(store.describe().contains(BUCKET));
}
