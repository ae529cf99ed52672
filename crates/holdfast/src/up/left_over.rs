//! A node of an earlier run that is still on its way out: it ends when its parent is gone, a moment after that.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Failure;

/// How long it may take.
const GONE_MAX: Duration = Duration::from_secs(10);

/// How often its lock is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until no process uses the data folder of a node.
///
/// # Errors
/// When one goes on using it.
pub async fn wait(folder: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + GONE_MAX;
    while is_in_use(folder) {
        if Instant::now() > deadline {
            return Err(Failure::new(format!(
                "the data folder {} is in use by another holdfast: stop it, or choose another folder with --data DIR",
                folder.display()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn is_in_use(folder: &Path) -> bool {
    let lock = File::open(folder.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}
