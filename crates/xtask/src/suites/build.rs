//! Builds every program and every test once, and knows where cargo put them.
//!
//! One build for all suites: the test programs are then started directly, because a second cargo command with another
//! choice of packages would build the libraries again with other features.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::check::{SELECTION, cargo};
use crate::run;

/// What one build made.
#[derive(Default)]
pub struct Built {
    pub tests: Vec<TestBinary>,
    /// The program that a cluster is upgraded from, where a suite asks for it.
    pub earlier_format: Option<PathBuf>,
    programs: Vec<(String, PathBuf)>,
}

/// One test program.
pub struct TestBinary {
    /// Its package's folder, from the root: `crates/oci`.
    pub folder: String,
    /// Its target: the library's name, or the file below `tests/`.
    pub target: String,
    package: PathBuf,
    executable: PathBuf,
}

impl TestBinary {
    /// Starts it as cargo would: in its package's folder.
    pub fn command(&self) -> Command {
        let mut command = run::command(&self.executable, [""; 0]);
        command
            .current_dir(&self.package)
            .env("CARGO_MANIFEST_DIR", &self.package);
        command
    }
}

impl Built {
    /// Where a program of ours is; the path of a program that was not built does not exist.
    pub fn program(&self, name: &str) -> &Path {
        let found = self.programs.iter().find(|(program, _)| program == name);
        found.map_or(Path::new("not-built"), |(_, path)| path)
    }
}

/// The part of cargo's messages that is read here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds all targets of the workspace in the dev profile.
pub fn all(root: &Path) -> anyhow::Result<Built> {
    build(root, &["--all-targets"], &SELECTION)
}

/// Builds the program without the next format of the log, as the version that is upgraded from, and says where it is.
///
/// To be called before [`all`], whose program takes its place. What is selected has the features of [`SELECTION`] but this
/// one, so that only what depends on the format is built twice.
pub fn earlier_format(root: &Path) -> anyhow::Result<PathBuf> {
    let selection = ["--workspace", "--features", "holdfast/failpoints"];
    let built = build(root, &["--bin", "holdfast"], &selection)?;
    let program = built.program("holdfast");
    let kept = program.with_file_name("holdfast-earlier-format");
    std::fs::copy(program, &kept).context("the program of the earlier format cannot be kept")?;
    Ok(kept)
}

/// Builds the program as it ships, and the tests of one package as fast: for runs whose figures are those of what ships.
pub fn shipped(root: &Path, package: &str) -> anyhow::Result<Built> {
    let program = build(
        root,
        &["--bin", "holdfast"],
        &["--release", "-p", "holdfast"],
    )?;
    let tests = build(root, &["--tests"], &["--release", "-p", package])?;
    Ok(Built {
        programs: program.programs,
        ..tests
    })
}

fn build(root: &Path, targets: &[&str], selection: &[&str]) -> anyhow::Result<Built> {
    let mut build = cargo(root, &["build", "--message-format=json-render-diagnostics"]);
    build.args(targets).args(selection).stderr(Stdio::inherit());
    let output = build.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the workspace does not build");
    }
    Ok(read(root, &String::from_utf8_lossy(&output.stdout)))
}

fn read(root: &Path, messages: &str) -> Built {
    let mut built = Built::default();
    for message in messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
    {
        let Message {
            reason,
            manifest_path: Some(manifest),
            target: Some(target),
            profile: Some(profile),
            executable: Some(executable),
        } = message
        else {
            continue;
        };
        let (Some(package), "compiler-artifact") = (manifest.parent(), reason.as_str()) else {
            continue;
        };
        if profile.test {
            let folder = package
                .strip_prefix(root)
                .unwrap_or(package)
                .to_string_lossy()
                .into_owned();
            built.tests.push(TestBinary {
                folder,
                target: target.name,
                package: package.to_owned(),
                executable,
            });
        } else {
            built.programs.push((target.name, executable));
        }
    }
    built
        .tests
        .sort_by(|a, b| (&a.folder, &a.target).cmp(&(&b.folder, &b.target)));
    built
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = r#"
{"reason":"compiler-artifact","manifest_path":"/x/crates/oci/Cargo.toml","target":{"name":"oci"},"profile":{"test":false},"executable":null}
{"reason":"compiler-artifact","manifest_path":"/x/crates/oci/Cargo.toml","target":{"name":"oci"},"profile":{"test":true},"executable":"/x/target/debug/deps/oci-1"}
{"reason":"compiler-artifact","manifest_path":"/x/crates/holdfast/Cargo.toml","target":{"name":"holdfast"},"profile":{"test":false},"executable":"/x/target/debug/holdfast"}
{"reason":"build-finished","success":true}
"#;

    #[test]
    fn tests_and_programs_are_told_apart() {
        let built = read(Path::new("/x"), MESSAGES);
        assert_eq!(built.tests.len(), 1);
        assert_eq!(
            (
                built.tests[0].folder.as_str(),
                built.tests[0].target.as_str()
            ),
            ("crates/oci", "oci")
        );
        assert_eq!(
            built.program("holdfast"),
            Path::new("/x/target/debug/holdfast")
        );
        assert!(!built.program("other").exists());
    }
}
