//! The authority that a node keeps for its clients when nobody gives it a certificate, and the certificate that it signs.
//!
//! It has nothing to do with the cluster's authority: whoever trusts it trusts names of servers and no node. Three files:
//!
//! ```text
//! authority.pem        the authority's certificate: for clients, no secret
//! authority-key.pem    the same with its key: secret
//! server.pem           the server's certificate and key in one file, so that they are replaced together: secret
//! ```
//!
//! A file is replaced whole. Whatever dies in between, the next call puts right what is missing, and makes a new authority only
//! when the old one is gone, cannot be read, or is near its end: every client has to be told of a new one.
//!
//! Spec: RFC 5280, section 4.2; RFC 6125 and RFC 9525 for names.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use zeroize::Zeroizing;

use crate::authority::{AuthorityError, limit_validity, serial_number};
use crate::certificate;
use crate::durable_file::{self, FileError};
use crate::node::UnixSeconds;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority lives, and how long before its end another one is made.
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(20 * 365);
const AUTHORITY_RENEWED_BEFORE: Duration = DAY.saturating_mul(365);
/// How long a server's certificate lives, and how long before its end another one is made. Some clients refuse longer ones.
const SERVER_LIFE: Duration = DAY.saturating_mul(180);
const SERVER_RENEWED_BEFORE: Duration = DAY.saturating_mul(60);

const REMAKE: &str = "move it away; another one is made at the next start, and clients have to be told of its authority";

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingFiles {
    /// The authority's certificate, for clients.
    pub authority: PathBuf,
    /// The server's certificate and its key.
    pub server: PathBuf,
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A name cannot stand in a certificate.
    #[error("`{0}` cannot stand in a certificate: it has to be a host's name or an address")]
    Name(String),
    /// The certificate could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl From<rcgen::Error> for ServingError {
    fn from(error: rcgen::Error) -> ServingError {
        ServingError::Authority(error.into())
    }
}

/// Makes what is missing in `folder`, or near its end at `now`, or not for these names, and tells where it is. A name is that of
/// a host, with `*` for its first part if all are meant, or an address. Blocks, and may be repeated.
///
/// # Errors
/// When a file is damaged or cannot be written, or a name is none.
pub fn keep_serving_certificate(
    folder: &Path,
    names: &[String],
    now: UnixSeconds,
) -> Result<ServingFiles, ServingError> {
    let files = ServingFiles {
        authority: folder.join("authority.pem"),
        server: folder.join("server.pem"),
    };
    let subjects = names
        .iter()
        .map(|name| subject(name))
        .collect::<Result<Vec<_>, _>>()?;
    let authority = ServingAuthority::keep(&folder.join("authority-key.pem"), now)?;
    publish(folder, &files.authority, &authority.pem())?;
    let kept = durable_file::read_secret(&files.server)?;
    if !kept.is_some_and(|kept| authority.stands_behind(&kept, &subjects, now)) {
        let made = authority.sign(&subjects, now)?;
        durable_file::write_secret(&files.server, made.as_bytes())?;
    }
    Ok(files)
}

struct ServingAuthority {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl ServingAuthority {
    /// The one that the file holds, or another one that it holds from now on.
    fn keep(path: &Path, now: UnixSeconds) -> Result<ServingAuthority, ServingError> {
        if let Some(kept) = durable_file::read_secret(path)? {
            let authority = ServingAuthority::from_pem(&kept)
                .ok_or_else(|| FileError::damaged(path, "it holds no authority", REMAKE))?;
            let (_, until) = validity(&authority.certificate);
            if now < until.before(AUTHORITY_RENEWED_BEFORE) {
                return Ok(authority);
            }
        }
        let authority = ServingAuthority::create(now)?;
        let key = Zeroizing::new(authority.key.serialize_pem());
        let both = Zeroizing::new(format!("{}{}", authority.pem(), *key));
        durable_file::write_secret(path, both.as_bytes())?;
        Ok(authority)
    }

    fn create(now: UnixSeconds) -> Result<ServingAuthority, ServingError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let serial = serial_number();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = format!(
            "Holdfast server authority {}",
            hex::encode(&serial.to_bytes()[..8])
        );
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        limit_validity(&mut params, now, AUTHORITY_LIFE)?;
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(ServingAuthority { certificate, key })
    }

