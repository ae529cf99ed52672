//! What a failed handshake means, in one line for the log: rustls knows certificates, and not what a cluster is.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use crate::peer::PeerRefusal;

/// One line that says why a handshake of ours failed, for whoever operates the cluster.
pub fn explain(error: &Error) -> String {
    if let Some(refusal) = refusal(error) {
        return refusal.to_string();
    }
    let text = match error {
        Error::NoCertificatesPresented => "the peer has no certificate of a cluster",
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the peer's certificate is not signed by an authority of this cluster: it belongs to another cluster, or to \
             this one before it was restored"
        }
        Error::InvalidCertificate(CertificateError::Revoked) => {
            "the peer was removed from the cluster"
        }
        Error::AlertReceived(AlertDescription::CertificateRevoked) => {
            "the peer says that this node was removed from the cluster"
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "the peer belongs to another cluster than this node"
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "this node's certificate has expired, or the clocks differ: it has to join again"
        }
        other => return other.to_string(),
    };
    text.to_owned()
}

/// The refusal of ours that is in `error`, if it is one. A removed peer is not among them: rustls carries only that it was.
pub fn refusal(error: &Error) -> Option<PeerRefusal> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref::<PeerRefusal>().copied()
        }
        _ => None,
    }
}

/// The error of rustls inside of an error of a connection, if that is where it came from.
pub fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether `error` is the other side saying that this node was removed from the cluster.
///
/// Believe it only when it comes from reading a connection that this node opened and whose handshake it has completed:
/// then a node of the cluster has said it. That is also where it comes from, since in TLS 1.3 a caller is done before its
/// own certificate is looked at. Before that, and on connections that others open, anybody can send the alert, and a
/// node that stopped for it could be stopped by anybody.
pub fn says_removed(error: &Error) -> bool {
    matches!(
        error,
        Error::AlertReceived(AlertDescription::CertificateRevoked)
    )
}
