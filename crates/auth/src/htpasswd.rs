//! Files of bcrypt hashes, as Apache's `htpasswd -B` writes them: `name:$2y$...`.
//!
//! A file is read when it has changed. One that cannot be read any more, or holds what is no entry, changes nothing: who could
//! log in still can, and the operator is told.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;

/// The largest file.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why a file of passwords was not taken.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than passwords are.
    #[error("{path} has more than {BYTES_MAX} bytes", path = path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// A line is no entry, or its hash is not bcrypt's.
    #[error(
        "{path}, line {line}: not `name:` and a bcrypt hash (`htpasswd -B` makes one)",
        path = path.display()
    )]
    Malformed {
        /// Which.
        path: PathBuf,
        /// From 1 up.
        line: usize,
    },
}

/// A file of passwords.
pub struct Htpasswd {
    path: PathBuf,
    read: RwLock<Read>,
}

struct Read {
    modified: Option<SystemTime>,
    hashes: Arc<HashMap<String, String>>,
}

impl Htpasswd {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`HtpasswdError`].
    pub fn open(path: &Path) -> Result<Htpasswd, HtpasswdError> {
        let (modified, hashes) = read(path)?;
        Ok(Htpasswd {
            path: path.to_owned(),
            read: RwLock::new(Read {
                modified,
                hashes: Arc::new(hashes),
            }),
        })
    }

    /// Reads the file again if it has changed, and tells whether it had. It reads a file: not to be called where nothing may
    /// block.
    ///
    /// # Errors
    /// See [`HtpasswdError`]; what was read before goes on counting.
    pub fn refresh(&self) -> Result<bool, HtpasswdError> {
        let modified = std::fs::metadata(&self.path).and_then(|file| file.modified());
        if modified.ok() == self.read.read().modified {
            return Ok(false);
        }
        let (modified, hashes) = read(&self.path)?;
        let mut read = self.read.write();
        read.modified = modified;
        read.hashes = Arc::new(hashes);
        Ok(true)
    }

    /// The bcrypt hash of a user's password.
    #[must_use]
    pub fn hash_of(&self, user: &str) -> Option<String> {
        let hashes = Arc::clone(&self.read.read().hashes);
        hashes.get(user).cloned()
    }

    /// Some hash of the file: what it costs to check one is not told by whose it is.
    pub(crate) fn any_hash(&self) -> Option<String> {
        self.read.read().hashes.values().next().cloned()
    }
}

fn read(path: &Path) -> Result<(Option<SystemTime>, HashMap<String, String>), HtpasswdError> {
    let unreadable = |source| HtpasswdError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::metadata(path).map_err(unreadable)?;
    if file.len() > BYTES_MAX {
        return Err(HtpasswdError::TooLarge {
            path: path.to_owned(),
        });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let hashes = entries(&text).map_err(|line| HtpasswdError::Malformed {
        path: path.to_owned(),
        line,
    })?;
    Ok((file.modified().ok(), hashes))
}

/// The hashes of a file by their names, or the number of the line that has none.
pub(crate) fn entries(text: &str) -> Result<HashMap<String, String>, usize> {
    let mut hashes = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line.split_once(':').filter(|(_, hash)| is_bcrypt(hash));
        let (name, hash) = entry.ok_or(number + 1)?;
        // The first entry of a name counts, as in Apache.
        hashes
            .entry(name.to_owned())
            .or_insert_with(|| hash.to_owned());
    }
    Ok(hashes)
}

fn is_bcrypt(hash: &str) -> bool {
    let rest = ["$2y$", "$2b$", "$2a$"]
        .iter()
        .find_map(|prefix| hash.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.len() == 56 && rest.as_bytes().get(2) == Some(&b'$'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn passwords_of_a_file_are_checked_and_a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        let hash = bcrypt::hash("secret word", 4).unwrap();
        std::fs::write(&path, format!("# people\n\nann:{hash}\nann:other\n")).unwrap();
        let file = Htpasswd::open(&path);
        assert!(matches!(
            file,
            Err(HtpasswdError::Malformed { line: 4, .. })
        ));
        std::fs::write(&path, format!("# people\n\nann:{hash}\n")).unwrap();
        let file = Htpasswd::open(&path).unwrap();
        let kept = file.hash_of("ann").unwrap();
        assert!(bcrypt::verify("secret word", &kept).unwrap());
        assert!(!bcrypt::verify("secret", &kept).unwrap());
        assert_eq!(file.hash_of("ben"), None);
        assert!(!file.refresh().unwrap());
        std::fs::write(&path, format!("ben:{hash}\n")).unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert!(file.refresh().unwrap());
        assert!(file.hash_of("ben").is_some() && file.hash_of("ann").is_none());
        std::fs::write(&path, "ben:plain\n").unwrap();
        let later = later + Duration::from_secs(5);
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(later)
            .unwrap();
        file.refresh().unwrap_err();
        assert!(file.hash_of("ben").is_some(), "what was read before counts");
        std::fs::remove_file(&path).unwrap();
        file.refresh().unwrap_err();
        assert!(file.hash_of("ben").is_some());
    }
}