    fn from_pem(text: &str) -> Option<ServingAuthority> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
        let key = KeyPair::from_pem(key_of(text)?).ok()?;
        let parsed = certificate::parse(&certificate).ok()?;
        let is_whole = parsed.is_ca()
            && parsed.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(&key);
        is_whole.then_some(ServingAuthority { certificate, key })
    }

    fn pem(&self) -> String {
        certificate::to_pem(&self.certificate)
    }

    /// Whether the text is a certificate of this authority with its key, for exactly these names, and not near its end.
    fn stands_behind(&self, text: &str, subjects: &[SanType], now: UnixSeconds) -> bool {
        let Ok(der) = CertificateDer::from_pem_slice(text.as_bytes()) else {
            return false;
        };
        let Some(key) = key_of(text).and_then(|key| KeyPair::from_pem(key).ok()) else {
            return false;
        };
        let (Ok(own), Ok(authority)) = (
            certificate::parse(&der),
            certificate::parse(&self.certificate),
        ) else {
            return false;
        };
        let (from, until) = certificate::validity(&own);
        own.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(&key)
            && own.verify_signature(Some(authority.public_key())).is_ok()
            && is_for(&own, subjects)
            && from <= now
            && now < until.before(SERVER_RENEWED_BEFORE)
    }

    /// A certificate for these names with a new key, in PEM.
    fn sign(
        &self,
        subjects: &[SanType],
        now: UnixSeconds,
    ) -> Result<Zeroizing<String>, ServingError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "Holdfast");
        params.serial_number = Some(serial_number());
        params.subject_alt_names = subjects.to_vec();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        limit_validity(&mut params, now, SERVER_LIFE)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        let signed = params.signed_by(&key, &issuer)?;
        let certificate = certificate::to_pem(signed.der());
        let key = Zeroizing::new(key.serialize_pem());
        Ok(Zeroizing::new(format!("{certificate}{}", *key)))
    }
}

/// Whether these are the names in a certificate, in their order.
fn is_for(certificate: &X509Certificate<'_>, subjects: &[SanType]) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return false;
    };
    let names = &names.value.general_names;
    let is_same = |name: &GeneralName<'_>, subject: &SanType| match (name, subject) {
        (GeneralName::DNSName(name), SanType::DnsName(subject)) => *name == subject.as_str(),
        (GeneralName::IPAddress(name), SanType::IpAddress(IpAddr::V4(address))) => {
            *name == address.octets()
        }
        (GeneralName::IPAddress(name), SanType::IpAddress(IpAddr::V6(address))) => {
            *name == address.octets()
        }
        _ => false,
    };
    names.len() == subjects.len() && names.iter().zip(subjects).all(|(n, s)| is_same(n, s))
}

/// The key in a text that has a certificate, too.
fn key_of(text: &str) -> Option<&str> {
    text.find("-----BEGIN PRIVATE KEY-----")
        .map(|at| &text[at..])
}

fn validity(der: &CertificateDer<'_>) -> (UnixSeconds, UnixSeconds) {
    let parsed = certificate::parse(der);
    parsed.map_or((UnixSeconds(0), UnixSeconds(0)), |parsed| {
        certificate::validity(&parsed)
    })
}

fn subject(name: &str) -> Result<SanType, ServingError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let wrong = || ServingError::Name(name.to_owned());
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let is_host = (1..=253).contains(&name.len())
        && plain.split('.').all(|part| {
            (1..=63).contains(&part.len())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    if !is_host {
        return Err(wrong());
    }
    let name = name.to_ascii_lowercase().try_into();
    name.map(SanType::DnsName).map_err(|_| wrong())
}

/// Writes what is no secret, if it is not there.
fn publish(folder: &Path, path: &Path, text: &str) -> Result<(), FileError> {
    if fs::read_to_string(path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .expect("the caller joins the name of a file to a folder");
    let written = durable_files::replace_file(folder, &name, text.as_bytes());
    written.map_err(FileError::io(path, "write"))
}

#[cfg(test)]
#[path = "serving_tests.rs"]
mod tests;
