//! Tells the program its revision, without needing git: the repository's own files say it.
//!
//! `HOLDFAST_REVISION` wins, for whoever builds from an archive. Where there is neither, the revision is "unknown".

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=HOLDFAST_REVISION");
    let given = std::env::var("HOLDFAST_REVISION")
        .ok()
        .filter(|revision| !revision.is_empty());
    let revision = given
        .or_else(revision_of_repository)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=HOLDFAST_REVISION={revision}");
}

/// The commit that is checked out, shortened, if this is a repository.
fn revision_of_repository() -> Option<String> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?)
        .parent()?
        .parent()?
        .to_owned();
    let git = git_folder(&root.join(".git"))?;
    let head = read_watched(&git.join("HEAD"))?;
    // A commit on a branch leaves HEAD as it is; the log of HEAD changes with each.
    watch(&git.join("logs/HEAD"));
    let commit = match head.strip_prefix("ref: ") {
        None => head,
        Some(reference) => resolve(&git, reference)?,
    };
    let short = commit.get(..12)?;
    short
        .chars()
        .all(|c| c.is_ascii_hexdigit())
        .then(|| short.to_owned())
}

/// The folder of the repository: `.git` itself, or what it points at in a linked work tree.
fn git_folder(entry: &Path) -> Option<PathBuf> {
    if entry.is_dir() {
        return Some(entry.to_owned());
    }
    let text = fs::read_to_string(entry).ok()?;
    let pointed_at = text.trim().strip_prefix("gitdir: ")?;
    Some(entry.parent()?.join(pointed_at))
}

/// The commit of a branch: in a file of its own, or packed with others. Linked work trees share both.
fn resolve(git: &Path, reference: &str) -> Option<String> {
    let common = fs::read_to_string(git.join("commondir")).ok();
    let shared = common.map_or_else(|| git.to_owned(), |common| git.join(common.trim()));
    read_watched(&shared.join(reference)).or_else(|| {
        let packed = read_watched(&shared.join("packed-refs"))?;
        packed.lines().find_map(|line| {
            line.strip_suffix(reference)?
                .strip_suffix(' ')
                .map(str::to_owned)
        })
    })
}

fn read_watched(file: &Path) -> Option<String> {
    watch(file);
    fs::read_to_string(file)
        .ok()
        .map(|text| text.trim().to_owned())
}

/// Has cargo run this again when `file` changes. One that does not exist would have it run each time.
fn watch(file: &Path) {
    if file.exists() {
        println!("cargo::rerun-if-changed={}", file.display());
    }
}
