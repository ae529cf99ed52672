//! Rights on a cluster of members and a gateway: what is taken away is refused on every node with the next request, whatever proof
//! there is; and what must stay with members never comes to a gateway.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::cluster::{Builder, Role};
use harness::{Client, Cluster};
use serde_json::{Value, json};

const ADMIN: &str = "planted password of the administrator";
const ANNA: &str = "planted password of anna";

/// Where anybody's uploads of the project begin.
const UPLOADS: &str = "/v2/team/app/blobs/uploads/";

/// Between a private key and its public half in a PKCS #8 file (RFC 5208, RFC 5915).
const BEFORE_PUBLIC_HALF: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00, 0x04];

/// The administrator's password is in a file that only its owner reads.
fn closed(folder: &Path, members: usize) -> anyhow::Result<Cluster> {
    builder(folder, members)?.start()
}

fn builder(folder: &Path, members: usize) -> anyhow::Result<Builder> {
    let file = folder.join("admin-password");
    let mut options = File::options();
    let mut written = options.write(true).create(true).mode(0o600).open(&file)?;
    std::io::Write::write_all(&mut written, ADMIN.as_bytes())?;
    Ok(Cluster::with()
        .members(members)
        .gateways(1)
        .env("HOLDFAST_ACCESS_MODE", "on")
        .env("HOLDFAST_ADMIN_PASSWORD_FILE", &file.to_string_lossy()))
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// What an administrator asks of the management API, and has to get.
async fn rule(client: &Client, method: &str, path: &str, body: Value) -> anyhow::Result<()> {
    let path = format!("/api/v1{path}");
    let ask = match method {
        "POST" => client.post(&path),
        "PUT" => client.put(&path),
        "PATCH" => client.patch(&path),
        _ => client.delete(&path),
    };
    let ask = ask
        .header("Authorization", &basic("admin", ADMIN))
        .header("Content-Type", "application/json");
    let ask = match body {
        Value::Null => ask,
        body => ask.body(body.to_string()),
    };
    let reply = ask.send().await?;
    let text = String::from_utf8_lossy(&reply.body);
    anyhow::ensure!(reply.status.is_success(), "{path}: {} {text}", reply.status);
    Ok(())
}

/// Anna, who develops in the project `team`.
async fn people(client: &Client) -> anyhow::Result<()> {
    rule(
        client,
        "POST",
        "/users",
        json!({"name": "anna", "password": ANNA}),
    )
    .await?;
    rule(client, "POST", "/projects", json!({"name": "team"})).await?;
    is_developer(client).await
}

async fn is_developer(client: &Client) -> anyhow::Result<()> {
    let path = "/projects/team/members/user/anna";
    rule(client, "PUT", path, json!({"role": "developer"})).await
}

/// A token with which anna may push.
async fn token(client: &Client) -> anyhow::Result<String> {
    let path = "/auth/token?service=holdfast&scope=repository:team/app:pull,push";
    let asked = client
        .get(path)
        .header("Authorization", &basic("anna", ANNA));
    let given = asked.send().await?.expect(200)?.json()?;
    let token = given["token"].as_str().unwrap_or_default().to_owned();
    anyhow::ensure!(given["scope"] == "repository:team/app:pull,push", "{given}");
    Ok(token)
}

/// What becomes of a push with this token on each node.
async fn pushes(cluster: &Cluster, places: &[usize], token: &str) -> anyhow::Result<Vec<u16>> {
    let mut statuses = Vec::new();
    for place in places {
        let client = cluster.client_of(*place);
        let begun = client.post(UPLOADS);
        let begun = begun.header("Authorization", &format!("Bearer {token}"));
        statuses.push(begun.send().await?.status.as_u16());
    }
    Ok(statuses)
}

#[tokio::test]
async fn what_is_taken_away_is_refused_on_every_node_for_proofs_given_before() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = closed(folder.path(), 3).unwrap();
    let gateway = cluster.running(Role::Gateway)[0];
    let places = [cluster.running(Role::Member), vec![gateway]].concat();
    let each = |status: u16| vec![status; places.len()];
    let client = cluster.client_of(gateway);
    people(&client).await.unwrap();

    let token = token(&client).await.unwrap();
    assert_eq!(pushes(&cluster, &places, &token).await.unwrap(), each(202));
    let member = "/projects/team/members/user/anna";
    for place in &places {
        let ruled = cluster.client_of(*place);
        rule(&ruled, "DELETE", member, Value::Null).await.unwrap();
        assert_eq!(pushes(&cluster, &places, &token).await.unwrap(), each(403));
        is_developer(&ruled).await.unwrap();
        assert_eq!(pushes(&cluster, &places, &token).await.unwrap(), each(202));
    }
    // Whoever is locked out is nobody, and stays so: the old proof does not come back with the right.
    let lock = |disabled: bool| json!({"is_disabled": disabled});
    rule(&client, "PATCH", "/users/anna", lock(true))
        .await
        .unwrap();
    assert_eq!(pushes(&cluster, &places, &token).await.unwrap(), each(401));
    rule(&client, "PATCH", "/users/anna", lock(false))
        .await
        .unwrap();
    assert_eq!(pushes(&cluster, &places, &token).await.unwrap(), each(401));
    cluster.passed();
}

