//! How long a run is to be: short enough for every change, or as long as `cargo xtask cluster` says.

/// The lengths that differ.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// How many nodes die between receiving a manifest and answering.
    pub manifest_kills: usize,
    /// How many times each kind of node is killed under the real clients.
    pub client_rounds: usize,
    /// How many uploads are cut in the middle.
    pub upload_kills: usize,
    /// How many pauses of each kind of node.
    pub pauses: usize,
    /// How many times the object store goes away.
    pub store_losses: usize,
    /// How many connections between members are cut.
    pub cut_connections: usize,
    /// How often a leader wakes that does not know that it is none.
    pub wakings: usize,
}

/// Of every change.
const SHORT: Length = Length {
    manifest_kills: 6,
    client_rounds: 1,
    upload_kills: 3,
    pauses: 1,
    store_losses: 1,
    cut_connections: 200,
    wakings: 5,
};

impl Length {
    /// What the environment says: `CLUSTER_MANIFEST_KILLS` and its like, each alone.
    pub fn of_this_run() -> Length {
        let number = |name: &str, short: usize| {
            let said = std::env::var(format!("CLUSTER_{name}")).ok();
            said.and_then(|said| said.parse().ok()).unwrap_or(short)
        };
        Length {
            manifest_kills: number("MANIFEST_KILLS", SHORT.manifest_kills),
            client_rounds: number("CLIENT_ROUNDS", SHORT.client_rounds),
            upload_kills: number("UPLOAD_KILLS", SHORT.upload_kills),
            pauses: number("PAUSES", SHORT.pauses),
            store_losses: number("STORE_LOSSES", SHORT.store_losses),
            cut_connections: number("CUT_CONNECTIONS", SHORT.cut_connections),
            wakings: number("WAKINGS", SHORT.wakings),
        }
    }
}
