//! Who a node of a cluster is, and how nodes recognise each other.
//!
//! A cluster has an authority of its own ([`Authority`]), whose certificate is the only thing that its nodes trust. A node
//! makes a key that never leaves it ([`NodeKey`]), asks for a certificate by a [`SigningRequest`], and keeps what it got in
//! one file ([`NodeIdentity`]). From then on every connection between nodes is mutual TLS 1.3 by [`Credentials`], which
//! change without a restart. Before it has a certificate, a node knows the cluster by a [`JoinToken`]. Secrets that the log
//! keeps, and the copy of the log beside the blobs, are sealed with the cluster's [`RecoveryKey`].
//!
//! It never reads a clock but through rustls' own, never logs, never opens a connection, and never trusts a name that a
//! peer sends before the certificate that carries it was verified.
//!
//! Why so: `docs/decisions/0012-an-authority-per-cluster.md`.

mod authority;
mod bootstrap_secret;
mod certificate;
mod credentials;
mod durable_file;
mod explain;
mod fingerprint;
mod join_token;
mod joining;
mod node;
mod node_identity;
mod node_key;
mod peer;
mod random;
mod recovery_key;
mod revoked;
mod sealed;
mod sealed_stream;
mod serving;
mod verifier;

pub use authority::{Authority, AuthorityError, CERTIFICATE_LIFE_DEFAULT, CLOCK_SKEW_ALLOWED};
pub use bootstrap_secret::{
    BOOTSTRAP_SECRET_CHARS_MIN, BootstrapSecret, ChannelBinding, ShortSecret, Side,
    credentials_of_nobody, unproven_client_config,
};
pub use credentials::{Credentials, ExpectedPeer, RotateError};
pub use durable_file::FileError;
pub use explain::{explain, refusal, says_removed, tls_error};
pub use fingerprint::{AuthorityFingerprint, FingerprintError};
pub use join_token::{JoinToken, TokenError, TokenHash, TokenId, TokenRefusal, TokenSecret};
pub use joining::joining_client_config;
pub use node::{NodeId, Role, UnixSeconds, UnknownRole};
pub use node_identity::{AUTHORITIES_MAX, IdentityError, NodeIdentity};
pub use node_key::{NodeKey, SIGNING_REQUEST_BYTES_MAX, SigningRequest, SigningRequestError};
pub use peer::{PeerIdentity, PeerRefusal, server_name};
pub use recovery_key::{RecoveryKey, RecoveryKeyError};
pub use revoked::Revoked;
pub use sealed::{OpenError, open, seal};
pub use sealed_stream::{StreamOpener, StreamSealer};
pub use serving::{ServingError, ServingFiles, keep_serving_certificate};

/// The application protocol of connections between nodes that both have a certificate.
pub const ALPN_CLUSTER: &[u8] = b"h2";

/// The application protocol of a connection by which a node without a certificate asks for one.
pub const ALPN_JOIN: &[u8] = b"holdfast-join";
