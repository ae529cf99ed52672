//! What a node has to show: its key, its certificate, and the authorities that it believes.
//!
//! All of it is in one file, so that a node that dies while it renews has the old identity or the new one, never the key
//! of one with the certificate of the other. The file is in PEM: the key, the node's certificate, the authorities'.

use std::path::{Path, PathBuf};

use metadata::ClusterId;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use zeroize::{Zeroize, Zeroizing};

use crate::certificate;
use crate::durable_file::{self, FileError};
use crate::fingerprint::AuthorityFingerprint;
use crate::node::{NodeId, Role, UnixSeconds};
use crate::node_key::{NodeKey, SigningRequest};
use crate::peer::PeerIdentity;

/// The file of an identity.
const FILE: &str = "node.pem";

/// The most authorities that an identity believes: the one that is, and the one that was or will be, and one to spare.
pub const AUTHORITIES_MAX: usize = 3;

/// What each block of PEM begins with.
const BEGINNING: &str = "-----BEGIN ";

/// More than a key and four certificates have in PEM.
const PEM_BYTES_EXPECTED: usize = 16 * 1024;

/// What to do about a file that holds no usable identity.
const REJOIN: &str =
    "put the file back from a copy, or remove it and join the node again with a new token";

/// The identity of one node. Its `Debug` shows no key, and the key's bytes are wiped when it is dropped.
#[derive(Debug, Clone)]
pub struct NodeIdentity {
    key: NodeKey,
    certificate: CertificateDer<'static>,
    /// Invariant: one to [`AUTHORITIES_MAX`], all of the node's cluster; the first signed `certificate`.
    authorities: Vec<CertificateDer<'static>>,
    who: PeerIdentity,
    valid_from: UnixSeconds,
    valid_until: UnixSeconds,
}

impl NodeIdentity {
    /// The identity made of the node's key, the certificate that the authority signed for it, and the certificates of all
    /// authorities that the node shall believe, in any order, which must include the one that signed.
    pub fn new(
        key: NodeKey,
        certificate: CertificateDer<'static>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<NodeIdentity, IdentityError> {
        let who = PeerIdentity::from_certificate(&certificate)
            .map_err(|_| IdentityError::NotANodesCertificate)?;
        let parsed =
            certificate::parse(&certificate).map_err(|_| IdentityError::NotANodesCertificate)?;
        if parsed.public_key().raw != key.public_key_info() {
            return Err(IdentityError::KeyOfAnother);
        }
        let authorities = issuer_first(&parsed, who.cluster, authorities)?;
        let (valid_from, valid_until) = certificate::validity(&parsed);
        Ok(NodeIdentity {
            key,
            certificate,
            authorities,
            who,
            valid_from,
            valid_until,
        })
    }

    /// The identity in `folder`, or that there is none. Reads files: call it off the runtime's threads.
    pub fn load(folder: &Path) -> Result<Option<NodeIdentity>, FileError> {
        let path = NodeIdentity::path(folder);
        let Some(text) = durable_file::read_secret(&path)? else {
            return Ok(None);
        };
        NodeIdentity::from_pem(&text)
            .map(Some)
            .map_err(|error| FileError::damaged(&path, error.to_string(), REJOIN))
    }

    /// Makes this the identity in `folder`, in one step and durably, and forgets the key that was kept for it there by
    /// [`NodeKey::pending`]. Writes with fsync: call it off the runtime's threads.
    pub fn save(&self, folder: &Path) -> Result<(), FileError> {
        durable_file::write_secret(&NodeIdentity::path(folder), self.to_pem().as_bytes())?;
        NodeKey::forget_pending(folder)
    }

