//! What every connection of a node is made with, and how it changes while the node runs.
//!
//! The configurations for rustls are made once; the identity, the believed authorities and the removed nodes behind them
//! are replaced at any time. New handshakes see the new ones, and connections that exist live on. Sessions are never
//! resumed: a resumed one would ask no verifier, and so would let a removed node in.
//!
//! Spec: RFC 8446 (TLS 1.3 only).

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CommonState, RootCertStore, SignatureScheme};

use crate::node::NodeId;
use crate::node_identity::NodeIdentity;
use crate::peer::{PeerIdentity, PeerRefusal};
use crate::revoked::Revoked;
use crate::verifier::{AnswerVerifier, CallerVerifier};
use crate::{ALPN_CLUSTER, ALPN_JOIN};

/// Whom a connection that we open shall reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpectedPeer {
    /// This node and no other, whatever it is.
    Node(NodeId),
    /// Any member of the cluster.
    AnyMember,
}

/// The identity of this node and the nodes that it accepts, as rustls uses them. Clones are one and the same: a change
/// made to one is seen by all, and by every configuration that any of them gave.
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
    serving: Arc<ServerConfig>,
    joining: Arc<ServerConfig>,
}

/// What configurations refer to.
pub(crate) struct Shared {
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
    revoked: ArcSwap<Revoked>,
}

/// One identity, in the forms that handshakes need. Replaced as a whole.
pub(crate) struct Current {
    identity: Arc<NodeIdentity>,
    certified: Arc<CertifiedKey>,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) callers: Arc<dyn ClientCertVerifier>,
}

impl Credentials {
    /// Credentials that show `identity`, believe its authorities, and refuse the `revoked` nodes.
    pub fn new(identity: NodeIdentity, revoked: Revoked) -> Result<Credentials, rustls::Error> {
        let provider = provider();
        let shared = Arc::new(Shared {
            current: ArcSwap::from_pointee(Current::new(identity, &provider)?),
            revoked: ArcSwap::from_pointee(revoked),
            provider,
        });
        Ok(Credentials {
            serving: Arc::new(serving_config(&shared)),
            joining: Arc::new(joining_config(&shared)),
            shared,
        })
    }

    /// Shows `identity`, and believes its authorities, from the next handshake on. It has to be of this very node: save it
    /// first, then rotate.
    pub fn rotate(&self, identity: NodeIdentity) -> Result<(), RotateError> {
        let (ours, theirs) = (self.identity().who(), identity.who());
        if (ours.cluster, ours.node) != (theirs.cluster, theirs.node) {
            return Err(RotateError::OtherNode { ours, theirs });
        }
        let next = Current::new(identity, &self.shared.provider)?;
        self.shared.current.store(Arc::new(next));
        Ok(())
    }

    /// Refuses these nodes, and no others, from the next handshake on. Connections that exist are the caller's to close:
    /// see [`peer`](Credentials::peer).
    pub fn replace_revoked(&self, revoked: Revoked) {
        self.shared.revoked.store(Arc::new(revoked));
    }

    /// The nodes that are refused now.
    pub fn revoked(&self) -> Arc<Revoked> {
        self.shared.revoked.load_full()
    }

    /// The identity that is shown now.
    pub fn identity(&self) -> Arc<NodeIdentity> {
        Arc::clone(&self.shared.current().identity)
    }

