//! Each call that changes files is taken back when it was not synced, and stays when it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use powerloss::{JOURNAL_VARIABLE, ROOT_VARIABLE, Survives, lose_power};

const PROGRAM: &str = env!("CARGO_BIN_EXE_powerloss-calls");

/// Files with their bytes, folders without.
type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                tree.insert(path, None);
            } else {
                let bytes = fs::read(&path).unwrap();
                tree.insert(path, Some(bytes));
            }
        }
    }
    tree
}

struct Disk {
    _folder: tempfile::TempDir,
    root: PathBuf,
    journal: PathBuf,
}

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        fs::write(root.join("old"), [b'o'; 5_000]).unwrap();
        fs::write(root.join("sub/other"), b"other").unwrap();
        let journal = folder.path().join("journal");
        Disk {
            _folder: folder,
            root,
            journal,
        }
    }

    fn run(&self, call: &str, syncs: bool) {
        let mut command = Command::new(PROGRAM);
        command.arg(call).arg(&self.root);
        if syncs {
            command.arg("sync");
        }
        let output = command
            .env(
                "LD_PRELOAD",
                powerloss::library(Path::new(PROGRAM)).unwrap(),
            )
            .env(ROOT_VARIABLE, &self.root)
            .env(JOURNAL_VARIABLE, &self.journal)
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(9), "{call}: {output:?}");
    }

    fn lose(&self, survives: Survives) {
        lose_power(&self.root, &self.journal, survives).unwrap();
    }
}

fn list() -> Vec<String> {
    let output = Command::new(PROGRAM).arg("list").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_was_not_synced_is_gone() {
    let calls = list();
    assert!(calls.len() > 35);
    for call in calls {
        let disk = Disk::new();
        let before = tree(&disk.root);
        disk.run(&call, false);
        assert_ne!(tree(&disk.root), before, "{call} changes nothing");
        disk.lose(Survives::Nothing);
        assert!(
            tree(&disk.root) == before,
            "{call} is not taken back: {:?} {:?}",
            tree(&disk.root).keys(),
            before.keys()
        );
    }
}

#[test]
fn what_was_synced_stays() {
    for call in list() {
        let disk = Disk::new();
        disk.run(&call, true);
        let after = tree(&disk.root);
        disk.lose(Survives::Nothing);
        assert!(tree(&disk.root) == after, "{call} is taken back");
    }
}

#[test]
fn synced_bytes_stay_and_later_ones_go() {
    let disk = Disk::new();
    disk.run("fdatasync", false);
    disk.lose(Survives::Nothing);
    let old = fs::read(disk.root.join("old")).unwrap();
    assert!(old.starts_with(b"durableooooo"), "{:?}", &old[..20]);
    let disk = Disk::new();
    disk.run("O_DSYNC", false);
    disk.lose(Survives::Nothing);
    assert!(
        fs::read(disk.root.join("old"))
            .unwrap()
            .starts_with(b"durableooo")
    );
}

#[test]
fn name_goes_unless_its_folder_was_synced() {
    let disk = Disk::new();
    disk.run("fsync of the file alone", false);
    disk.lose(Survives::Nothing);
    assert!(!disk.root.join("new").exists());
}

#[test]
fn mapping_for_writing_is_refused() {
    Disk::new().run("mmap", false);
}

#[test]
fn any_part_may_survive() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let disk = Disk::new();
        disk.run("pwrite", false);
        disk.lose(Survives::Some(seed));
        let bytes = fs::read(disk.root.join("old")).unwrap();
        // The old bytes are not touched, and the new ones are there, or zeros, or nothing.
        assert!(
            bytes.len() == 5_000 || bytes.len() == 9_003,
            "{}",
            bytes.len()
        );
        assert_eq!(bytes[..5_000], [b'o'; 5_000]);
        outcomes.insert(bytes[5_000..].to_vec());
    }
    assert_eq!(outcomes.len(), 3);
    // The one seed gives the one outcome.
    let once = || {
        let disk = Disk::new();
        disk.run("write", false);
        disk.lose(Survives::Some(5));
        fs::read(disk.root.join("old")).unwrap()
    };
    assert_eq!(once(), once());
}