    /// The file that [`save`](NodeIdentity::save) writes.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    fn from_pem(text: &str) -> Result<NodeIdentity, IdentityError> {
        let blocks = pem::parse_many(text).map_err(|_| IdentityError::NotPem)?;
        // The parser passes over a block that is cut off; a lost authority would be noticed much later.
        if blocks.len() != text.matches(BEGINNING).count() {
            return Err(IdentityError::NotPem);
        }
        let mut key = None;
        let mut certificates = Vec::new();
        for block in blocks {
            let tag = block.tag().to_owned();
            let mut content = block.into_contents();
            match tag.as_str() {
                certificate::CERTIFICATE_LABEL => certificates.push(CertificateDer::from(content)),
                "PRIVATE KEY" if key.is_none() => {
                    key = NodeKey::from_pkcs8(&content);
                    content.zeroize();
                }
                _ => return Err(IdentityError::NotPem),
            }
        }
        let key = key.ok_or(IdentityError::NoKey)?;
        if certificates.is_empty() {
            return Err(IdentityError::NotANodesCertificate);
        }
        let certificate = certificates.remove(0);
        NodeIdentity::new(key, certificate, certificates)
    }

    fn to_pem(&self) -> Zeroizing<String> {
        // Room for all of it, so that growing leaves no copy of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(PEM_BYTES_EXPECTED));
        text.push_str(&self.key.to_pem());
        for certificate in self.chain_with_all_authorities() {
            text.push_str(&certificate::to_pem(certificate));
        }
        text
    }

    fn chain_with_all_authorities(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        std::iter::once(&self.certificate).chain(&self.authorities)
    }

    /// Who this node is.
    pub fn who(&self) -> PeerIdentity {
        self.who
    }

    /// The cluster that it belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.who.cluster
    }

    /// Its id.
    pub fn node(&self) -> NodeId {
        self.who.node
    }

    /// What it is.
    pub fn role(&self) -> Role {
        self.who.role
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificates of the authorities that it believes; the first signed its own.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The fingerprint of the authority that signed its certificate: the one for join tokens that this node shall serve.
    pub fn authority_fingerprint(&self) -> AuthorityFingerprint {
        AuthorityFingerprint::of(&self.authorities[0])
    }

    /// The last moment at which others accept it.
    pub fn valid_until(&self) -> UnixSeconds {
        self.valid_until
    }

    /// When to ask for the next certificate: two thirds of its life are over.
    pub fn renew_at(&self) -> UnixSeconds {
        let life = self.valid_until.0.saturating_sub(self.valid_from.0);
        UnixSeconds(self.valid_until.0 - life / 3)
    }

    /// The same identity with another set of believed authorities, as the rotation of the authority needs it.
    pub fn believing(
        &self,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<NodeIdentity, IdentityError> {
        NodeIdentity::new(self.key.clone(), self.certificate.clone(), authorities)
    }

    /// The request for the next certificate of the same key.
    pub fn signing_request(&self) -> SigningRequest {
        self.key.signing_request()
    }

    /// The same node with the next certificate.
    pub fn renewed(
        &self,
        certificate: CertificateDer<'static>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<NodeIdentity, IdentityError> {
        NodeIdentity::new(self.key.clone(), certificate, authorities)
    }

    pub(crate) fn key(&self) -> &NodeKey {
        &self.key
    }
}

/// `authorities` with the one that signed `certificate` moved to the front.
fn issuer_first(
    certificate: &X509Certificate<'_>,
    cluster: ClusterId,
    mut authorities: Vec<CertificateDer<'static>>,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    if authorities.len() > AUTHORITIES_MAX {
        return Err(IdentityError::TooManyAuthorities);
    }
    let mut issuer = None;
    for (position, authority) in authorities.iter().enumerate() {
        let authority = certificate::parse(authority).map_err(|_| IdentityError::NotAnAuthority)?;
        if certificate::authority_cluster(&authority) != Ok(cluster) {
            return Err(IdentityError::NotAnAuthority);
        }
        let signed = certificate
            .verify_signature(Some(authority.public_key()))
            .is_ok();
        if signed && issuer.is_none() {
            issuer = Some(position);
        }
    }
    authorities[..=issuer.ok_or(IdentityError::NotSigned)?].rotate_right(1);
    Ok(authorities)
}

/// Why key, certificate and authorities make no identity. None of it passes by trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The text is no PEM, or has blocks that do not belong there.
    #[error("it is not a key and certificates in PEM")]
    NotPem,
    /// There is no usable key.
    #[error("it holds no private key of a node")]
    NoKey,
    /// There is no certificate of a node.
    #[error("it holds no certificate of a node")]
    NotANodesCertificate,
    /// The key and the certificate are not of one node.
    #[error("the private key does not belong to the certificate")]
    KeyOfAnother,
    /// An authority is none, or of another cluster.
    #[error("one of the authorities is not an authority of the node's cluster")]
    NotAnAuthority,
    /// None of the authorities signed the certificate.
    #[error("none of the authorities has signed the node's certificate")]
    NotSigned,
    /// There are more than [`AUTHORITIES_MAX`] authorities.
    #[error("there are more than {AUTHORITIES_MAX} authorities")]
    TooManyAuthorities,
}

#[cfg(test)]
#[path = "node_identity_tests.rs"]
mod tests;
