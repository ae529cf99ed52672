//! Server-side encryption: which calls say what about it.

use std::fs;

use blobs::settings::Encryption;
use blobs::{S3Settings, S3Store};
use futures::TryStreamExt as _;
use hyper::Method;
use ports::{BlobStore, ByteSpan, Target};

use crate::stub::{Asked, Stub};
use crate::{key, put_at, settings};

const METHOD: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CUSTOMER: &str = "x-amz-server-side-encryption-customer-algorithm";
const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-key";
const CUSTOMER_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";

/// 32 bytes of 7, and their MD5, in base64.
const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const KEY_MD5: &str = "y4HAEFCYWuvAXWFTtA1Qpg==";

/// An object put, a multipart upload begun, a part of it put, and the object read, in this order.
async fn calls(stub: &Stub, settings: S3Settings) -> [Asked; 4] {
    let store = S3Store::open(&settings).await.unwrap();
    put_at(&store, &Target::Object(key())).await.unwrap();
    let multipart = store.begin_multipart(&key()).await.unwrap();
    let part = Target::Part {
        key: key(),
        multipart,
        number: 1,
    };
    put_at(&store, &part).await.unwrap();
    let span = ByteSpan { start: 0, len: 10 };
    let read: Vec<_> = store
        .read(&key(), span)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(read.concat(), b"0123456789");
    let asked: [Asked; 4] = stub.asked_of_s3().try_into().unwrap();
    let methods = asked.each_ref().map(|asked| asked.method.clone());
    assert_eq!(
        methods,
        [Method::PUT, Method::POST, Method::PUT, Method::GET]
    );
    asked
}

#[tokio::test]
async fn nothing_is_said_when_the_bucket_decides() {
    let stub = Stub::start().await;
    for asked in calls(&stub, settings(&stub.url())).await {
        for header in [METHOD, KMS_KEY, CUSTOMER, CUSTOMER_KEY, CUSTOMER_MD5] {
            assert_eq!(asked.header(header), None, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn method_is_said_by_calls_that_make_objects() {
    for (encryption, kms_key_id, method) in [
        (Encryption::Aes256, None, "AES256"),
        (Encryption::Kms, None, "aws:kms"),
        (Encryption::Kms, Some("key-1"), "aws:kms"),
    ] {
        let stub = Stub::start().await;
        let settings = S3Settings {
            encryption,
            kms_key_id: kms_key_id.map(str::to_owned),
            ..settings(&stub.url())
        };
        let [object, multipart, part, read] = calls(&stub, settings).await;
        for asked in [object, multipart] {
            assert_eq!(asked.header(METHOD), Some(method), "{asked:?}");
            assert_eq!(asked.header(KMS_KEY), kms_key_id, "{asked:?}");
        }
        // Services refuse the header where it means nothing.
        for asked in [part, read] {
            assert_eq!(asked.header(METHOD), None, "{asked:?}");
            assert_eq!(asked.header(KMS_KEY), None, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn key_of_the_customer_goes_with_every_call_that_touches_bytes() {
    let stub = Stub::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, KEY).unwrap();
    let settings = S3Settings {
        encryption: Encryption::Customer,
        customer_key_file: Some(file),
        ..settings(&stub.url())
    };
    for asked in calls(&stub, settings).await {
        assert_eq!(asked.header(CUSTOMER), Some("AES256"), "{asked:?}");
        assert_eq!(asked.header(CUSTOMER_KEY), Some(KEY));
        assert_eq!(asked.header(CUSTOMER_MD5), Some(KEY_MD5));
        assert_eq!(asked.header(METHOD), None);
    }
}
