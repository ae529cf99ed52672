//! Raises the limit of open files: each connection is one, and so is each piece of a blob on its way.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the log, the tables and the libraries open.
const OWN_FILES: u64 = 256;

/// Files of one connection: itself, and a blob that is read or written.
const FILES_PER_CONNECTION: u64 = 2;

/// Raises the limit as far as this user may, and warns when that is not enough for `connections_max`.
pub fn raise(connections_max: u32) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let wanted = u64::from(connections_max) * FILES_PER_CONNECTION + OWN_FILES;
    // No value means that there is no limit.
    if let Some(current) = getrlimit(Resource::Nofile)
        .current
        .filter(|current| *current < wanted)
    {
        tracing::warn!(
            current,
            wanted,
            "the limit of open files is low for server.connections_max: raise it (ulimit -n, LimitNOFILE) or lower the setting"
        );
    }
}
