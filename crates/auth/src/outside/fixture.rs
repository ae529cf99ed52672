//! Others, as tests need them: keys of every kind, certificates, and tokens signed as rightly or wrongly as wanted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, RsaKeySize};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// When tests are, in seconds; certificates of `rcgen` count then.
pub(crate) const NOW_S: u64 = 1_900_000_000;

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_S)
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

pub(crate) struct Signer {
    pub(crate) kind: Kind,
    pub(crate) key: KeyPair,
}

impl Signer {
    pub(crate) fn draw(kind: Kind) -> Signer {
        let key = match kind {
            Kind::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            Kind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Kind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Kind::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        };
        Signer {
            kind,
            key: key.unwrap(),
        }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.kind {
            Kind::Rsa => "RS256",
            Kind::P256 => "ES256",
            Kind::P384 => "ES384",
            Kind::Ed25519 => "EdDSA",
        }
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    pub(crate) fn public_pem(&self) -> String {
        pem::encode(&pem::Pem::new("PUBLIC KEY", self.spki()))
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let spki = self.spki();
        let (_, parsed) = SubjectPublicKeyInfo::from_der(&spki).unwrap();
        let mut jwk = match parsed.parsed().unwrap() {
            PublicKey::RSA(rsa) => {
                let n: Vec<u8> = rsa
                    .modulus
                    .iter()
                    .copied()
                    .skip_while(|b| *b == 0)
                    .collect();
                json!({"kty": "RSA", "n": base64(&n), "e": base64(rsa.exponent)})
            }
            PublicKey::EC(point) => {
                let (x, y) = point.data()[1..].split_at(point.data().len() / 2);
                let curve = if self.kind == Kind::P256 {
                    "P-256"
                } else {
                    "P-384"
                };
                json!({"kty": "EC", "crv": curve, "x": base64(x), "y": base64(y)})
            }
            _ => {
                let point = &parsed.subject_public_key.data;
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64(point)})
            }
        };
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A token; the header gets the key's algorithm unless it has one.
    pub(crate) fn token(&self, mut header: Value, claims: &Value) -> String {
        if header.get("alg").is_none() {
            header["alg"] = self.algorithm().into();
        }
        let signed = unsigned(&header, claims);
        let random = SystemRandom::new();
        let private = self.key.serialize_der();
        let signature = match self.kind {
            Kind::Rsa => {
                let pair = RsaKeyPair::from_pkcs8(&private).unwrap();
                let mut signature = vec![0; pair.public_modulus_len()];
                let bytes = signed.as_bytes();
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature)
                    .unwrap();
                signature
            }
            Kind::P256 | Kind::P384 => {
                let algorithm = match self.kind {
                    Kind::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
                };
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, &private).unwrap();
                pair.sign(&random, signed.as_bytes())
                    .unwrap()
                    .as_ref()
                    .to_vec()
            }
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(&private).unwrap();
                pair.sign(signed.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A certificate that this key signs for itself, which may sign others.
    pub(crate) fn authority(&self, name: &str) -> (CertificateParams, Vec<u8>) {
        let mut params = CertificateParams::new([]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&self.key).unwrap();
        (params, certificate.der().to_vec())
    }
}

pub(crate) fn certificate_pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", der))
}

/// A certificate of `subject`'s key that `authority` signs.
pub(crate) fn signed_by(
    authority: &Signer,
    params: &CertificateParams,
    subject: &Signer,
) -> Vec<u8> {
    let issuer = rcgen::Issuer::from_params(params, &authority.key);
    let own = CertificateParams::new(["token.example.org".to_owned()]).unwrap();
    own.signed_by(&subject.key, &issuer).unwrap().der().to_vec()
}

pub(crate) fn x5c(chain: &[&[u8]]) -> Value {
    chain.iter().map(|der| STANDARD.encode(der)).collect()
}

pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A token "signed" with a secret.
pub(crate) fn hmac_token(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = unsigned(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}
