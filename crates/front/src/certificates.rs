//! What TLS is spoken with, from files: the certificate and its key, and the authorities of clients.
//!
//! Everything is checked before it is used: what comes out of here can be served with. A key never shows in an error.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// No file of certificates is larger than this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What clients may speak to us, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Whether clients show certificates of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked; one that is shown has to be right.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// The earliest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// 1.2, and later ones.
    #[default]
    Tls12,
    /// 1.3.
    Tls13,
}

/// Where TLS finds what it is spoken with.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The certificate with its chain, the server's own first, in PEM.
    pub certificate: PathBuf,
    /// Its private key in PEM; it may be in the same file.
    pub key: PathBuf,
    /// The authorities that clients' certificates lead to, in PEM.
    pub client_authorities: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// The earliest version that is spoken.
    pub version_min: TlsVersion,
}

/// Why files cannot be used. The message names the file; it passes when the file is mended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {why}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A file has not what it has to have.
    #[error("{path}: {what}", path = path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There are no authorities to verify clients by.
    #[error("certificates of clients are asked for, and no file of their authorities is named")]
    NoAuthorities,
}

fn wrong(path: &Path, what: impl Into<String>) -> TlsError {
    TlsError::Wrong {
        path: path.to_owned(),
        what: what.into(),
    }
}

/// What the files hold, unread.
#[derive(PartialEq, Eq)]
pub(crate) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

impl Contents {
    /// Reads the files. Blocks.
    pub(crate) fn read(settings: &TlsSettings) -> Result<Contents, TlsError> {
        Ok(Contents {
            certificate: content(&settings.certificate)?,
            key: content(&settings.key)?,
            client_authorities: match settings.client_certificates {
                ClientCertificates::Off => None,
                _ => {
                    let path = settings.client_authorities.as_deref();
                    Some(content(path.ok_or(TlsError::NoAuthorities)?)?)
                }
            },
        })
    }
}

fn content(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |why: std::io::Error| TlsError::Unreadable {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut limited = file.take(FILE_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(path, "it is far too large for certificates"));
    }
    Ok(bytes)
}

/// What TLS is spoken with.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    /// The names in the certificate, a few of them.
    pub(crate) names: Vec<String>,
}

impl Served {
    /// Makes it of what the files hold.
    pub(crate) fn of(settings: &TlsSettings, contents: &Contents) -> Result<Served, TlsError> {
        let chain = certificates(&settings.certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| wrong(&settings.key, "it has no private key in PEM"))?;
        let leaf = parsed(&settings.certificate, &chain[0])?;
        let date = |seconds| {
            OffsetDateTime::from_unix_timestamp(seconds)
                .map_err(|_| wrong(&settings.certificate, "its time is beyond all calendars"))
        };
        let not_before = date(leaf.validity().not_before.timestamp())?;
        let not_after = date(leaf.validity().not_after.timestamp())?;
        let names = names(&leaf);
        let config = config(settings, contents, chain, key)?;
        Ok(Served {
            config: Arc::new(config),
            not_before,
            not_after,
            names,
        })
    }

    /// Whether clients whose clock is right take it.
    pub(crate) fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

fn config(
    settings: &TlsSettings,
    contents: &Contents,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] = match settings.version_min {
        TlsVersion::Tls12 => &[&TLS13, &TLS12],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("the provider has cipher suites for both versions");
    let builder = match (&settings.client_authorities, &contents.client_authorities) {
        (Some(path), Some(authorities)) => {
            builder.with_client_cert_verifier(verifier(settings, path, authorities, provider)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => wrong(
                &settings.key,
                format!(
                    "the key does not belong to the certificate in {}",
                    settings.certificate.display()
                ),
            ),
            other => wrong(&settings.certificate, other.to_string()),
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    if contents.client_authorities.is_some() {
        // A session that is resumed would be one whose certificate nobody looks at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn verifier(
    settings: &TlsSettings,
    path: &Path,
    authorities: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path, authorities)? {
        let added = roots.add(authority);
        added
            .map_err(|error| wrong(path, format!("not every certificate can be used: {error}")))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match settings.client_certificates {
        ClientCertificates::Required => builder,
        _ => builder.allow_unauthenticated(),
    };
    let built = builder.build();
    built.map_err(|error| wrong(path, error.to_string()))
}

/// The certificates of a file: at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong(path, "it has no certificate in PEM")),
        Err(error) => Err(wrong(path, format!("it is no PEM: {error}"))),
    }
}

fn parsed<'a>(path: &Path, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, TlsError> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(wrong(path, "its first certificate cannot be read")),
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    /// The rest is not told.
    const NAMES_MAX: usize = 8;
    let Ok(Some(found)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let found = found.value.general_names.iter();
    let found = found.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress([a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}")),
        GeneralName::IPAddress(bytes) => {
            let octets: [u8; 16] = (*bytes).try_into().ok()?;
            Some(std::net::Ipv6Addr::from(octets).to_string())
        }
        _ => None,
    });
    found.take(NAMES_MAX).collect()
}
