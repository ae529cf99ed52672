//! Which Holdfast this is.

/// The version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, or "unknown".
pub const REVISION: &str = env!("HOLDFAST_REVISION");

/// Both, as `--version` tells them.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("HOLDFAST_REVISION"),
    ")"
);
