//! Rights on a cluster of members and a gateway: what is taken away is refused on every node with the next request, whatever proof
//! there is; and what must stay with members never comes to a gateway.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::cluster::Role;
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
    let file = folder.join("admin-password");
    let mut options = File::options();
    let mut written = options.write(true).create(true).mode(0o600).open(&file)?;
    std::io::Write::write_all(&mut written, ADMIN.as_bytes())?;
    Cluster::with()
        .members(members)
        .gateways(1)
        .env("HOLDFAST_ACCESS_MODE", "on")
        .env("HOLDFAST_ADMIN_PASSWORD_FILE", &file.to_string_lossy())
        .start()
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