/// The bytes that follow the private half of the key that signs, wherever the key is in memory.
async fn trace_of_the_private_key(client: &Client) -> anyhow::Result<Vec<u8>> {
    let set = client.get("/auth/keys").send().await?.expect(200)?.json()?;
    let mut trace = BEFORE_PUBLIC_HALF.to_vec();
    for coordinate in ["x", "y"] {
        let text = set["keys"][0][coordinate].as_str().unwrap_or_default();
        trace.extend(URL_SAFE_NO_PAD.decode(text)?);
    }
    anyhow::ensure!(trace.len() == BEFORE_PUBLIC_HALF.len() + 64, "{set}");
    Ok(trace)
}

/// Whether a process has these bytes in its memory (proc(5), `/proc/PID/mem`).
fn has_in_memory(process: u32, wanted: &[u8]) -> anyhow::Result<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = File::open(format!("/proc/{process}/mem"))?;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line
            .split_once(' ')
            .and_then(|(range, _)| range.split_once('-'))
            .unwrap_or_default();
        let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        let mut bytes = vec![0; usize::try_from(to - from)?];
        // Some ranges are the kernel's alone.
        let is_read = memory.read_exact_at(&mut bytes, from).is_ok();
        if is_read && bytes.windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn private_half_of_the_key_that_signs_never_comes_to_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = closed(folder.path(), 1).unwrap();
    let gateway = cluster.running(Role::Gateway)[0];
    let member = cluster.running(Role::Member)[0];
    let client = cluster.client_of(gateway);
    people(&client).await.unwrap();
    let token = token(&client).await.unwrap();
    assert_eq!(pushes(&cluster, &[gateway], &token).await.unwrap(), [202]);
    let trace = trace_of_the_private_key(&client).await.unwrap();
    let has = |cluster: &mut Cluster, place: usize| {
        let process = cluster.node(place).pid().expect("it runs");
        has_in_memory(process, &trace).expect("memory can be read")
    };
    assert!(has(&mut cluster, member), "the member has signed");
    assert!(!has(&mut cluster, gateway));
    cluster.passed();
}

/// A secret that was shown to somebody once, in the answer to what was asked of the management API.
async fn secret(client: &Client, path: &str, body: Value) -> anyhow::Result<String> {
    let path = format!("/api/v1{path}");
    let ask = client
        .post(&path)
        .header("Content-Type", "application/json");
    let ask = ask.header("Authorization", &basic("admin", ADMIN));
    let made = ask
        .body(body.to_string())
        .send()
        .await?
        .expect(201)?
        .json()?;
    let secret = made["secret"].as_str().unwrap_or_default().to_owned();
    anyhow::ensure!(!secret.is_empty(), "{path} shows no secret");
    Ok(secret)
}

