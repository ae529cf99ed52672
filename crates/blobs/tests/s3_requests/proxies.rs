//! Proxies: named by the settings or the environment, and left out for hosts that are near.

use blobs::S3Settings;
use blobs::settings::CredentialsFrom;
use hyper::Method;

use crate::stub::Stub;
use crate::{child, key, put, settings};

#[tokio::test]
async fn proxy_of_the_settings_is_told_the_whole_address() {
    let stub = Stub::start().await;
    let settings = S3Settings {
        proxy: Some(stub.url()),
        ..settings("http://s3.invalid:9000")
    };
    put(&settings).await.unwrap();
    let asked = stub.only();
    let wanted = format!("http://s3.invalid:9000/blobs/{}", key());
    assert!(asked.target.starts_with(&wanted), "{}", asked.target);
    assert_eq!(asked.header("host"), Some("s3.invalid:9000"));
}

#[tokio::test]
async fn proxy_is_asked_for_a_tunnel_to_what_has_tls() {
    let stub = Stub::start().await;
    let settings = S3Settings {
        proxy: Some(stub.url()),
        deadline_ms: 1_000,
        ..settings("https://s3.invalid")
    };
    // The stub opens no tunnel.
    put(&settings).await.unwrap_err();
    let all = stub.asked();
    assert!(!all.is_empty());
    for asked in all {
        let got = (asked.method, &*asked.target);
        assert_eq!(got, (Method::CONNECT, "s3.invalid:443"));
        assert!(asked.headers.get("authorization").is_none());
    }
}

#[tokio::test]
async fn near_hosts_and_listed_ones_are_reached_without_it() {
    let (near, proxy) = (Stub::start().await, Stub::start().await);
    let settings = S3Settings {
        proxy: Some(proxy.url()),
        ..settings(&near.url())
    };
    put(&settings).await.unwrap();
    let listed = S3Settings {
        endpoint: Some("http://s3.invalid:9000".to_owned()),
        no_proxy: Some("other.invalid,s3.invalid".to_owned()),
        deadline_ms: 1_000,
        ..settings
    };
    put(&listed).await.unwrap_err();
    assert_eq!(near.asked().len(), 1);
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
}

/// Whose host only a proxy knows.
fn far(of_child: S3Settings, proxy: Option<&str>) -> S3Settings {
    S3Settings {
        endpoint: Some("http://s3.invalid:9000".to_owned()),
        proxy: proxy.map(str::to_owned),
        credentials: CredentialsFrom::Anonymous,
        deadline_ms: 1_000,
        ..of_child
    }
}

#[tokio::test]
async fn proxy_of_the_environment_is_used_when_none_is_set() {
    if let Some(of_child) = child::settings() {
        return child::put(far(of_child, None)).await;
    }
    let stub = Stub::start().await;
    let home = tempfile::tempdir().unwrap();
    let test = "proxies::proxy_of_the_environment_is_used_when_none_is_set";
    let environment = [("HTTP_PROXY", &*stub.url())];
    child::run(test, &stub, home.path(), &environment).await;
    assert_eq!(stub.only().header("host"), Some("s3.invalid:9000"));
}

#[tokio::test]
async fn proxy_of_the_environment_is_left_out_when_it_is_told_so() {
    if let Some(of_child) = child::settings() {
        crate::put(&far(of_child, Some("none"))).await.unwrap_err();
        return;
    }
    let stub = Stub::start().await;
    let home = tempfile::tempdir().unwrap();
    let test = "proxies::proxy_of_the_environment_is_left_out_when_it_is_told_so";
    let environment = [("HTTP_PROXY", &*stub.url())];
    child::run(test, &stub, home.path(), &environment).await;
    assert!(stub.asked().is_empty(), "{:?}", stub.asked());
}
