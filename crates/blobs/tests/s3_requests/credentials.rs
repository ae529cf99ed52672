//! Where credentials come from: each source alone, and which goes first.

use std::fs;
use std::path::Path;

use blobs::S3Settings;
use blobs::Secret;
use blobs::settings::CredentialsFrom;
use hyper::Method;
use tempfile::TempDir;

use crate::stub::{Asked, INSTANCE_TOKEN, Stub};
use crate::{child, put, settings};

/// A file as `~/.aws/credentials` is.
const FILE: &str = "\
[default]
aws_access_key_id = DEFAULTKEY
aws_secret_access_key = secret
[work]
aws_access_key_id = WORKKEY
aws_secret_access_key = secret
aws_session_token = work-token
";

const ENVIRONMENT: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "ENVIRONMENTKEY"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_SESSION_TOKEN", "environment-token"),
];

/// A home without anything.
fn empty_home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A home with `~/.aws/credentials`.
fn home() -> TempDir {
    let home = empty_home();
    fs::create_dir(home.path().join(".aws")).unwrap();
    fs::write(home.path().join(".aws/credentials"), FILE).unwrap();
    home
}

/// Signed by this key, with this session token, for the region of the settings.
#[track_caller]
fn signed_by(asked: &Asked, key: &str, token: Option<&str>) {
    let credential = asked.credential();
    assert_eq!(credential[0], key, "{asked:?}");
    assert_eq!(credential[2..], ["eu-test-1", "s3", "aws4_request"]);
    assert_eq!(asked.header("x-amz-security-token"), token);
    let secret = asked.headers.values().any(|value| value == "secret");
    assert!(!secret, "a secret is never sent");
}

fn from(credentials: CredentialsFrom, settings: S3Settings) -> S3Settings {
    S3Settings {
        credentials,
        ..settings
    }
}

#[tokio::test]
async fn keys_of_the_settings_sign_with_their_session_token() {
    let stub = Stub::start().await;
    let settings = S3Settings {
        session_token: Some(Secret::new("settings-token")),
        ..from(CredentialsFrom::Keys, settings(&stub.url()))
    };
    put(&settings).await.unwrap();
    signed_by(&stub.only(), "KEYOFSETTINGS", Some("settings-token"));
}

#[tokio::test]
async fn environment_is_one_source() {
    if let Some(settings) = child::settings() {
        return child::put(from(CredentialsFrom::Environment, settings)).await;
    }
    let stub = Stub::start().await;
    let test = "credentials::environment_is_one_source";
    child::run(test, &stub, home().path(), &ENVIRONMENT).await;
    signed_by(&stub.only(), "ENVIRONMENTKEY", Some("environment-token"));
}

#[tokio::test]
async fn environment_alone_looks_nowhere_else() {
    if let Some(settings) = child::settings() {
        return child::put_in_vain(from(CredentialsFrom::Environment, settings)).await;
    }
    let stub = Stub::start().await;
    let test = "credentials::environment_alone_looks_nowhere_else";
    let instance = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*stub.url())];
    child::run(test, &stub, home().path(), &instance).await;
    assert!(stub.asked().is_empty(), "{:?}", stub.asked());
}

#[tokio::test]
async fn profile_is_named_by_the_settings() {
    if let Some(settings) = child::settings() {
        let profile = Some("work".to_owned());
        let settings = S3Settings {
            profile,
            ..settings
        };
        return child::put(from(CredentialsFrom::Profile, settings)).await;
    }
    let stub = Stub::start().await;
    let test = "credentials::profile_is_named_by_the_settings";
    child::run(test, &stub, home().path(), &ENVIRONMENT).await;
    signed_by(&stub.only(), "WORKKEY", Some("work-token"));
}

