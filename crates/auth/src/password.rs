//! Passwords that people choose: hashed slowly, one for each processor at a time, with a bounded wait.
//!
//! Whether an account exists must not show in how long a check takes, so that a password is always hashed, if need be against
//! a hash that is nobody's.
//!
//! Spec: RFC 9106 (Argon2), with the second recommendation of OWASP's "Password Storage Cheat Sheet": 19 MiB, two passes.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash as Parsed;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use metadata::access::PasswordHash;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The most bytes of a password: hashing more is work for nothing.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// The least bytes of a password that is set.
const PASSWORD_BYTES_MIN: usize = 8;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Why a password was neither set nor checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short to be set, or too long.
    #[error("a password has {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} bytes")]
    Length,
    /// Too many are being checked.
    #[error("too many logins at once")]
    Busy,
    /// The kept hash is none.
    #[error("the kept hash of the password cannot be read")]
    Damaged,
}

/// Hashes and checks passwords. Cheap to clone; clones share the limit.
#[derive(Clone)]
pub struct PasswordChecker {
    turns: Arc<Semaphore>,
    wait: Duration,
    nobodys: Arc<str>,
}

impl PasswordChecker {
    /// Hashes at most `at_once` at a time; who has waited for `wait` is turned away.
    ///
    /// # Panics
    /// Never: what is hashed is fit to be.
    #[must_use]
    pub fn new(at_once: usize, wait: Duration) -> PasswordChecker {
        let nobodys = hash_now(b"nobody's password").expect("a short text can be hashed");
        PasswordChecker {
            turns: Arc::new(Semaphore::new(at_once.max(1))),
            wait,
            nobodys: nobodys.0,
        }
    }

    /// The hash of a password that is to be kept.
    ///
    /// # Errors
    /// [`PasswordError::Length`], [`PasswordError::Busy`].
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<PasswordHash, PasswordError> {
        if password.len() < PASSWORD_BYTES_MIN {
            return Err(PasswordError::Length);
        }
        self.turn(password, hash_now).await
    }

    /// Whether `password` is the one whose hash is kept. Without a kept hash it is not, which takes as long to say.
    ///
    /// # Errors
    /// [`PasswordError::Busy`]; [`PasswordError::Damaged`] for a hash that is none.
    pub async fn check(
        &self,
        password: Zeroizing<String>,
        kept: Option<&PasswordHash>,
    ) -> Result<bool, PasswordError> {
        let is_somebodys = kept.is_some();
        let kept = kept.map_or_else(|| Arc::clone(&self.nobodys), |kept| Arc::clone(&kept.0));
        let checked = self.turn(password, move |password| {
            let parsed = Parsed::new(&kept).map_err(|_| PasswordError::Damaged)?;
            Ok(hasher().verify_password(password, &parsed).is_ok())
        });
        Ok(checked.await? && is_somebodys)
    }

    /// Whether `password` is the one of a bcrypt hash that a file has. Without one it is not, which takes as long to say if
    /// `nobodys`, a hash of somebody else's, costs as much.
    ///
    /// # Errors
    /// [`PasswordError::Busy`].
    pub async fn check_bcrypt(
        &self,
        password: Zeroizing<String>,
        kept: Option<String>,
        nobodys: Option<String>,
    ) -> Result<bool, PasswordError> {
        let is_somebodys = kept.is_some();
        let Some(kept) = kept.or(nobodys) else {
            return Ok(false);
        };
        let checked = self.turn(password, move |password| {
            Ok(bcrypt::verify(password, &kept).unwrap_or(false))
        });
        Ok(checked.await? && is_somebodys)
    }

    async fn turn<T: Send + 'static>(
        &self,
        password: Zeroizing<String>,
        work: impl FnOnce(&[u8]) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::Length);
        }
        let turn = tokio::time::timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| PasswordError::Busy)?;
        let turn = turn.expect("the semaphore is never closed");
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(password.as_bytes())
        });
        // The work cannot panic, and is aborted only when the process ends.
        done.await.unwrap_or(Err(PasswordError::Busy))
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("these parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &[u8]) -> Result<PasswordHash, PasswordError> {
    let hash = hasher().hash_password(password);
    let hash = hash.map_err(|_| PasswordError::Length)?;
    Ok(PasswordHash(hash.to_string().into()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn checker() -> PasswordChecker {
        PasswordChecker::new(1, Duration::from_secs(30))
    }

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn password_is_known_again_and_no_other_is() {
        let checker = checker();
        let kept = checker.hash(secret("correct horse")).await.unwrap();
        assert!(
            kept.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            kept.0
        );
        assert_eq!(
            checker.check(secret("correct horse"), Some(&kept)).await,
            Ok(true)
        );
        for wrong in ["", "correct hors", "correct horse ", "nobody's password"] {
            assert_eq!(
                checker.check(secret(wrong), Some(&kept)).await,
                Ok(false),
                "{wrong}"
            );
            assert_eq!(
                checker.check(secret(wrong), None).await,
                Ok(false),
                "{wrong}"
            );
        }
    }

    #[tokio::test]
    async fn length_is_bounded() {
        let checker = checker();
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        for bad in ["1234567", &long] {
            assert_eq!(
                checker.hash(secret(bad)).await.err(),
                Some(PasswordError::Length)
            );
        }
        assert_eq!(
            checker.check(secret(&long), None).await,
            Err(PasswordError::Length)
        );
    }

    #[tokio::test]
    async fn unknown_user_takes_as_long_as_a_wrong_password() {
        let checker = checker();
        let kept = checker.hash(secret("correct horse")).await.unwrap();
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..7 {
            for (times, kept) in times.iter_mut().zip([Some(&kept), None]) {
                let begun = Instant::now();
                assert_eq!(checker.check(secret("wrong horse"), kept).await, Ok(false));
                times.push(begun.elapsed());
            }
        }
        let [mut known, mut unknown] = times;
        known.sort();
        unknown.sort();
        // The quickest of each is the least disturbed.
        let (known, unknown) = (known[0].as_secs_f64(), unknown[0].as_secs_f64());
        let ratio = known / unknown;
        assert!((0.6..1.7).contains(&ratio), "{known} s, {unknown} s");
    }

    #[tokio::test]
    async fn who_waits_too_long_is_turned_away() {
        let checker = PasswordChecker::new(1, Duration::ZERO);
        let turn = Arc::clone(&checker.turns).acquire_owned().await.unwrap();
        let refused = checker.check(secret("correct horse"), None).await;
        assert_eq!(refused, Err(PasswordError::Busy));
        drop(turn);
        assert_eq!(
            checker.check(secret("correct horse"), None).await,
            Ok(false)
        );
    }

    #[tokio::test]
    async fn hash_that_is_none_is_told() {
        let damaged = PasswordHash("$argon2id$".into());
        let checked = checker()
            .check(secret("correct horse"), Some(&damaged))
            .await;
        assert_eq!(checked, Err(PasswordError::Damaged));
    }
}
