//! How to sign in to which registry: one file, that only its owner can read.
//!
//! It is replaced whole, and never readable by others for a moment.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What is kept.
#[derive(Default, Serialize, Deserialize)]
pub struct Credentials {
    /// The registry of the last login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By URL.
    #[serde(default)]
    pub registries: BTreeMap<String, Login>,
}

/// How to sign in.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The name of a user or a robot.
    pub user: String,
    /// A password, a token or a secret.
    pub password: String,
    /// The certificate of the registry's authority (PEM), if the machine does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// Where the file is.
fn path() -> Result<PathBuf, Failure> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = match (folder("XDG_CONFIG_HOME"), folder("HOME")) {
        (Some(config), _) => PathBuf::from(config),
        (None, Some(home)) => Path::new(&home).join(".config"),
        (None, None) => {
            let line = "there is no folder for credentials: set XDG_CONFIG_HOME or HOME";
            return Err(Failure::new(line));
        }
    };
    Ok(config.join("holdfast").join("credentials.toml"))
}

impl Credentials {
    /// What is kept; nothing when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load() -> Result<Credentials, Failure> {
        Credentials::load_from(&path()?)
    }

    /// Keeps this from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self) -> Result<PathBuf, Failure> {
        let path = path()?;
        self.save_to(&path)?;
        Ok(path)
    }

    fn load_from(path: &Path) -> Result<Credentials, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Credentials::default());
            }
            Err(error) => {
                let path = path.display();
                return Err(Failure::new(format!("{path} cannot be read: {error}")));
            }
        };
        // What the parser says may show a line of the file, and with it a password.
        toml::from_str(&text).map_err(|_| {
            let path = path.display();
            Failure::new(format!("{path} is damaged: remove it, and sign in again"))
        })
    }

    fn save_to(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            let path = path.display();
            Failure::new(format!("{path} cannot be written: {error}"))
        };
        let text = toml::to_string(self).expect("names and texts can be written as TOML");
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder).map_err(failed)?;
        let new = path.with_extension(format!("toml.{}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_its_owner_can_read_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holdfast/credentials.toml");
        assert!(Credentials::load_from(&path).unwrap().current.is_none());
        let login = Login {
            user: "robot$team+deploy".to_owned(),
            password: "a \"quoted\" secret".to_owned(),
            authority: None,
        };
        let url = "https://registry.example:5000".to_owned();
        let kept = Credentials {
            current: Some(url.clone()),
            registries: [(url.clone(), login)].into(),
        };
        for _ in 0..2 {
            kept.save_to(&path).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let read = Credentials::load_from(&path).unwrap();
        assert_eq!(read.current, Some(url.clone()));
        assert_eq!(read.registries[&url].password, "a \"quoted\" secret");
    }

    #[test]
    fn damaged_file_shows_nothing_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.toml");
        fs::write(&path, "password = planted").unwrap();
        let failure = Credentials::load_from(&path).err().unwrap();
        assert!(failure.lines[0].contains("is damaged"), "{failure:?}");
        assert!(!failure.lines[0].contains("planted"), "{failure:?}");
    }
}
