//! The cluster gets its name, once.

use super::state::{State, Stop};
use crate::object_key::ClusterId;
use crate::reply::{Refusal, Reply};

/// [`crate::Command::InitializeCluster`].
pub(super) fn initialize(state: &mut State<'_>, cluster: ClusterId) -> Result<Reply, Stop> {
    if let Some(cluster) = state.cluster.cluster {
        return Err(Refusal::AlreadyInitialized { cluster }.into());
    }
    state.cluster.cluster = Some(cluster);
    Ok(Reply::Initialized { cluster })
}
