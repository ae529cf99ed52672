//! The two halves of mutual TLS between nodes: who may call us, and who may answer us.
//!
//! Both first let rustls verify the chain, its times and its use, and then compare the identity in the certificate with
//! what is expected and with the removed nodes. Names that a peer sends outside of its certificate count for nothing.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::credentials::{ExpectedPeer, Shared};
use crate::fingerprint::AuthorityFingerprint;
use crate::node::Role;
use crate::peer::{PeerIdentity, PeerRefusal};

/// The most certificates beside its own that a peer may send.
const INTERMEDIATES_MAX: usize = 4;

/// Accepts a call from any node of the cluster that was not removed.
pub(crate) struct CallerVerifier(pub(crate) Arc<Shared>);

/// Accepts an answer from the node that was called, or from any member.
pub(crate) struct AnswerVerifier {
    pub(crate) shared: Arc<Shared>,
    pub(crate) expected: ExpectedPeer,
}

/// Accepts an answer from a member whose chain ends in the authority with this fingerprint, which the member sends.
pub(crate) struct FingerprintVerifier {
    pub(crate) fingerprint: AuthorityFingerprint,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for CallerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Authorities change while connections are made; a node has one certificate to choose from anyway.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        bound(intermediates)?;
        let current = self.0.current();
        let verified = current
            .callers
            .verify_client_cert(end_entity, intermediates, now)?;
        self.0.admit(&PeerIdentity::from_certificate(end_entity)?)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, self.0.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, self.0.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.algorithms().supported_schemes()
    }
}

impl ServerCertVerifier for AnswerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        bound(intermediates)?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.shared.current().roots,
            intermediates,
            now,
            self.shared.algorithms().all,
        )?;
        let peer = PeerIdentity::from_certificate(end_entity)?;
        self.shared.admit(&peer)?;
        match self.expected {
            ExpectedPeer::Node(expected) if peer.node != expected => Err(PeerRefusal::OtherNode {
                expected,
                found: peer.node,
            }
            .into()),
            ExpectedPeer::AnyMember if peer.role != Role::Member => {
                Err(PeerRefusal::NotAMember(peer.node).into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, self.shared.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, self.shared.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.shared.algorithms().supported_schemes()
    }
}

impl ServerCertVerifier for FingerprintVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        bound(intermediates)?;
        let authority = intermediates
            .iter()
            .find(|certificate| AuthorityFingerprint::of(certificate) == self.fingerprint)
            .ok_or(PeerRefusal::OtherAuthority)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        let peer = PeerIdentity::from_certificate(end_entity)?;
        if peer.role != Role::Member {
            return Err(PeerRefusal::NotAMember(peer.node).into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Refuses a chain longer than any of ours before anything of it is verified.
fn bound(intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
    if intermediates.len() > INTERMEDIATES_MAX {
        return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
    }
    Ok(())
}

impl fmt::Debug for CallerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerVerifier")
    }
}

impl fmt::Debug for AnswerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnswerVerifier({:?})", self.expected)
    }
}

impl fmt::Debug for FingerprintVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FingerprintVerifier({})", self.fingerprint)
    }
}