    /// For the side that is called: TLS 1.3 with [`ALPN_CLUSTER`], for callers with a certificate of this cluster only,
    /// members and gateways alike. What a role may ask for is decided above.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.serving)
    }

    /// For the side that is called by nodes without a certificate: TLS 1.3 with [`ALPN_JOIN`], which proves who we are and
    /// nothing about the caller.
    pub fn joining_server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.joining)
    }

    /// The configuration for what a caller offers, when one port serves both: joining only for a caller that offers
    /// nothing but [`ALPN_JOIN`]. Which it was is in the connection's `alpn_protocol()`.
    pub fn server_config_for(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let wants_to_join = hello.alpn().is_some_and(|mut offered| {
            offered.next() == Some(ALPN_JOIN) && offered.next().is_none()
        });
        if wants_to_join {
            self.joining_server_config()
        } else {
            self.server_config()
        }
    }

    /// For the side that calls: TLS 1.3 with [`ALPN_CLUSTER`], to `expected` and no other. Any server name does, such as
    /// [`server_name`](crate::server_name) gives: the certificate decides.
    pub fn client_config(&self, expected: ExpectedPeer) -> Arc<ClientConfig> {
        let verifier = AnswerVerifier {
            shared: Arc::clone(&self.shared),
            expected,
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.shared.provider))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has cipher suites of TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(Shown(Arc::clone(&self.shared))));
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![ALPN_CLUSTER.to_vec()];
        Arc::new(config)
    }

    /// Who is at the other end of a connection of ours, after its handshake; refused if it was removed since. Cheap enough
    /// to ask again for each request of a connection that lives long.
    pub fn peer(&self, connection: &CommonState) -> Result<PeerIdentity, PeerRefusal> {
        let certificate = connection
            .peer_certificates()
            .and_then(<[CertificateDer<'_>]>::first)
            .ok_or(PeerRefusal::NoIdentity)?;
        let peer = PeerIdentity::from_certificate(certificate)?;
        self.shared.admit(&peer)?;
        Ok(peer)
    }
}

impl Shared {
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    pub(crate) fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    /// Refuses nodes of other clusters and removed ones.
    pub(crate) fn admit(&self, peer: &PeerIdentity) -> Result<(), PeerRefusal> {
        let expected = self.current.load().identity.cluster();
        if peer.cluster != expected {
            return Err(PeerRefusal::OtherCluster {
                expected,
                found: peer.cluster,
                node: peer.node,
            });
        }
        if self.revoked.load().contains(peer.node) {
            return Err(PeerRefusal::Removed(peer.node));
        }
        Ok(())
    }
}

impl Current {
    fn new(
        identity: NodeIdentity,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Current, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for authority in identity.authorities() {
            roots.add(authority.clone())?;
        }
        let roots = Arc::new(roots);
        let callers =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        // The authority goes along, for those who know it by its fingerprint only.
        let chain = vec![
            identity.certificate().clone(),
            identity.authorities()[0].clone(),
        ];
        let certified = CertifiedKey::from_der(chain, identity.key().to_der(), provider)?;
        Ok(Current {
            identity: Arc::new(identity),
            certified: Arc::new(certified),
            roots,
            callers,
        })
    }
}

/// The one provider of cryptography, named and not looked up, so that nothing has to be installed first.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn serving_config(shared: &Arc<Shared>) -> ServerConfig {
    let config = ServerConfig::builder_with_provider(Arc::clone(&shared.provider))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites of TLS 1.3")
        .with_client_cert_verifier(Arc::new(CallerVerifier(Arc::clone(shared))))
        .with_cert_resolver(Arc::new(Shown(Arc::clone(shared))));
    without_resumption(config, ALPN_CLUSTER)
}

fn joining_config(shared: &Arc<Shared>) -> ServerConfig {
    let config = ServerConfig::builder_with_provider(Arc::clone(&shared.provider))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites of TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown(Arc::clone(shared))));
    without_resumption(config, ALPN_JOIN)
}

fn without_resumption(mut config: ServerConfig, protocol: &[u8]) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

/// Gives each handshake the identity that is current then.
struct Shown(Arc<Shared>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().certified))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({:?})", self.0.current().identity.who())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("who", &self.identity().who())
            .field("revoked", &self.revoked())
            .finish_non_exhaustive()
    }
}

/// Why the credentials did not change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The identity is that of another node.
    #[error(
        "the new identity is of node {} of cluster {}, and this is node {} of cluster {}",
        theirs.node, theirs.cluster, ours.node, ours.cluster
    )]
    OtherNode {
        /// Who this is.
        ours: PeerIdentity,
        /// Whose identity it is.
        theirs: PeerIdentity,
    },
    /// rustls cannot use the key or the certificates.
    #[error("the new identity cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}
