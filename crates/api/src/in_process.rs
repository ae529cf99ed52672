//! A server for connections that are not sockets: whatever bytes a test sends go the way of those from the network.
//!
//! Only with the feature `in-process`, which only builds of tests have.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use front::{Arrival, Front};
use registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::mounted::Mounted;
use crate::pages::Info;
use crate::server::{Making, Shared, connection, place};
use crate::settings::Settings;

/// A server without listeners.
#[derive(Clone)]
pub struct InProcess {
    shared: Arc<Shared>,
}

impl InProcess {
    /// A server over these use-cases.
    #[must_use]
    pub fn new(registry: Registry, settings: Settings) -> InProcess {
        let info = Info {
            version: "0".to_owned(),
            revision: None,
            addresses: Vec::new(),
        };
        let shared = Shared::new(Making {
            registry,
            access: None,
            mounted: Mounted::default(),
            limits: None,
            settings,
            front: Front::plain(),
            info,
            reports: Vec::new(),
            metrics: None,
            draining: Arc::new(AtomicBool::new(false)),
            end_bodies: CancellationToken::new(),
            without_answers: CancellationToken::new(),
        });
        InProcess {
            shared: Arc::new(shared),
        }
    }

    /// Serves one connection to its end.
    pub async fn serve<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let place = place(&self.shared).await;
        let arrival = Arrival::plain(nobody);
        connection(stream, arrival, place, Arc::clone(&self.shared)).await;
    }
}
