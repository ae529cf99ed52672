//! How this node reaches the others: not at all while it is alone, by proven connections once it belongs to a cluster.

use std::io;

use arc_swap::ArcSwapOption;
use mesh::Mesh;
use peers::{NoTransport, PeerConnection, PeerTransport, async_trait};

/// The transport of this node for its whole life.
#[derive(Default)]
pub struct Fabric {
    mesh: ArcSwapOption<Mesh>,
}

impl Fabric {
    /// Connects by `mesh` from now on.
    pub(crate) fn weave(&self, mesh: Mesh) {
        self.mesh.store(Some(mesh.into()));
    }
}

#[async_trait]
impl PeerTransport for Fabric {
    async fn connect(&self, node: u64, address: &str) -> io::Result<PeerConnection> {
        match &*self.mesh.load() {
            Some(mesh) => mesh.connect(node, address).await,
            None => NoTransport.connect(node, address).await,
        }
    }
}
