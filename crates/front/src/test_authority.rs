//! An authority for tests: it signs certificates of servers and clients, into files.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use time::OffsetDateTime;

use crate::certificates::{ClientCertificates, TlsSettings, TlsVersion};

pub(crate) struct TestAuthority {
    pub(crate) pem: String,
    params: CertificateParams,
    key: KeyPair,
}

/// A certificate and its key in PEM.
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl TestAuthority {
    pub(crate) fn new() -> TestAuthority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        TestAuthority { pem, params, key }
    }

    /// Signs for `name`, from yesterday until `days` from now.
    pub(crate) fn sign(&self, name: &str, days: i64) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let now = OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(1).max(time::Duration::days(1 - days));
        params.not_after = now + time::Duration::days(days);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        Signed {
            certificate,
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts it, with a certificate of its own if there is one.
    pub(crate) fn client(
        &self,
        own: Option<&Signed>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap(),
                )
                .unwrap(),
        }
    }
}

impl Signed {
    /// Puts it into a folder, and gives the settings that use it.
    pub(crate) fn keep(&self, folder: &Path) -> TlsSettings {
        let settings = TlsSettings {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            client_authorities: None,
            client_certificates: ClientCertificates::Off,
            version_min: TlsVersion::Tls12,
        };
        std::fs::write(&settings.certificate, &self.certificate).unwrap();
        std::fs::write(&settings.key, &self.key).unwrap();
        settings
    }
}