#[tokio::test]
async fn profile_is_named_by_the_environment() {
    if let Some(settings) = child::settings() {
        return child::put(from(CredentialsFrom::Profile, settings)).await;
    }
    let test = "credentials::profile_is_named_by_the_environment";
    for (environment, key, token) in [
        (
            &[("AWS_PROFILE", "work")][..],
            "WORKKEY",
            Some("work-token"),
        ),
        (&[], "DEFAULTKEY", None),
    ] {
        let stub = Stub::start().await;
        child::run(test, &stub, home().path(), environment).await;
        signed_by(&stub.only(), key, token);
    }
}

#[tokio::test]
async fn profile_that_is_not_there_is_refused() {
    if let Some(settings) = child::settings() {
        let profile = Some("no-such".to_owned());
        let settings = S3Settings {
            profile,
            ..settings
        };
        return child::put_in_vain(from(CredentialsFrom::Profile, settings)).await;
    }
    let stub = Stub::start().await;
    let test = "credentials::profile_that_is_not_there_is_refused";
    child::run(test, &stub, home().path(), &ENVIRONMENT).await;
    assert!(stub.asked().is_empty(), "{:?}", stub.asked());
}

#[tokio::test]
async fn file_is_any_that_is_named() {
    const NAMED: &str = "named-credentials";
    if let Some(settings) = child::settings() {
        let home = std::env::var_os("HOME").unwrap();
        let settings = S3Settings {
            credentials_file: Some(Path::new(&home).join(NAMED)),
            profile: Some("work".to_owned()),
            ..settings
        };
        return child::put(from(CredentialsFrom::File, settings)).await;
    }
    let stub = Stub::start().await;
    let home = home();
    let other = FILE.replace("WORKKEY", "NAMEDKEY");
    fs::write(home.path().join(NAMED), other).unwrap();
    let test = "credentials::file_is_any_that_is_named";
    child::run(test, &stub, home.path(), &ENVIRONMENT).await;
    signed_by(&stub.only(), "NAMEDKEY", Some("work-token"));
}

/// The token service was shown the token and asked for the role, without a signature.
#[track_caller]
fn exchanged(stub: &Stub, role: &str, token: &str) {
    let all = stub.asked();
    let asked = &all[0];
    for part in [
        "Action=AssumeRoleWithWebIdentity",
        &format!("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2F{role}"),
        &format!("WebIdentityToken={token}"),
    ] {
        assert!(asked.body.contains(part), "no {part} in {}", asked.body);
    }
    assert_eq!(asked.header("authorization"), None);
    signed_by(&stub.only(), "WEBIDENTITYKEY", Some("web-identity-token"));
}

#[tokio::test]
async fn web_identity_is_exchanged_as_the_environment_says() {
    if let Some(settings) = child::settings() {
        return child::put(from(CredentialsFrom::WebIdentity, settings)).await;
    }
    let stub = Stub::start().await;
    let home = home();
    let file = home.path().join("token");
    fs::write(&file, "token-of-the-pod").unwrap();
    let environment = [
        ("AWS_ENDPOINT_URL_STS", &*stub.url()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/registry"),
        ("AWS_ROLE_SESSION_NAME", "of-the-environment"),
    ];
    let test = "credentials::web_identity_is_exchanged_as_the_environment_says";
    child::run(test, &stub, home.path(), &environment).await;
    exchanged(&stub, "registry", "token-of-the-pod");
    let session = "RoleSessionName=of-the-environment";
    assert!(stub.asked()[0].body.contains(session));
}

#[tokio::test]
async fn web_identity_is_exchanged_as_the_settings_say() {
    if let Some(settings) = child::settings() {
        let home = std::env::var_os("HOME").unwrap();
        let settings = S3Settings {
            web_identity_token_file: Some(Path::new(&home).join("own-token")),
            role_arn: Some("arn:aws:iam::123456789012:role/own".to_owned()),
            ..settings
        };
        return child::put(from(CredentialsFrom::WebIdentity, settings)).await;
    }
    let stub = Stub::start().await;
    let home = home();
    fs::write(home.path().join("own-token"), "own-token-of-the-pod").unwrap();
    let environment = [
        ("AWS_ENDPOINT_URL_STS", &*stub.url()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/other"),
    ];
    let test = "credentials::web_identity_is_exchanged_as_the_settings_say";
    child::run(test, &stub, home.path(), &environment).await;
    exchanged(&stub, "own", "own-token-of-the-pod");
    assert!(stub.asked()[0].body.contains("RoleSessionName=holdfast"));
}

#[tokio::test]
async fn instance_is_asked_with_a_token() {
    if let Some(settings) = child::settings() {
        return child::put(from(CredentialsFrom::Instance, settings)).await;
    }
    let stub = Stub::start().await;
    let environment = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*stub.url()),
        ENVIRONMENT[0],
        ENVIRONMENT[1],
    ];
    let test = "credentials::instance_is_asked_with_a_token";
    child::run(test, &stub, home().path(), &environment).await;
    signed_by(&stub.only(), "INSTANCEKEY", Some("instance-token"));
    let all = stub.asked();
    let first = (&all[0].method, all[0].path());
    assert_eq!(first, (&Method::PUT, "/latest/api/token"));
    let ttl = all[0].header("x-aws-ec2-metadata-token-ttl-seconds");
    assert!(ttl.is_some(), "{all:?}");
    let metadata = all[1..]
        .iter()
        .filter(|asked| asked.path().starts_with("/latest/"));
    for asked in metadata {
        let shown = asked.header("x-aws-ec2-metadata-token");
        assert_eq!(shown, Some(INSTANCE_TOKEN), "{asked:?}");
    }
}

