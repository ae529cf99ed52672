//! All members are lost: what was acknowledged before is pulled from a cluster that was restored from the bucket, and the old
//! one, started again, takes nothing more. What it borrowed moves to another store, and from there it is restored again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::{GarageServer, HoldfastServer, Images, holdfast, ports};
use serde_json::Value;

/// What was pushed is in the copy after so long, on a busy machine.
const COPIED_WITHIN: Duration = Duration::from_secs(30);

/// Variables that say where blobs are.
type Store = [(String, String)];

fn folder(path: &Path) -> Vec<(String, String)> {
    let path = path.display().to_string();
    vec![("HOLDFAST_STORAGE_FOLDER_PATH".to_owned(), path)]
}

/// A node whose blobs are in `store` and whose data is in `data`.
fn start(data: &Path, store: &Store) -> anyhow::Result<HoldfastServer> {
    let mut server = HoldfastServer::with().data(data);
    for (name, value) in store {
        server = server.env(name, value);
    }
    server.start()
}

/// `holdfast cluster …` beside it.
fn cluster(data: &Path, store: &Store, arguments: &[&str]) -> anyhow::Result<(bool, String)> {
    holdfast(data, store, "cluster", arguments)
}

fn holdfast(
    data: &Path,
    store: &Store,
    noun: &str,
    arguments: &[&str],
) -> anyhow::Result<(bool, String)> {
    let mut command = Command::new(holdfast::program()?);
    command.arg(noun).args(arguments).arg("--json");
    command.arg("--data").arg(data);
    let output = command.envs(store.iter().cloned()).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(said)?))
}

fn asked(data: &Path, store: &Store, arguments: &[&str]) -> anyhow::Result<Value> {
    let (is_done, said) = cluster(data, store, arguments)?;
    ensure!(is_done, "{arguments:?}: {said}");
    serde_json::from_str(&said).with_context(|| said.clone())
}

fn init(data: &Path, store: &Store) -> anyhow::Result<Value> {
    let host = ports::own_address();
    let [port] = ports::free_at(host)?;
    let address = format!("{host}:{port}");
    asked(data, store, &["init", "--peer-address", &address])
}

