//! What is loaded into every node before the C library: Debian's libfaketime, whose clock a file sets, and a slow disk, whose
//! slowness another file sets. Without a word in the files both do nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use harness::{Cluster, tools};

/// Where Debian has it, for each of its architectures.
const LIBRARIES: &str = "/usr/lib";
const FAKETIME: &str = "faketime/libfaketime.so.1";

const CLOCK: &str = "clock";
const SLOWNESS: &str = "slowness";

/// The environment of nodes whose clocks and disks are in the hands of a test.
pub fn environment(
    builder: harness::cluster::Builder,
    folder: &Path,
) -> anyhow::Result<harness::cluster::Builder> {
    let preload = format!("{}:{}", slow_disk(folder)?.display(), faketime()?.display());
    let builder = builder
        .env("LD_PRELOAD", &preload)
        .env("FAKETIME_NO_CACHE", "1")
        // Durations are measured by the monotonic clock, which nobody can set.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(builder
        .env_file("FAKETIME_TIMESTAMP_FILE", CLOCK)
        .env_file("SLOW_DISK_FILE", SLOWNESS))
}

fn faketime() -> anyhow::Result<PathBuf> {
    let folders = std::fs::read_dir(LIBRARIES)?.filter_map(Result::ok);
    let mut found = folders.map(|folder| folder.path().join(FAKETIME));
    found
        .find(|path| path.is_file())
        .context("libfaketime is not installed: run the suite by `cargo xtask test`")
}

/// Compiles it; a compiler for C is there, since the product's cryptography needs one.
fn slow_disk(folder: &Path) -> anyhow::Result<PathBuf> {
    let (source, library) = (folder.join("slow_disk.c"), folder.join("slow_disk.so"));
    std::fs::write(&source, include_str!("slow_disk.c"))?;
    let mut compile = Command::new("cc");
    compile
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&library);
    tools::run(compile.arg(&source).arg("-ldl"))?;
    Ok(library)
}

/// Sets a node's clock off by so many seconds, at once.
pub fn set_clock(cluster: &Cluster, place: usize, off_by_seconds: i64) -> anyhow::Result<()> {
    write(
        &cluster.file_of(place, CLOCK),
        &format!("{off_by_seconds:+}"),
    )
}

/// Makes every fsync of a node so much slower; 0 heals it.
pub fn set_slowness(cluster: &Cluster, place: usize, milliseconds: u32) -> anyhow::Result<()> {
    write(&cluster.file_of(place, SLOWNESS), &milliseconds.to_string())
}

/// In one step, so that nobody reads half of it.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)?;
    Ok(())
}
