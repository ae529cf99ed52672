//! Where requests go: the bucket in path or host, the prefix, the region, and an authority of one's own for all calls.

use std::fs;

use blobs::S3Settings;
use blobs::settings::CredentialsFrom;

use crate::stub::Stub;
use crate::{child, key, put, settings};

#[tokio::test]
async fn bucket_is_in_the_path_when_there_is_an_endpoint() {
    for path_style in [None, Some(true)] {
        let stub = Stub::start().await;
        let settings = S3Settings {
            path_style,
            ..settings(&stub.url())
        };
        put(&settings).await.unwrap();
        let asked = stub.only();
        assert_eq!(asked.path(), format!("/blobs/{}", key()));
        let host = format!("127.0.0.1:{}", stub.port());
        assert_eq!(asked.header("host"), Some(&*host));
        assert_eq!(asked.credential()[2], "eu-test-1");
    }
}

#[tokio::test]
async fn bucket_is_in_the_host_when_it_is_wanted_there() {
    let stub = Stub::start().await;
    // The stub takes the place of a proxy: nobody could find the host.
    let settings = S3Settings {
        path_style: Some(false),
        proxy: Some(stub.url()),
        ..settings("http://s3.invalid:9000")
    };
    put(&settings).await.unwrap();
    let asked = stub.only();
    assert_eq!(asked.path(), format!("/{}", key()));
    assert_eq!(asked.header("host"), Some("blobs.s3.invalid:9000"));
}

#[tokio::test]
async fn every_key_is_below_the_prefix() {
    for (prefix, below) in [
        ("", ""),
        ("registry", "registry/"),
        ("registry/", "registry/"),
        ("some/where else", "some/where%20else/"),
    ] {
        let stub = Stub::start().await;
        let settings = S3Settings {
            prefix: prefix.to_owned(),
            ..settings(&stub.url())
        };
        put(&settings).await.unwrap();
        assert_eq!(stub.only().path(), format!("/blobs/{below}{}", key()));
    }
}

#[tokio::test]
async fn own_authority_is_trusted_for_tokens_too() {
    if let Some(of_child) = child::settings() {
        let home = std::env::var("HOME").unwrap();
        let settings = S3Settings {
            endpoint: std::env::var("AWS_ENDPOINT_URL_STS").ok(),
            ca_file: Some(format!("{home}/ca.pem").into()),
            web_identity_token_file: Some(format!("{home}/token").into()),
            role_arn: Some("arn:aws:iam::123456789012:role/registry".to_owned()),
            credentials: CredentialsFrom::WebIdentity,
            ..of_child
        };
        return child::put(settings).await;
    }
    let (stub, certificate) = Stub::start_with_tls().await;
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("ca.pem"), certificate).unwrap();
    fs::write(home.path().join("token"), "token-of-the-pod").unwrap();
    let service = format!("https://localhost:{}", stub.port());
    let test = "addresses::own_authority_is_trusted_for_tokens_too";
    let environment = [("AWS_ENDPOINT_URL_STS", &*service)];
    child::run(test, &stub, home.path(), &environment).await;
    assert_eq!(stub.asked().len(), 2);
    assert_eq!(stub.only().credential()[0], "WEBIDENTITYKEY");
}
