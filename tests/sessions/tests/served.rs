//! A node that asks for rights, and counts in a real Redis, while that is killed or hangs: who is logged in pushes and pulls as before,
//! in the same time, and what is taken away is gone at once.
#![expect(
    clippy::unwrap_used,
    reason = "clippy sees tests only in functions with an attribute"
)]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Client, HoldfastServer, RedisServer, Reply};
use serde_json::{Value, json};

const ADMIN: &str = "a password of the administrator";
const ANNA: &str = "a password of anna";

/// What is done without a wait takes a few milliseconds. A busy machine may take longer, but no call waits for Redis so long.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Pushes and pulls while Redis is away.
const ROUNDS: u32 = 20;

fn served(folder: &Path, redis: &RedisServer) -> anyhow::Result<HoldfastServer> {
    let password = folder.join("admin-password");
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        .mode(0o600)
        .open(&password)?;
    file.write_all(ADMIN.as_bytes())?;
    HoldfastServer::with()
        .env("HOLDFAST_ACCESS_MODE", "on")
        .env("HOLDFAST_ADMIN_PASSWORD_FILE", password)
        .env("HOLDFAST_SESSIONS_REDIS", redis.url())
        .env("HOLDFAST_LIMITS_PULLS_ACCOUNT", "100000")
        .start()
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

async fn rule(client: &Client, method: &str, path: &str, body: Value) -> anyhow::Result<Reply> {
    let path = format!("/api/v1{path}");
    let ask = match method {
        "POST" => client.post(&path),
        "PUT" => client.put(&path),
        _ => client.delete(&path),
    };
    let ask = ask.header("Authorization", &basic("admin", ADMIN));
    let ask = match body {
        Value::Null => ask,
        body => ask
            .header("Content-Type", "application/json")
            .body(body.to_string()),
    };
    let reply = ask.send().await?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    anyhow::ensure!(reply.status.is_success(), "{path}: {} {text}", reply.status);
    Ok(reply)
}

/// What anna has: docker's identity token, and a personal access token with its id.
struct Anna {
    refresh: String,
    personal: (String, String),
}

async fn anna(client: &Client) -> anyhow::Result<Anna> {
    rule(
        client,
        "POST",
        "/users",
        json!({"name": "anna", "password": ANNA}),
    )
    .await?;
    rule(client, "POST", "/projects", json!({"name": "team"})).await?;
    let member = "/projects/team/members/user/anna";
    rule(client, "PUT", member, json!({"role": "developer"})).await?;
    let made = rule(client, "POST", "/users/anna/tokens", json!({"label": "ci"})).await?;
    let made = made.json()?;
    let path = "/auth/token?service=holdfast&offline_token=true";
    let asked = client
        .get(path)
        .header("Authorization", &basic("anna", ANNA));
    let given = asked.send().await?.expect(200)?.json()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Anna {
        refresh: text(&given["refresh_token"]),
        personal: (text(&made["id"]), text(&made["secret"])),
    })
}

/// A push and a pull as docker does them with what it keeps of a login.
async fn push_and_pull(client: &Client, refresh: &str, number: u32) -> anyhow::Result<()> {
    let scope = "repository:team/app:pull,push";
    let form = format!(
        "grant_type=refresh_token&service=holdfast&client_id=docker&refresh_token={refresh}&scope={scope}"
    );
    let asked = client.post("/auth/token");
    let asked = asked.header("Content-Type", "application/x-www-form-urlencoded");
    let given = asked.body(form).send().await?.expect(200)?.json()?;
    let bearer = format!(
        "Bearer {}",
        given["access_token"].as_str().unwrap_or_default()
    );
    let content = format!("blob {number}");
    let digest = harness::client::sha256(content.as_bytes());
    let path = format!("/v2/team/app/blobs/uploads/?digest={digest}");
    let pushed = client.post(&path).header("Authorization", &bearer);
    pushed.body(content.clone()).send().await?.expect(201)?;
    let path = format!("/v2/team/app/blobs/{digest}");
    let pulled = client.get(&path).header("Authorization", &bearer);
    let pulled = pulled.send().await?.expect(200)?;
    anyhow::ensure!(pulled.body == content, "other bytes");
    Ok(())
}

async fn nothing_is_missed_without(hangs: bool) {
    let mut redis = RedisServer::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = served(folder.path(), &redis).unwrap();
    let client = server.client();
    let anna = anna(&client).await.unwrap();
    push_and_pull(&client, &anna.refresh, 0).await.unwrap();
    let (id, personal) = &anna.personal;
    let knock = async || {
        let asked = client
            .get("/v2/")
            .header("Authorization", &basic("anna", personal));
        asked.send().await.unwrap().status.as_u16()
    };
    assert_eq!(knock().await, 200);

    match hangs {
        true => redis.process().pause().unwrap(),
        false => redis.kill(),
    }
    let mut longest = Duration::ZERO;
    for number in 1..=ROUNDS {
        let begun = Instant::now();
        push_and_pull(&client, &anna.refresh, number).await.unwrap();
        longest = longest.max(begun.elapsed());
    }
    assert!(longest < AT_ONCE, "{longest:?}");
    let begun = Instant::now();
    let path = format!("/users/anna/tokens/{id}");
    rule(&client, "DELETE", &path, Value::Null).await.unwrap();
    assert_eq!(knock().await, 401);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());

    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let ready = client
            .get("/readyz?verbose")
            .send()
            .await
            .unwrap()
            .expect(200)
            .unwrap();
        let told = String::from_utf8_lossy(&ready.body).into_owned();
        if told.contains("sessions: Redis is away") {
            break;
        }
        assert!(Instant::now() < deadline, "{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn who_is_logged_in_pushes_and_pulls_while_redis_is_dead() {
    nothing_is_missed_without(false).await;
}

#[tokio::test]
async fn who_is_logged_in_pushes_and_pulls_while_redis_hangs() {
    nothing_is_missed_without(true).await;
}
