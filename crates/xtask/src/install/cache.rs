//! The cache folder: `HOLDFAST_CACHE`, or `holdfast` in the user's cache folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// A folder that holds what was installed: `crates/bin`, `go/bin`, `go-dist` and what suites keep.
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Finds the folder and creates it.
    pub fn find() -> anyhow::Result<Self> {
        let folder = choose(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
            .context("set HOLDFAST_CACHE to a folder: neither XDG_CACHE_HOME nor HOME is set")?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create the cache {}", folder.display()))?;
        Ok(Self {
            folder: folder.canonicalize()?,
        })
    }

    /// A folder in the cache, from its name.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes the cache known to a test program: its folder, and its programs before all others.
    pub fn put_on_path(&self, command: &mut Command) {
        let mut folders = vec![self.path("crates/bin"), self.path("go/bin")];
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path));
        // Debian keeps servers where a plain user's PATH does not look.
        folders.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        command.env("HOLDFAST_CACHE", &self.folder);
    }
}

fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let below = |name: &str, rest: &str| variable(name).map(|folder| Path::new(&folder).join(rest));
    let own = variable("HOLDFAST_CACHE").map(PathBuf::from);
    own.or_else(|| below("XDG_CACHE_HOME", "holdfast"))
        .or_else(|| below("HOME", ".cache/holdfast"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variable_wins_then_the_users_cache() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> =
                set.iter().map(|(k, v)| ((*k).into(), v.into())).collect();
            choose(move |name| {
                set.iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.clone())
            })
        };
        assert_eq!(
            with(&[("HOLDFAST_CACHE", "/c"), ("HOME", "/h")]),
            Some("/c".into())
        );
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]),
            Some("/x/holdfast".into())
        );
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.cache/holdfast".into()));
        assert_eq!(with(&[]), None);
    }
}