/// Waits until the copy has every entry.
async fn copied(data: &Path, store: &Store) -> anyhow::Result<()> {
    let until = tokio::time::Instant::now() + COPIED_WITHIN;
    loop {
        let status = asked(data, store, &["status"])?;
        let copy = &status["log_copy"];
        if copy["lag_entries"] == 0 && copy["index"].as_u64() > Some(0) {
            return Ok(());
        }
        ensure!(tokio::time::Instant::now() < until, "not copied: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_cluster_is_restored_and_the_old_one_stops() {
    lost_and_restored().await.unwrap();
}

async fn lost_and_restored() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = self::folder(&folder.path().join("store"));
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let mut server = start(&old, &store)?;
    let client = server.client();
    let mut all = Images::new();
    all.push(&client, 4).await?;
    let founded = init(&old, &store)?;
    all.push(&client, 5).await?;
    copied(&old, &store).await?;
    all.push(&client, 5).await?;
    copied(&old, &store).await?;
    server.kill();

    let key_file = folder.path().join("recovery.key");
    let key = founded["recovery_key"]
        .as_str()
        .context("no recovery key")?;
    let from = founded["cluster"].as_str().context("no id")?;
    let key_path = key_file.to_str().context("a path")?;
    let restore = [
        "restore",
        "--from-cluster",
        from,
        "--recovery-key-file",
        key_path,
    ];
    std::fs::write(&key_file, "0".repeat(56))?;
    let (is_done, said) = cluster(&new, &store, &restore)?;
    ensure!(!is_done && said.lines().count() == 1, "{said}");
    std::fs::write(&key_file, key)?;
    let restored = asked(&new, &store, &restore)?;
    ensure!(
        restored["tags"] == 14 && restored["manifests"] == 14,
        "{restored}"
    );
    ensure!(
        restored["from"] == *from && restored["cluster"] != *from,
        "{restored}"
    );
    let (is_done, said) = cluster(&new, &store, &restore)?;
    ensure!(
        !is_done && said.contains("belongs to a node already"),
        "{said}"
    );

    let fresh = start(&new, &store)?;
    all.pull(&fresh.client(), false).await?;
    let founded_anew = init(&new, &store)?;
    ensure!(
        founded_anew["cluster"] == restored["cluster"],
        "{founded_anew}"
    );
    all.push(&fresh.client(), 1).await?;
    copied(&new, &store).await?;

    server.restart()?;
    let until = tokio::time::Instant::now() + COPIED_WITHIN;
    while !server
        .process()
        .said()
        .contains("was restored in the place of this one")
    {
        ensure!(
            tokio::time::Instant::now() < until,
            "{}",
            server.process().said()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let opened = server
        .client()
        .post("/v2/team/app0/blobs/uploads/")
        .send()
        .await?;
    ensure!(
        opened.status.as_u16() == 503,
        "the old cluster took an upload: {}",
        opened.status
    );
    all.pull_first(&server.client(), 5, true).await?;
    all.pull(&fresh.client(), false).await?;
    server.kill();
    adopted(&new, &store, from)?;
    all.pull(&fresh.client(), false).await
}

/// The blobs of cluster `from` become those of the restored one, once somebody says that it never runs again.
fn adopted(new: &Path, store: &Store, from: &str) -> anyhow::Result<()> {
    let borrowed = || anyhow::Ok(asked(new, store, &["status"])?["borrowed_from"].take());
    ensure!(borrowed()? == serde_json::json!([from]), "{}", borrowed()?);
    let (is_done, said) = cluster(new, store, &["adopt"])?;
    ensure!(
        !is_done && said.contains("must never run again") && said.contains(from),
        "{said}"
    );
    ensure!(borrowed()? == serde_json::json!([from]), "{}", borrowed()?);
    let adopted = asked(new, store, &["adopt", "--yes"])?;
    ensure!(
        adopted["clusters"] == serde_json::json!([from]),
        "{adopted}"
    );
    let again = asked(new, store, &["adopt"])?;
    ensure!(again["clusters"] == serde_json::json!([]), "{again}");
    ensure!(borrowed()? == serde_json::json!([]), "{}", borrowed()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_cluster_borrowed_moves_and_is_restored_from_there() {
    borrowed_and_moved().await.unwrap();
}

async fn borrowed_and_moved() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let garage = GarageServer::start()?;
    let path = folder.path().join("store");
    let mut store = self::folder(&path);
    // The keys of the store that is to come, and no other settings of it.
    let mut keys = garage.environment();
    keys.retain(|(name, _)| name.contains("KEY"));
    store.extend(keys);
    let data = |name: &str| folder.path().join(name);
    let mut server = start(&data("first"), &store)?;
    let mut all = Images::new();
    all.push(&server.client(), 4).await?;
    let founded = init(&data("first"), &store)?;
    copied(&data("first"), &store).await?;
    server.kill();
    restore(
        &founded,
        &folder.path().join("key"),
        &data("second"),
        &store,
    )?;

    let mut server = start(&data("second"), &store)?;
    all.push(&server.client(), 3).await?;
    let to = format!(
        "{}/{}?region={}",
        garage.endpoint, garage.bucket, garage.region
    );
    let (is_done, said) = holdfast(&data("second"), &store, "storage", &["move", "--to", &to])?;
    ensure!(is_done, "{said}");
    all.push(&server.client(), 1).await?;
    server.kill();
    std::fs::remove_dir_all(&path)?;
    let store = garage.environment();
    let mut server = start(&data("second"), &store)?;
    all.pull(&server.client(), false).await?;
    let founded = init(&data("second"), &store)?;
    all.push(&server.client(), 1).await?;
    copied(&data("second"), &store).await?;
    // A cluster now, and from one bucket to the next: the log's copy goes along, and goes on there.
    let to = format!(
        "{}/{}/next?region={}",
        garage.endpoint, garage.bucket, garage.region
    );
    let arguments = ["move", "--to", &to];
    let (is_done, said) = holdfast(&data("second"), &store, "storage", &arguments)?;
    ensure!(is_done, "{said}");
    all.push(&server.client(), 1).await?;
    copied(&data("second"), &store).await?;
    server.kill();
    let arguments = restoring(&founded, &folder.path().join("key"))?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (is_done, said) = cluster(&data("third"), &store, &arguments)?;
    ensure!(!is_done && said.contains("restore it from there"), "{said}");
    let prefix = ("HOLDFAST_STORAGE_S3_PREFIX".to_owned(), "next".to_owned());
    let store: Vec<(String, String)> = store.into_iter().chain([prefix]).collect();
    restore(&founded, &folder.path().join("key"), &data("third"), &store)?;
    all.pull(&start(&data("third"), &store)?.client(), false)
        .await
}

fn restore(founded: &Value, key_file: &Path, data: &Path, store: &Store) -> anyhow::Result<()> {
    let arguments = restoring(founded, key_file)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    asked(data, store, &arguments).map(drop)
}

/// What follows `holdfast cluster` to restore what `init` founded.
fn restoring(founded: &Value, key_file: &Path) -> anyhow::Result<Vec<String>> {
    let word = |name: &str| founded[name].as_str().context("`init` says too little");
    std::fs::write(key_file, word("recovery_key")?)?;
    let key_file = key_file.to_str().context("a path")?;
    let words = [
        "restore",
        "--from-cluster",
        word("cluster")?,
        "--recovery-key-file",
        key_file,
    ];
    Ok(words.map(str::to_owned).to_vec())
}
