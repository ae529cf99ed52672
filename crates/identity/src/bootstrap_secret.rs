//! The secret by which nodes that start unattended know each other before there is a cluster, and by which later ones join.
//!
//! It never travels. Two nodes meet over TLS whose certificates prove nothing; each then shows a value that is made of the
//! secret and of this very connection (its exporter), so that nobody in between can pass it on. Whoever pretends to be the
//! other side learns such a value and could try secrets against it, so the secret has to be long.
//!
//! Spec: RFC 5705 and RFC 8446, section 7.5 (exporters); RFC 2104 (HMAC).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use metadata::ClusterId;
use rustls::ConnectionCommon;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use zeroize::Zeroize;

use crate::ALPN_JOIN;
use crate::authority::{Authority, AuthorityError, CERTIFICATE_LIFE_DEFAULT};
use crate::credentials::{Credentials, provider};
use crate::node::{NodeId, Role, UnixSeconds};
use crate::node_identity::NodeIdentity;
use crate::node_key::NodeKey;
use crate::revoked::Revoked;

/// The shortest secret, in characters.
pub const BOOTSTRAP_SECRET_CHARS_MIN: usize = 32;

const EXPORTER: &[u8] = b"EXPORTER-holdfast-bootstrap-1";

/// Which side of a connection shows a proof: that of one is none for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that has opened the connection.
    Asks,
    /// The one that was called.
    Answers,
}

/// What two sides of one connection share and nobody else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelBinding([u8; 32]);

impl ChannelBinding {
    /// That of this connection, whose handshake is complete.
    pub fn of<Data>(connection: &ConnectionCommon<Data>) -> Result<ChannelBinding, Error> {
        let exported = connection.export_keying_material([0; 32], EXPORTER, None)?;
        Ok(ChannelBinding(exported))
    }
}

/// The secret. Its `Debug` does not show it, and it is wiped when it is dropped.
#[derive(Clone)]
pub struct BootstrapSecret(Vec<u8>);

impl BootstrapSecret {
    /// The secret of this text; white space around it does not count.
    pub fn new(text: &str) -> Result<BootstrapSecret, ShortSecret> {
        let text = text.trim();
        if text.chars().count() < BOOTSTRAP_SECRET_CHARS_MIN {
            return Err(ShortSecret);
        }
        Ok(BootstrapSecret(text.as_bytes().to_vec()))
    }

    /// What `side` shows on a connection.
    pub fn prove(&self, side: Side, binding: ChannelBinding) -> [u8; 32] {
        let tag = hmac::sign(&self.key(), &said(side, binding));
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }

    /// Whether `proof` is what `side` shows on a connection if it has the secret. Takes the same time whatever it is.
    pub fn is_proven(&self, side: Side, binding: ChannelBinding, proof: &[u8; 32]) -> bool {
        hmac::verify(&self.key(), &said(side, binding), proof).is_ok()
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(HMAC_SHA256, &self.0)
    }
}

fn said(side: Side, binding: ChannelBinding) -> Vec<u8> {
    let side: &[u8] = match side {
        Side::Asks => b"holdfast bootstrap asks ",
        Side::Answers => b"holdfast bootstrap answers ",
    };
    [side, &binding.0].concat()
}

impl Drop for BootstrapSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for BootstrapSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BootstrapSecret(..)")
    }
}

/// The secret could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the bootstrap secret has to be at least {BOOTSTRAP_SECRET_CHARS_MIN} characters long: `openssl rand -hex 32` makes one"
)]
pub struct ShortSecret;

/// Credentials of a node that belongs to no cluster yet, to be called with: they prove nothing, and are of a cluster that
/// nobody is in.
pub fn credentials_of_nobody(now: UnixSeconds) -> Result<Credentials, AuthorityError> {
    let authority = Authority::create(ClusterId(0), now)?;
    let key = NodeKey::generate();
    let certificate = authority.sign(
        &key.signing_request(),
        NodeId(0),
        Role::Member,
        now,
        CERTIFICATE_LIFE_DEFAULT,
    )?;
    let authorities = vec![authority.certificate().clone()];
    let identity = NodeIdentity::new(key, certificate, authorities)
        .expect("what was just signed makes an identity");
    Ok(Credentials::new(identity, Revoked::default()).expect("rustls takes what we make"))
}

/// For a node that has nothing but the bootstrap secret: TLS 1.3 with [`ALPN_JOIN`] to anybody. Both sides have to show that
/// they have the secret before anything that is one is sent, and before anything that comes is believed.
pub fn unproven_client_config() -> Arc<ClientConfig> {
    let provider = provider();
    let verifier = Anybody(provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has cipher suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![ALPN_JOIN.to_vec()];
    Arc::new(config)
}

/// Accepts any certificate whose key the other side has.
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

impl fmt::Debug for Anybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anybody")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proof_is_good_for_one_side_of_one_connection() {
        let secret = BootstrapSecret::new(&"s".repeat(32)).expect("long enough");
        let other = BootstrapSecret::new(&"t".repeat(32)).expect("long enough");
        let (here, there) = (ChannelBinding([1; 32]), ChannelBinding([2; 32]));
        let proof = secret.prove(Side::Asks, here);
        assert!(secret.is_proven(Side::Asks, here, &proof));
        assert!(!secret.is_proven(Side::Answers, here, &proof));
        assert!(!secret.is_proven(Side::Asks, there, &proof));
        assert!(!other.is_proven(Side::Asks, here, &proof));
    }

    #[test]
    fn short_secret_is_refused_and_none_is_shown() {
        assert!(BootstrapSecret::new(&" ".repeat(40)).is_err());
        assert!(BootstrapSecret::new(&"s".repeat(31)).is_err());
        let secret = BootstrapSecret::new(&format!(" {}\n", "s".repeat(32)));
        assert!(!format!("{secret:?}").contains("sss"));
    }
}
