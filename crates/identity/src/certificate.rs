//! Reading and writing certificates: PEM, validity, and the URI that says whose certificate it is.
//!
//! Nothing here verifies a peer: that a chain leads to the authority is `verifier`'s business.

use metadata::ClusterId;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::node::UnixSeconds;

/// The scheme of the names in our certificates.
const SCHEME: &str = "holdfast://";

/// What the authority's own certificate is named after the cluster's id.
const AUTHORITY_PATH: &str = "authority";

/// The label of a certificate in PEM.
pub(crate) const CERTIFICATE_LABEL: &str = "CERTIFICATE";

/// Why a certificate cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("it is no X.509 certificate")]
    NotACertificate,
    #[error("it does not name a node or an authority of a Holdfast cluster")]
    NotOurs,
}

/// The parsed form of `der`, which must be one certificate and nothing after it.
pub(crate) fn parse<'a>(
    der: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::NotACertificate),
    }
}

/// The name of the authority of `cluster`, as it stands in its certificate.
pub(crate) fn authority_uri(cluster: ClusterId) -> String {
    format!("{SCHEME}{cluster}/{AUTHORITY_PATH}")
}

/// The cluster whose authority has this certificate.
pub(crate) fn authority_cluster(
    certificate: &X509Certificate<'_>,
) -> Result<ClusterId, CertificateError> {
    let (cluster, rest) = cluster_and_rest(certificate)?;
    if rest != AUTHORITY_PATH || !certificate.is_ca() {
        return Err(CertificateError::NotOurs);
    }
    Ok(cluster)
}

/// The name of something in `cluster`; `rest` is what follows the cluster's id and a slash.
pub(crate) fn uri(cluster: ClusterId, rest: &str) -> String {
    format!("{SCHEME}{cluster}/{rest}")
}

/// The cluster's id and what follows it in the one URI of the certificate that is ours.
pub(crate) fn cluster_and_rest<'a>(
    certificate: &'a X509Certificate<'_>,
) -> Result<(ClusterId, &'a str), CertificateError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| CertificateError::NotOurs)?
        .ok_or(CertificateError::NotOurs)?;
    let mut ours = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(SCHEME),
            _ => None,
        });
    let (Some(name), None) = (ours.next(), ours.next()) else {
        return Err(CertificateError::NotOurs);
    };
    let (cluster, rest) = name.split_once('/').ok_or(CertificateError::NotOurs)?;
    Ok((cluster_id(cluster).ok_or(CertificateError::NotOurs)?, rest))
}

/// The cluster's id as it is written everywhere: 32 small hexadecimal digits.
fn cluster_id(text: &str) -> Option<ClusterId> {
    let id = ClusterId(u128::from_str_radix(text, 16).ok()?);
    (id.to_string() == text).then_some(id)
}

/// From when and until when the certificate is valid, both inclusive.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> (UnixSeconds, UnixSeconds) {
    let seconds = |time: i64| UnixSeconds(u64::try_from(time).unwrap_or(0));
    let validity = certificate.validity();
    (
        seconds(validity.not_before.timestamp()),
        seconds(validity.not_after.timestamp()),
    )
}

/// One certificate as a PEM block.
pub(crate) fn to_pem(der: &CertificateDer<'_>) -> String {
    let block = pem::Pem::new(CERTIFICATE_LABEL, der.to_vec());
    let style = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&block, style)
}
