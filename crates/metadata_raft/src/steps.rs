//! The named steps at which a test can end the process: between any two of them the disk must tell a true story.
//!
//! With the cargo feature `failpoints` each is a fail point of the crate `fail` of the same name; without it they cost
//! nothing.

pub(crate) const APPEND_BEFORE_WRITE: &str = "metadata.append.before_write";
pub(crate) const APPEND_BEFORE_SYNC: &str = "metadata.append.before_sync";
pub(crate) const APPEND_AFTER_SYNC: &str = "metadata.append.after_sync";
pub(crate) const ROLL_BEFORE_RENAME: &str = "metadata.roll.before_rename";
pub(crate) const ROLL_AFTER_RENAME: &str = "metadata.roll.after_rename";
pub(crate) const VOTE_BEFORE_SYNC: &str = "metadata.vote.before_sync";
pub(crate) const VOTE_AFTER_SYNC: &str = "metadata.vote.after_sync";
pub(crate) const APPLY_BEFORE_PUBLISH: &str = "metadata.apply.before_publish";
pub(crate) const APPLY_AFTER_PUBLISH: &str = "metadata.apply.after_publish";
pub(crate) const DURABLE_BEFORE_COMMIT: &str = "metadata.durable.before_commit";
pub(crate) const DURABLE_AFTER_COMMIT: &str = "metadata.durable.after_commit";
pub(crate) const SNAPSHOT_BEFORE_WRITE: &str = "metadata.snapshot.before_write";
pub(crate) const SNAPSHOT_BEFORE_RENAME: &str = "metadata.snapshot.before_rename";
pub(crate) const SNAPSHOT_AFTER_RENAME: &str = "metadata.snapshot.after_rename";
pub(crate) const PURGE_BEFORE_DELETE: &str = "metadata.purge.before_delete";
pub(crate) const PURGE_AFTER_DELETE: &str = "metadata.purge.after_delete";

/// Every named step. A step without a crash test fails the test that reads this list.
pub const STEPS: &[&str] = &[
    APPEND_BEFORE_WRITE,
    APPEND_BEFORE_SYNC,
    APPEND_AFTER_SYNC,
    ROLL_BEFORE_RENAME,
    ROLL_AFTER_RENAME,
    VOTE_BEFORE_SYNC,
    VOTE_AFTER_SYNC,
    APPLY_BEFORE_PUBLISH,
    APPLY_AFTER_PUBLISH,
    DURABLE_BEFORE_COMMIT,
    DURABLE_AFTER_COMMIT,
    SNAPSHOT_BEFORE_WRITE,
    SNAPSHOT_BEFORE_RENAME,
    SNAPSHOT_AFTER_RENAME,
    PURGE_BEFORE_DELETE,
    PURGE_AFTER_DELETE,
];

/// Passes a named step.
pub(crate) fn reached(step: &'static str) {
    let _ = step;
    fail::fail_point!(step);
}

/// A fail point at which a test makes the disk fail: `metadata.append.sync`, with the action `return`.
pub(crate) fn sync_may_fail() -> std::io::Result<()> {
    fail::fail_point!("metadata.append.sync", |_| Err(std::io::Error::other(
        "the disk failed"
    )));
    Ok(())
}
