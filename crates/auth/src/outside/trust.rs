//! Whom connections to others trust: one authority from a file, or those of the machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has no certificates.
    #[error("{path} has no certificate (PEM)", path = path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The machine has none.
    #[error("this machine has no certificates of authorities; name a file in `authority`")]
    NoneOnMachine,
}

/// What TLS connections begin with. With `authority` nobody else is trusted. It reads files: not to be called where nothing may
/// block.
pub(super) fn client_config(authority: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    match authority {
        Some(path) => {
            roots.add_parsable_certificates(certificates(path)?);
            if roots.is_empty() {
                let path = path.to_owned();
                return Err(TrustError::NoCertificate { path });
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TrustError::NoneOnMachine);
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc speaks the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let text = std::fs::read_to_string(path).map_err(|source| TrustError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let blocks = pem::parse_many(text).unwrap_or_default();
    let certificates = blocks
        .into_iter()
        .filter(|block| block.tag() == "CERTIFICATE");
    Ok(certificates
        .map(|block| CertificateDer::from(block.into_contents()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_without_certificates_trusts_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authority.pem");
        assert!(matches!(
            client_config(Some(&path)),
            Err(TrustError::Unreadable { .. })
        ));
        std::fs::write(
            &path,
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        )
        .unwrap();
        assert!(matches!(
            client_config(Some(&path)),
            Err(TrustError::NoCertificate { .. })
        ));
    }
}