/// All that clients were given, and something wrong that somebody typed.
async fn plant(client: &Client) -> anyhow::Result<Vec<String>> {
    people(client).await?;
    let grants = json!([{"repositories": "team/*", "rights": ["pull", "push"]}]);
    let robot = json!({"name": "ci", "project": "team", "grants": grants});
    let robot = secret(client, "/robots", robot).await?;
    let personal = secret(client, "/users/anna/tokens", json!({"label": "laptop"})).await?;
    let path = "/auth/token?service=holdfast&scope=repository:team/app:push&offline_token=true";
    let asked = client
        .get(path)
        .header("Authorization", &basic("anna", ANNA));
    let given = asked.send().await?.expect(200)?.json()?;
    let field = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
    let typed = "planted password that is wrong";
    let mut planted = vec![ADMIN.to_owned(), ANNA.to_owned(), typed.to_owned()];
    planted.extend([robot, personal, field("token"), field("refresh_token")]);
    // Each is shown as it should be, in places where it should not, and wrongly.
    for secret in planted.clone() {
        for header in [
            basic("anna", &secret),
            format!("Bearer {secret}"),
            secret.clone(),
        ] {
            for path in [
                "/v2/",
                UPLOADS,
                "/auth/token",
                "/api/v1/me",
                "/auth/openid/token",
            ] {
                let ask = client.post(path).header("Authorization", &header);
                let reply = ask.body(secret.clone()).send().await?;
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                anyhow::ensure!(!text.contains(&secret), "{path} shows a secret: {text}");
            }
        }
        planted.push(STANDARD.encode(format!("anna:{secret}")));
    }
    Ok(planted)
}

/// Every file below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => found.extend(files(&entry.path())?),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(found)
}

#[tokio::test]
async fn secret_shows_in_no_log_no_answer_no_file_and_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let builder = builder(folder.path(), 1).unwrap().in_folder();
    let mut cluster = builder.env("HOLDFAST_LOG_LEVEL", "trace").start().unwrap();
    let places = [
        cluster.running(Role::Member)[0],
        cluster.running(Role::Gateway)[0],
    ];
    let client = cluster.client_of(places[1]);
    let planted = plant(&client).await.unwrap();

    let mut settings = Command::new(harness::holdfast::program().unwrap());
    settings
        .args(["config", "show"])
        .envs(cluster.environment().iter().cloned());
    let mut told = vec![("its settings", harness::tools::run(&mut settings).unwrap())];
    for place in places {
        let metrics = cluster
            .client_of(place)
            .get("/metrics")
            .send()
            .await
            .unwrap();
        told.push((
            "its metrics",
            String::from_utf8_lossy(&metrics.body).into_owned(),
        ));
    }
    let audit = client.get("/api/v1/audit?n=1000");
    let audit = audit
        .header("Authorization", &basic("admin", ADMIN))
        .send()
        .await
        .unwrap();
    let audit = audit.expect(200).unwrap();
    told.push((
        "the audit",
        String::from_utf8_lossy(&audit.body).into_owned(),
    ));
    assert!(
        told.iter().all(|(_, text)| !text.is_empty()),
        "something tells nothing"
    );
    // What is in the buffers of the log and the tables is written.
    for place in places {
        cluster.stop(place).unwrap();
        let log = cluster.said(place);
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "{log}");
        told.push(("its log", log));
    }
    for (what, text) in &told {
        for secret in &planted {
            assert!(!text.contains(secret.as_str()), "{what} has {secret}");
        }
    }
    let files = files(&cluster.path("")).unwrap();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in &planted {
            assert!(
                !text.contains(secret.as_str()),
                "{} has {secret}",
                file.display()
            );
        }
    }
    cluster.passed();
}
