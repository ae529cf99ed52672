//! A node's key pair, and the request by which it asks the authority for a certificate.
//!
//! The key is made on the node and never leaves it: what travels is a PKCS #10 request, which proves that its sender has
//! the key and says nothing else. While the answer is outstanding the key may be kept in a file, so that a node that dies
//! between asking and hearing asks again with the same key.
//!
//! Spec: RFC 2986.

use std::fmt;
use std::path::Path;

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, KeyPair, PublicKey, PublicKeyData,
};
use rustls::pki_types::{CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use crate::durable_file::{self, FileError};
use crate::fingerprint::sha256;

/// The most bytes that a signing request may have; a real one has some 250.
pub const SIGNING_REQUEST_BYTES_MAX: usize = 4096;

/// An uncompressed point on P-256.
const P256_POINT_BYTES: usize = 65;

/// The file of a key whose certificate has not come yet.
const PENDING_FILE: &str = "node-pending.key";

/// The private key of a node (ECDSA on P-256). Its `Debug` shows nothing of it, and its bytes are wiped when it is dropped.
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// A new key.
    pub fn generate() -> NodeKey {
        NodeKey(
            KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                .expect("aws-lc makes P-256 keys, and ends the process when it has no randomness"),
        )
    }

    /// The key that was kept in `folder` while its certificate was asked for, or a new one that now is. Writes with fsync:
    /// call it off the runtime's threads.
    pub fn pending(folder: &Path) -> Result<NodeKey, FileError> {
        let path = folder.join(PENDING_FILE);
        if let Some(text) = durable_file::read_secret(&path)? {
            return NodeKey::from_pem(&text).ok_or_else(|| {
                FileError::damaged(&path, "it holds no private key in PEM", REMAKE)
            });
        }
        let key = NodeKey::generate();
        durable_file::write_secret(&path, key.to_pem().as_bytes())?;
        Ok(key)
    }

    /// Removes what [`pending`](NodeKey::pending) kept.
    pub(crate) fn forget_pending(folder: &Path) -> Result<(), FileError> {
        durable_file::remove(&folder.join(PENDING_FILE))
    }

    pub(crate) fn from_pem(text: &str) -> Option<NodeKey> {
        let key = KeyPair::from_pem(text).ok().map(NodeKey)?;
        key.0
            .is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256)
            .then_some(key)
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<NodeKey> {
        let der = PrivatePkcs8KeyDer::from(der);
        KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256)
            .ok()
            .map(NodeKey)
    }

    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// The key as rustls takes it.
    pub(crate) fn to_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }

    /// The public half, as it stands in a certificate.
    pub(crate) fn public_key_info(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// The request for a certificate for this key.
    pub fn signing_request(&self) -> SigningRequest {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let made = params
            .serialize_request(&self.0)
            .expect("an empty request has nothing that PKCS #10 cannot say");
        SigningRequest::from_der(made.der().to_vec())
            .expect("a request that this key signed is a request that verifies")
    }
}

/// What to do about a damaged key that has no certificate yet.
const REMAKE: &str = "remove the file; the node will make a new key and needs a new join token";

impl Clone for NodeKey {
    fn clone(&self) -> NodeKey {
        NodeKey::from_pem(&self.to_pem()).expect("a key reads what it wrote")
    }
}

impl Drop for NodeKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

/// A request for a certificate, whose sender has proven to have the private key. It names nobody.
#[derive(Clone)]
pub struct SigningRequest {
    der: Vec<u8>,
    public_key: PublicKey,
}

impl SigningRequest {
    /// The request in `der`, after verifying that whoever made it has the key that it names.
    pub fn from_der(der: Vec<u8>) -> Result<SigningRequest, SigningRequestError> {
        if der.len() > SIGNING_REQUEST_BYTES_MAX {
            return Err(SigningRequestError::TooLarge);
        }
        let parsed = CertificateSigningRequestParams::from_der(
            &CertificateSigningRequestDer::from(&der[..]),
        )
        .map_err(|error| match error {
            rcgen::Error::InvalidCertificationRequestSignature => SigningRequestError::Signature,
            _ => SigningRequestError::Malformed,
        })?;
        let is_p256 = parsed.public_key.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256
            && parsed.public_key.der_bytes().len() == P256_POINT_BYTES;
        if !is_p256 {
            return Err(SigningRequestError::Algorithm);
        }
        Ok(SigningRequest {
            public_key: parsed.public_key,
            der,
        })
    }

    /// The request in DER (PKCS #10), as it travels.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 of the public key: equal for two requests of one node that asks again, since only the signature
    /// differs.
    pub fn public_key_hash(&self) -> [u8; 32] {
        sha256(&self.public_key.subject_public_key_info())
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningRequest({})", hex::encode(self.public_key_hash()))
    }
}

/// Why a request was refused. None of it passes by sending the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningRequestError {
    /// It has more than [`SIGNING_REQUEST_BYTES_MAX`] bytes.
    #[error("the signing request has more than {SIGNING_REQUEST_BYTES_MAX} bytes")]
    TooLarge,
    /// It is no request.
    #[error("the signing request is no PKCS #10 request")]
    Malformed,
    /// Its sender has not shown that it has the key.
    #[error("the signing request is not signed by the key that it names")]
    Signature,
    /// It has a key of another kind than nodes make.
    #[error("the signing request has a key that is not ECDSA on P-256")]
    Algorithm,
}

#[cfg(test)]
#[path = "node_key_tests.rs"]
mod tests;
