//! The first administrator: a password that is drawn, or read from a file once, and its hash. It shows in no `Debug`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use auth::PasswordChecker;
use metadata::access::PasswordHash;
use zeroize::Zeroizing;

use super::machine::AccessFailure;

/// How long hashing may wait. Nobody else hashes here.
const HASH_WAIT_MAX: Duration = Duration::from_secs(10);

/// The most of a file that is read: the longest password, and the end of its line.
const FILE_BYTES_MAX: u64 = 4096;

/// Whoever may read a file that its owner and its group alone should.
const OTHERS: u32 = 0o007;

/// A password and its hash.
pub struct FirstAdmin {
    password: Zeroizing<String>,
    hash: PasswordHash,
    is_drawn: bool,
}

impl fmt::Debug for FirstAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstAdmin(..)")
    }
}

impl FirstAdmin {
    /// With a password that nobody knows yet.
    ///
    /// # Errors
    /// [`AccessFailure::Password`] when it cannot be hashed now.
    pub async fn draw() -> Result<FirstAdmin, AccessFailure> {
        FirstAdmin::of(auth::new_password(), true).await
    }

    /// With the password in the first line of a file.
    ///
    /// # Errors
    /// [`AccessFailure::Wrong`] when it cannot be read, or what it holds cannot be a password.
    pub async fn in_file(file: &Path) -> Result<FirstAdmin, AccessFailure> {
        let unreadable = |why: &dyn fmt::Display| {
            let shown = file.display();
            AccessFailure::Wrong(format!(
                "the password of `admin` cannot be read from {shown} (access.admin_password_file): {why}"
            ))
        };
        let password = password_in(file).map_err(|error| unreadable(&error))?;
        match FirstAdmin::of(password, false).await {
            Err(AccessFailure::Password(auth::PasswordError::Length)) => {
                Err(unreadable(&auth::PasswordError::Length))
            }
            other => other,
        }
    }

    async fn of(password: Zeroizing<String>, is_drawn: bool) -> Result<FirstAdmin, AccessFailure> {
        let checker = PasswordChecker::new(1, HASH_WAIT_MAX);
        Ok(FirstAdmin {
            hash: checker.hash(password.clone()).await?,
            password,
            is_drawn,
        })
    }

    /// The hash of the password.
    pub fn hash(&self) -> &PasswordHash {
        &self.hash
    }

    /// The password, if it was drawn: whoever wrote the file knows theirs.
    pub fn drawn(self) -> Option<Zeroizing<String>> {
        self.is_drawn.then_some(self.password)
    }
}

/// The first line of a file: editors end it, passwords do not have it.
fn password_in(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & OTHERS != 0 {
        tracing::warn!(
            file = %path.display(),
            "every user of this machine may read the file of the administrator's password: chmod 600 it, or remove it now that it is read"
        );
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Zeroizing::new(
        text.lines().next().unwrap_or_default().to_owned(),
    ))
}
