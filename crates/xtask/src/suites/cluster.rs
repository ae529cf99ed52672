//! `cargo xtask cluster`: the suite `cluster` as long as a release wants it, where every change runs it short.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::long::{self, Programs};

/// What `cargo xtask cluster` may be told.
#[derive(Args)]
pub struct Options {
    /// How many nodes die between receiving a manifest and answering
    #[arg(long, default_value_t = 200)]
    manifest_kills: u32,
    /// How often each kind of node is killed under docker, podman and skopeo
    #[arg(long, default_value_t = 10)]
    client_rounds: u32,
    /// How many uploads are cut in the middle
    #[arg(long, default_value_t = 60)]
    upload_kills: u32,
    /// How often each kind of node is paused for 20 s
    #[arg(long, default_value_t = 4)]
    pauses: u32,
    /// How often the object store goes away for 10 s
    #[arg(long, default_value_t = 10)]
    store_losses: u32,
    /// How many connections between members are cut
    #[arg(long, default_value_t = 1000)]
    cut_connections: u32,
    /// How often a leader wakes that does not know that it is none
    #[arg(long, default_value_t = 100)]
    wakings: u32,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// When it has hung, in minutes
    #[arg(long, default_value_t = 120)]
    deadline: u64,
}

/// Installs, builds and runs it, one test after the other, so that each has the machine.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let time = Duration::from_secs(60 * options.deadline);
    long::run(root, "cluster", Programs::OfTests, time, |command| {
        let lengths = [
            ("CLUSTER_MANIFEST_KILLS", options.manifest_kills),
            ("CLUSTER_CLIENT_ROUNDS", options.client_rounds),
            ("CLUSTER_UPLOAD_KILLS", options.upload_kills),
            ("CLUSTER_PAUSES", options.pauses),
            ("CLUSTER_STORE_LOSSES", options.store_losses),
            ("CLUSTER_CUT_CONNECTIONS", options.cut_connections),
            ("CLUSTER_WAKINGS", options.wakings),
        ];
        command.envs(lengths.map(|(name, number)| (name, number.to_string())));
        command.args(["--test-threads", "1", "--nocapture"]);
        command.args(&options.only);
    })
}
