//! Who the other end of a connection is, and why it may be nobody that we talk to.
//!
//! A [`PeerIdentity`] that was read from a certificate is a claim; it is a fact only when the handshake of
//! [`Credentials`](crate::Credentials) has accepted that certificate.

use metadata::ClusterId;
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};

use crate::certificate;
use crate::node::{NodeId, Role};

/// Who a node is, as its certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdentity {
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
    /// Its id there.
    pub node: NodeId,
    /// What it is there.
    pub role: Role,
}

impl PeerIdentity {
    /// What `certificate` says. After a handshake, give it the first of the connection's `peer_certificates()`.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<PeerIdentity, PeerRefusal> {
        let parsed = certificate::parse(certificate).map_err(|_| PeerRefusal::NoIdentity)?;
        let (cluster, rest) =
            certificate::cluster_and_rest(&parsed).map_err(|_| PeerRefusal::NoIdentity)?;
        let identity = PeerIdentity::from_path(cluster, rest).ok_or(PeerRefusal::NoIdentity)?;
        // Invariant: a name has one spelling, so that two names are never one node.
        if identity.path() != rest {
            return Err(PeerRefusal::NoIdentity);
        }
        Ok(identity)
    }

    fn from_path(cluster: ClusterId, path: &str) -> Option<PeerIdentity> {
        let (node, role) = path.strip_prefix("node/")?.split_once("?role=")?;
        Some(PeerIdentity {
            cluster,
            node: NodeId(node.parse().ok()?),
            role: role.parse().ok()?,
        })
    }

    fn path(&self) -> String {
        format!("node/{}?role={}", self.node, self.role)
    }

    /// The name in the certificate: `holdfast://<cluster>/node/<id>?role=<role>`.
    pub(crate) fn uri(&self) -> String {
        certificate::uri(self.cluster, &self.path())
    }
}

/// The DNS name in the certificate of `node`. It resolves nowhere.
pub(crate) fn dns_name(cluster: ClusterId, node: NodeId) -> String {
    format!("node-{node}.{cluster}.holdfast")
}

/// The name to ask a node for in a handshake. Which node answers is decided by its certificate and not by this name.
pub fn server_name(cluster: ClusterId, node: NodeId) -> ServerName<'static> {
    let name = DnsName::try_from(dns_name(cluster, node))
        .expect("digits, small letters, hyphens and dots in short labels are a DNS name");
    ServerName::DnsName(name)
}

/// Why a peer with a valid chain is refused all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerRefusal {
    /// The certificate names no node.
    #[error("the peer's certificate names no node of a Holdfast cluster")]
    NoIdentity,
    /// It is a node of another cluster.
    #[error("the peer is node {node} of cluster {found}, and this is cluster {expected}")]
    OtherCluster {
        /// The cluster that we are.
        expected: ClusterId,
        /// The cluster that it is of.
        found: ClusterId,
        /// Which node it is there.
        node: NodeId,
    },
    /// Another node answers at this address.
    #[error("the peer is node {found}, and node {expected} was expected at this address")]
    OtherNode {
        /// Whom we called.
        expected: NodeId,
        /// Who answered.
        found: NodeId,
    },
    /// A gateway answers where a member was called.
    #[error("the peer is gateway {0}, and a member was expected at this address")]
    NotAMember(NodeId),
    /// It sent no authority certificate with the fingerprint that the join token has.
    #[error(
        "the peer does not belong to the cluster of the join token: none of its certificates has the token's fingerprint"
    )]
    OtherAuthority,
    /// It was removed from the cluster.
    #[error("node {0} was removed from the cluster")]
    Removed(NodeId),
}

impl From<PeerRefusal> for rustls::Error {
    fn from(refusal: PeerRefusal) -> rustls::Error {
        let error = match refusal {
            // The one reason that the peer is told by name: it has to stop.
            PeerRefusal::Removed(_) => CertificateError::Revoked,
            refusal => CertificateError::Other(rustls::OtherError(std::sync::Arc::new(refusal))),
        };
        rustls::Error::InvalidCertificate(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId(7);

    #[test]
    fn name_has_one_spelling() {
        let identity = PeerIdentity {
            cluster: CLUSTER,
            node: NodeId(12),
            role: Role::Gateway,
        };
        assert_eq!(
            identity.uri(),
            "holdfast://00000000000000000000000000000007/node/12?role=gateway"
        );
        assert_eq!(
            PeerIdentity::from_path(CLUSTER, &identity.path()),
            Some(identity)
        );
        for wrong in [
            "node/12",
            "node/-1?role=member",
            "node/1?role=king",
            "12?role=member",
        ] {
            assert_eq!(PeerIdentity::from_path(CLUSTER, wrong), None, "{wrong}");
        }
        let padded = PeerIdentity::from_path(CLUSTER, "node/+012?role=gateway").unwrap();
        assert_ne!(padded.path(), "node/+012?role=gateway");
    }

    #[test]
    fn every_node_has_a_server_name() {
        let name = server_name(ClusterId(u128::MAX), NodeId(u64::MAX));
        assert!(name.to_str().starts_with("node-18446744073709551615.ffff"));
    }
}
