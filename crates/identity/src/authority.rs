//! The cluster's own certificate authority, which signs what nodes ask for.
//!
//! It has no clock: the time comes in, from the log or from the one who calls. It never sees a node's private key. Its own
//! key leaves it as PEM only to be sealed (`seal`) and kept in the log.
//!
//! Spec: RFC 5280, sections 4.1 and 4.2.

use std::fmt;
use std::time::Duration;

use metadata::ClusterId;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use zeroize::{Zeroize, Zeroizing};

use crate::certificate;
use crate::fingerprint::AuthorityFingerprint;
use crate::node::{NodeId, Role, UnixSeconds};
use crate::node_key::SigningRequest;
use crate::peer::{self, PeerIdentity};
use crate::random;
use crate::recovery_key::RecoveryKey;

/// How long a node's certificate lives unless something else is asked for.
pub const CERTIFICATE_LIFE_DEFAULT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long before the moment of signing a certificate is valid, because the clocks of nodes differ.
pub const CLOCK_SKEW_ALLOWED: Duration = Duration::from_secs(5 * 60);

/// How long the authority itself lives; it is replaced by accepting two of them for a while.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);

/// The certificate authority of one cluster: whoever has it decides who is a node. Its `Debug` shows no key.
pub struct Authority {
    cluster: ClusterId,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    /// A new authority with a new key (ECDSA on P-256) for `cluster`, valid from shortly before `now`.
    pub fn create(cluster: ClusterId, now: UnixSeconds) -> Result<Authority, AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let serial = serial_number();
        let mut params = CertificateParams::default();
        // Invariant: no two authorities share a name, so that a chain says which of two it leads to.
        let name = format!(
            "Holdfast authority {}",
            hex::encode(&serial.to_bytes()[..8])
        );
        name_subject(&mut params, &name, cluster);
        params.serial_number = Some(serial);
        params.subject_alt_names = vec![SanType::URI(
            certificate::authority_uri(cluster).try_into()?,
        )];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        limit_validity(&mut params, now, AUTHORITY_LIFE)?;
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Authority {
            cluster,
            certificate,
            key,
        })
    }

    /// The authority that [`certificate_pem`](Authority::certificate_pem) and [`key_pem`](Authority::key_pem) wrote.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Authority, AuthorityError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| AuthorityError::Certificate("it is no certificate in PEM"))?;
        let key = KeyPair::from_pem(key).map_err(|_| AuthorityError::Key)?;
        let parsed = certificate::parse(&der)
            .map_err(|_| AuthorityError::Certificate("it is no X.509 certificate"))?;
        let cluster = certificate::authority_cluster(&parsed).map_err(|_| {
            AuthorityError::Certificate("it is not the certificate of a cluster's authority")
        })?;
        if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
            return Err(AuthorityError::KeyOfAnother);
        }
        Ok(Authority {
            cluster,
            certificate: der,
            key,
        })
    }

    /// Its private key, sealed with `key`: as the log keeps it.
    pub fn sealed_key(&self, key: &RecoveryKey) -> Vec<u8> {
        let place = sealed_place(self.cluster);
        crate::seal(key, place.as_bytes(), self.key_pem().as_bytes())
    }

    /// The authority of `certificate` whose key [`sealed_key`](Authority::sealed_key) sealed for `cluster`.
    pub fn open(
        cluster: ClusterId,
        certificate: &[u8],
        sealed_key: &[u8],
        key: &RecoveryKey,
    ) -> Result<Authority, AuthorityError> {
        let opened = crate::open(key, sealed_place(cluster).as_bytes(), sealed_key)?;
        let key = std::str::from_utf8(&opened).map_err(|_| AuthorityError::Key)?;
        let certificate = certificate::to_pem(&CertificateDer::from(certificate));
        Authority::from_pem(&certificate, key)
    }

    /// The cluster whose nodes it signs for.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Its certificate, which is no secret.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        certificate::to_pem(&self.certificate)
    }

    /// Its private key in PEM (PKCS #8), to be sealed at once: it makes nodes.
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// By which nodes without a certificate know it.
    pub fn fingerprint(&self) -> AuthorityFingerprint {
        AuthorityFingerprint::of(&self.certificate)
    }

    /// The certificate of node `node` as a `role`, for the key that `request` proved to have. It is valid from
    /// [`CLOCK_SKEW_ALLOWED`] before `now` until `life` after it. Of the request only the key counts: who the node is, is
    /// decided here.
    pub fn sign(
        &self,
        request: &SigningRequest,
        node: NodeId,
        role: Role,
        now: UnixSeconds,
        life: Duration,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let identity = PeerIdentity {
            cluster: self.cluster,
            node,
            role,
        };
        let mut params = CertificateParams::default();
        name_subject(&mut params, &format!("{role} {node}"), self.cluster);
        params.serial_number = Some(serial_number());
        params.subject_alt_names = vec![
            SanType::URI(identity.uri().try_into()?),
            SanType::DnsName(peer::dns_name(self.cluster, node).try_into()?),
        ];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        limit_validity(&mut params, now, life)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        let signed = params.signed_by(request.public_key(), &issuer)?;
        Ok(signed.der().clone())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("cluster", &self.cluster)
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

/// 127 random bits: positive, and never the same twice.
pub(crate) fn serial_number() -> SerialNumber {
    let mut serial: [u8; 16] = random::bytes();
    // The first bit is the sign; the second keeps the number from beginning with an empty byte.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    SerialNumber::from_slice(&serial)
}

/// What a sealed key is bound to.
fn sealed_place(cluster: ClusterId) -> String {
    format!("{cluster}/authority")
}

fn name_subject(params: &mut CertificateParams, name: &str, cluster: ClusterId) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(
        DnType::OrganizationName,
        format!("Holdfast cluster {cluster}"),
    );
    params.distinguished_name.push(DnType::CommonName, name);
}

pub(crate) fn limit_validity(
    params: &mut CertificateParams,
    now: UnixSeconds,
    life: Duration,
) -> Result<(), AuthorityError> {
    let date = |moment: UnixSeconds| {
        i64::try_from(moment.0)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .ok_or(AuthorityError::Time)
    };
    params.not_before = date(now.before(CLOCK_SKEW_ALLOWED))?;
    params.not_after = date(now.after(life))?;
    Ok(())
}

/// Why an authority could not be made, loaded or used. None of it passes by trying again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The certificate is not that of an authority.
    #[error("the authority's certificate cannot be used: {0}")]
    Certificate(&'static str),
    /// The key cannot be read.
    #[error("the authority's private key cannot be read: it has to be PKCS #8 in PEM")]
    Key,
    /// The key and the certificate are not of one authority.
    #[error("the authority's private key does not belong to its certificate")]
    KeyOfAnother,
    /// The time is beyond what a certificate can say.
    #[error("the time is outside of what a certificate can hold")]
    Time,
    /// The sealed key does not open.
    #[error("the authority's private key does not open: {0}")]
    Sealed(#[from] crate::OpenError),
    /// The library refused.
    #[error("the certificate could not be made: {0}")]
    Library(#[from] rcgen::Error),
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
