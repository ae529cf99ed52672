//! A folder that is full or read-only while the registry runs: pulls go on, pushes are told, and work again afterwards.
//!
//! Permissions do not bind root, who mounts a file system of its own instead; anybody else meets the same answers by
//! permissions, or by a limit that is set.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use harness::client::{sha256, with_query};
use harness::{Client, HoldfastServer, Reply};
use replay::{image, media};
use tempfile::TempDir;

use crate::{refused, works};

/// A folder for blobs that can be made read-only.
struct Folder {
    folder: TempDir,
    is_mounted: bool,
}

impl Folder {
    /// Mounted with this size by root, else a plain folder.
    fn new(size: &str) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let is_mounted = rustix::process::geteuid().is_root();
        if is_mounted {
            let size = format!("size={size}");
            mount(
                &["mount", "-t", "tmpfs", "-o", &size, "tmpfs"],
                folder.path(),
            );
        }
        Folder { folder, is_mounted }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn set_read_only(&self, is_read_only: bool) {
        if self.is_mounted {
            let options = ["remount,rw", "remount,ro"][usize::from(is_read_only)];
            mount(&["mount", "-o", options], self.path());
            return;
        }
        let mode = if is_read_only { 0o555 } else { 0o755 };
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).unwrap();
            folders.extend(
                entries
                    .map(|entry| entry.unwrap().path())
                    .filter(|path| path.is_dir()),
            );
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_mounted {
            mount(&["umount", "--lazy"], self.path());
        } else {
            self.set_read_only(false);
        }
    }
}

fn mount(command: &[&str], path: &Path) {
    let run = Command::new(command[0])
        .args(&command[1..])
        .arg(path)
        .output();
    let run = run.unwrap();
    // Not an assertion in a drop: what is left mounted is seen when the folder is removed.
    if !run.status.success() && !std::thread::panicking() {
        panic!("{command:?}: {}", String::from_utf8_lossy(&run.stderr));
    }
}

/// Pushes a blob by `PATCH` and `PUT`, and gives the first answer that refuses.
async fn try_push(client: &Client, content: &[u8]) -> Result<(), Reply> {
    let opened = client.post("/v2/a/blobs/uploads/").send().await.unwrap();
    let location = match opened.status.as_u16() {
        202 => opened.location().unwrap().to_owned(),
        _ => return Err(opened),
    };
    let patched = client.patch(&location).body(content.to_vec()).send().await;
    let patched = patched.unwrap();
    let location = match patched.status.as_u16() {
        202 => patched.location().unwrap().to_owned(),
        _ => return Err(patched),
    };
    let target = with_query(&location, "digest", &sha256(content));
    let closed = client.put(&target).send().await.unwrap();
    match closed.status.as_u16() {
        201 => Ok(()),
        _ => Err(closed),
    }
}

/// Pushes what can be pulled by [`pulls`] while nothing can be pushed.
async fn push(client: &Client) {
    let manifest = image(client, "a", b"layer").await.unwrap().to_string();
    let pushed = client.push_manifest("a", "v1", media::MANIFEST, manifest);
    pushed.await.unwrap();
}

async fn pulls(client: &Client) {
    let manifest = client.get("/v2/a/manifests/v1").send().await.unwrap();
    manifest.expect(200).unwrap();
    let blob = client.get(&format!("/v2/a/blobs/{}", sha256(b"layer")));
    assert_eq!(blob.send().await.unwrap().body, &b"layer"[..]);
}

fn with_blobs_in(folder: &Path) -> HoldfastServer {
    HoldfastServer::with()
        .env("HOLDFAST_STORAGE_FOLDER_PATH", folder)
        .start()
        .unwrap()
}

#[tokio::test]
async fn full_folder_of_blobs_refuses_pushes_and_serves_pulls() {
    let folder = Folder::new("24m");
    if !folder.is_mounted {
        // Nobody else can make a small disk; the limit of the next test is met by all.
        return;
    }
    let server = with_blobs_in(folder.path());
    let client = server.client();
    push(&client).await;
    let filler = folder.path().join("filler");
    fs::write(&filler, vec![1; 22_000_000]).unwrap();
    let reply = try_push(&client, &[5; 6_000_000]).await.unwrap_err();
    refused(&reply, 507, "UNAVAILABLE", "a full folder");
    pulls(&client).await;
    fs::remove_file(&filler).unwrap();
    try_push(&client, &[5; 6_000_000]).await.unwrap();
    works(&client).await;
}

#[tokio::test]
async fn read_only_folder_of_blobs_refuses_pushes_and_serves_pulls() {
    let folder = Folder::new("24m");
    let server = with_blobs_in(folder.path());
    let client = server.client();
    push(&client).await;
    folder.set_read_only(true);
    let reply = try_push(&client, b"other").await.unwrap_err();
    refused(&reply, 503, "UNAVAILABLE", "a read-only folder");
    assert!(reply.header("Retry-After").is_some());
    pulls(&client).await;
    folder.set_read_only(false);
    try_push(&client, b"other").await.unwrap();
    works(&client).await;
}

#[tokio::test]
async fn full_disk_of_the_log_refuses_writes_and_serves_pulls() {
    let folder = Folder::new("1g");
    let data = folder.path().join("data");
    let mut server = HoldfastServer::with().data(data).start().unwrap();
    push(&server.client()).await;
    // The disk is full when less is free than is to be kept free.
    server
        .restart_with_env(&[("HOLDFAST_METADATA_FREE_SPACE_MIN", "1TiB")])
        .unwrap();
    let client = server.client();
    pulls(&client).await;
    let reply = try_push(&client, b"other").await.unwrap_err();
    let status = reply.status.as_u16();
    assert!([503, 507].contains(&status), "{status}");
    refused(&reply, status, "UNAVAILABLE", "a full disk");
    server.restart_with_env(&[]).unwrap();
    let client = server.client();
    try_push(&client, b"other").await.unwrap();
    pulls(&client).await;
    works(&client).await;
}
