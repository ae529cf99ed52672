//! Programs that the suites use and `cargo xtask test` installs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Where a program is: on the PATH, where Debian keeps servers, or in the test cache.
pub fn find(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.extend(
        cache().into_iter().flat_map(|cache| {
            ["crates/bin", "go/bin", "python/bin"].map(|folder| cache.join(folder))
        }),
    );
    let found = folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!("`{name}` is not installed: run the suite by `cargo xtask test`, which installs it")
    })
}

/// The folder in which the tests keep what is costly to make, as `cargo xtask test` chooses it.
pub fn cache() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("HOLDFAST_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("holdfast")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/holdfast")))
}

/// Runs a program to its end and returns its standard output. A failure tells the command and all that it said.
pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {shown}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{shown} failed: {}\n{said}{errors}", output.status);
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_program_says_how_to_get_it() {
        let error = find("no-such-program").unwrap_err().to_string();
        assert!(error.contains("cargo xtask test"), "{error}");
        assert!(find("sh").is_ok());
    }
}
