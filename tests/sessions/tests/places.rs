//! Every promise of the ports in every place: one server with a password, one with a user and TLS, a master that sentinels
//! know, and a cluster of three masters.
#![expect(
    clippy::unwrap_used,
    reason = "clippy sees tests only in functions with an attribute"
)]

use std::path::Path;

use harness::RedisServer;
use harness::redis::{MASTER, Tls};
use sessions::{Password, RedisLogin, RedisPlace, RedisSettings, RedisStore, Status};
use sessions_suite::{SOON, connected, goes_away, keeps_every_promise, patient};

fn login(user: Option<&str>, password: &str) -> RedisLogin {
    RedisLogin {
        user: user.map(str::to_owned),
        password: Some(Password::new(password)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_with_a_password() {
    let server = RedisServer::start(&["--requirepass", "the-password"]).unwrap();
    let mut settings = patient(RedisPlace::Alone(server.url()));
    settings.login = login(None, "the-password");
    keeps_every_promise(connected(&settings).await).await;
}

/// An authority of our own, and a server's certificate of it.
fn certificates(folder: &Path, host: &str) -> Tls {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    let server = server.signed_by(&server_key, &issuer).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Tls {
        authority: write("authority.pem", certificate.pem()),
        certificate: write("server.pem", server.pem()),
        key: write("server.key", server_key.serialize_pem()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_with_a_user_and_tls() {
    let folder = tempfile::tempdir().unwrap();
    let users = "--user default off --user holdfast on >the-password ~holdfast:* +@all -@dangerous";
    let users: Vec<&str> = users.split(' ').collect();
    let files = |host: &str| certificates(folder.path(), host);
    let server = RedisServer::start_with_tls(&users, files).unwrap();
    let mut settings = patient(RedisPlace::Alone(server.url()));
    settings.login = login(Some("holdfast"), "the-password");
    settings.authorities = Some(std::fs::read(folder.path().join("authority.pem")).unwrap());
    keeps_every_promise(connected(&settings).await).await;

    // Whoever does not trust the authority does not talk to it.
    settings.authorities = None;
    let stranger = RedisStore::start(&settings).unwrap();
    goes_away(&stranger).await;
    assert!(!stranger.wait(std::time::Duration::from_millis(500)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_sentinels_know() {
    let master = RedisServer::start(&[]).unwrap();
    let sentinel = master.sentinel(1).unwrap();
    let settings = patient(RedisPlace::Sentinel {
        sentinels: vec![sentinel.url()],
        master: MASTER.to_owned(),
    });
    keeps_every_promise(connected(&settings).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_masters() {
    let nodes = RedisServer::cluster(3).unwrap();
    let settings = patient(RedisPlace::Cluster(vec![nodes[0].url()]));
    keeps_every_promise(connected(&settings).await).await;
    for node in &nodes {
        let keys = node.say(&["--scan", "--pattern", "holdfast:s:*"]).unwrap();
        assert!(keys.lines().count() > 10, "each master has its share");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_does_not_show() {
    let server = RedisServer::start(&["--requirepass", "right"]).unwrap();
    let mut settings: RedisSettings = patient(RedisPlace::Alone(server.url()));
    settings.login = login(None, "planted-secret");
    let store = RedisStore::start(&settings).unwrap();
    let deadline = std::time::Instant::now() + SOON;
    let why = loop {
        let why = goes_away(&store).await;
        if !why.contains("not connected yet") {
            break why;
        }
        assert!(std::time::Instant::now() < deadline);
    };
    assert!(!why.contains("planted"), "{why}");
    assert!(!matches!(store.status(), Status::Shared));
}
