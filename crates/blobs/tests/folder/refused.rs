//! Folders that cannot be written: no permission, a read-only or a full file system.
//!
//! Permissions do not bind root, who may mount a file system of any size instead. Everybody else meets the full disk
//! in the test of the durable steps, where the system's answer is a fail point.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use ports::blob_store::suite::pattern;
use ports::{BlobFailure, BlobStore, Target};
use tempfile::TempDir;

use crate::{key, open, put, read};

/// A file system of its own, in memory.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None` when this user may not mount.
    fn mount(size: &str) -> Option<SmallDisk> {
        let disk = SmallDisk {
            folder: tempfile::tempdir().unwrap(),
        };
        let mounted = run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"],
            disk.path(),
        );
        mounted.then_some(disk)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l"], self.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let run = Command::new(program).args(arguments).arg(path).output();
    run.is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn a_full_disk_is_full_and_what_was_kept_stays() {
    let Some(disk) = SmallDisk::mount("4m") else {
        return;
    };
    let store = open(disk.path()).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 1_000_000))
        .await
        .unwrap();
    let multipart = store.begin_multipart(&key(2)).await.unwrap();
    let target = Target::Part {
        key: key(2),
        multipart,
        number: 1,
    };
    for target in [Target::Object(key(3)), target] {
        let failed = put(&store, &target, pattern(2, 8_000_000)).await;
        assert!(
            matches!(&failed, Err(failure @ BlobFailure::Full { .. }) if failure.is_retryable()),
            "{failed:?}"
        );
    }
    assert_eq!(
        read(&store, &key(1), 0, 1_000_000).await.unwrap(),
        pattern(1, 1_000_000)
    );
    assert_eq!(store.list("", None).await.unwrap().len(), 1);
    // What did not fit is gone, so that less does fit.
    drop(store);
    let store = open(disk.path()).await.unwrap();
    put(&store, &Target::Object(key(4)), pattern(4, 2_000_000))
        .await
        .unwrap();
    assert!(store.free_space().unwrap().free_bytes < 2_000_000);
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    let is_bound = fs::write(folder.path().join("probe"), []).is_err();
    if is_bound {
        let opened = open(&folder.path().join("blobs")).await;
        assert!(
            matches!(opened, Err(BlobFailure::Denied { .. })),
            "{opened:?}"
        );
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_file_system_that_turns_read_only_is_denied_and_still_read() {
    let Some(disk) = SmallDisk::mount("4m") else {
        return;
    };
    let store = open(disk.path()).await.unwrap();
    put(&store, &Target::Object(key(1)), pattern(1, 1000))
        .await
        .unwrap();
    assert!(run("mount", &["-o", "remount,ro"], disk.path()));
    let failed = put(&store, &Target::Object(key(2)), pattern(2, 1000)).await;
    assert!(
        matches!(failed, Err(BlobFailure::Denied { .. })),
        "{failed:?}"
    );
    let failed = store.delete(&[key(1)]).await;
    assert!(
        matches!(failed, Err(BlobFailure::Denied { .. })),
        "{failed:?}"
    );
    assert_eq!(
        read(&store, &key(1), 0, 1000).await.unwrap(),
        pattern(1, 1000)
    );
    let opened = open(disk.path()).await;
    assert!(
        matches!(opened, Err(BlobFailure::Denied { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn a_file_in_the_folders_place_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blobs");
    fs::write(&path, []).unwrap();
    let opened = open(&path).await;
    assert!(
        matches!(opened, Err(BlobFailure::Other { .. })),
        "{opened:?}"
    );
}