#[tokio::test]
async fn container_goes_before_its_instance() {
    if let Some(settings) = child::settings() {
        return child::put(from(CredentialsFrom::Instance, settings)).await;
    }
    let stub = Stub::start().await;
    let address = format!("{}/container", stub.url());
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*address),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-container"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*stub.url()),
    ];
    let test = "credentials::container_goes_before_its_instance";
    child::run(test, &stub, home().path(), &environment).await;
    signed_by(&stub.only(), "CONTAINERKEY", Some("container-token"));
    let all = stub.asked();
    assert_eq!(all[0].path(), "/container");
    assert_eq!(all[0].header("authorization"), Some("of-the-container"));
}

#[tokio::test]
async fn auto_takes_the_first_that_is_there() {
    if let Some(settings) = child::settings() {
        return child::put(from(CredentialsFrom::Auto, settings)).await;
    }
    let test = "credentials::auto_takes_the_first_that_is_there";
    for (home, has_keys, key, token) in [
        (home(), true, "ENVIRONMENTKEY", Some("environment-token")),
        (home(), false, "DEFAULTKEY", None),
        (empty_home(), false, "INSTANCEKEY", Some("instance-token")),
    ] {
        let stub = Stub::start().await;
        let url = stub.url();
        let mut environment = vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url)];
        if has_keys {
            environment.extend(ENVIRONMENT);
        }
        child::run(test, &stub, home.path(), &environment).await;
        signed_by(&stub.only(), key, token);
    }
}

#[tokio::test]
async fn auto_prefers_the_keys_of_the_settings() {
    if let Some(without_keys) = child::settings() {
        let endpoint = without_keys.endpoint.unwrap();
        return child::put(from(CredentialsFrom::Auto, settings(&endpoint))).await;
    }
    let stub = Stub::start().await;
    let test = "credentials::auto_prefers_the_keys_of_the_settings";
    child::run(test, &stub, home().path(), &ENVIRONMENT).await;
    signed_by(&stub.only(), "KEYOFSETTINGS", None);
}

#[tokio::test]
async fn anonymous_requests_are_not_signed() {
    if let Some(settings) = child::settings() {
        return child::put(from(CredentialsFrom::Anonymous, settings)).await;
    }
    let stub = Stub::start().await;
    let test = "credentials::anonymous_requests_are_not_signed";
    child::run(test, &stub, home().path(), &ENVIRONMENT).await;
    let asked = stub.only();
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(asked.header("x-amz-security-token"), None);
}
