//! Client certificates: which user one names. That it is good (its authority, its time, the key's proof) was found by the
//! connection; here it is only read.
//!
//! One field is believed, the one that is configured. A certificate that has none or several that would do names nobody.
//!
//! Spec: RFC 5280 sections 4.1.2.6 and 4.2.1.6.

use metadata::access::Source;
use serde::{Deserialize, Serialize};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::login::{self, Login, LoginError, NameRule};

/// Which field names the user, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateSettings {
    /// The field.
    pub field: Field,
    /// How its text becomes a name: `spiffe://example.org/user/*`.
    pub name: NameRule,
}

/// A field of a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// An alternative name: an address of electronic mail.
    #[default]
    Email,
    /// An alternative name: a URI.
    Uri,
    /// An alternative name: a host's.
    Dns,
    /// The common name of the subject.
    CommonName,
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is none.
    #[error("the client's certificate cannot be read")]
    Malformed,
    /// More than one text would do.
    #[error("the client's certificate names more than one user")]
    Ambiguous,
    /// The name is none.
    #[error(transparent)]
    Name(#[from] LoginError),
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Field::Email => "email",
            Field::Uri => "uri",
            Field::Dns => "dns",
            Field::CommonName => "common-name",
        }
    }
}

/// Whom a certificate (DER) names, which its connection has found good.
///
/// # Errors
/// See [`CertificateError`].
pub fn login(settings: &CertificateSettings, der: &[u8]) -> Result<Login, CertificateError> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    let texts = texts(settings.field, &certificate)?;
    let fitting: Vec<&str> = texts
        .iter()
        .copied()
        .filter(|text| {
            let rule = settings.name.name(text);
            !matches!(rule, Err(LoginError::OtherForm { .. }))
        })
        .collect();
    let text = match (&fitting[..], &texts[..]) {
        ([one], _) => one,
        // Why the only one does not fit.
        ([], [one]) => one,
        ([], _) => {
            let what = settings.field.name().to_owned();
            return Err(LoginError::NoName { what }.into());
        }
        _ => return Err(CertificateError::Ambiguous),
    };
    let emails = texts_of_email(&certificate)?;
    Ok(Login {
        user: settings.name.name(text)?,
        source: Source::Certificate,
        email: emails.first().and_then(|text| login::email(text)),
        groups: None,
    })
}

fn texts<'c>(
    field: Field,
    certificate: &'c X509Certificate<'_>,
) -> Result<Vec<&'c str>, CertificateError> {
    if field == Field::CommonName {
        let names = certificate.subject().iter_common_name();
        let texts: Result<Vec<&str>, _> = names.map(|name| name.as_str()).collect();
        return texts.map_err(|_| CertificateError::Malformed);
    }
    alternative(certificate, |name| match (field, name) {
        (Field::Email, GeneralName::RFC822Name(text))
        | (Field::Uri, GeneralName::URI(text))
        | (Field::Dns, GeneralName::DNSName(text)) => Some(text),
        _ => None,
    })
}

fn texts_of_email<'c>(
    certificate: &'c X509Certificate<'_>,
) -> Result<Vec<&'c str>, CertificateError> {
    texts(Field::Email, certificate)
}

fn alternative<'c>(
    certificate: &'c X509Certificate<'_>,
    choose: impl Fn(&'c GeneralName<'c>) -> Option<&'c str>,
) -> Result<Vec<&'c str>, CertificateError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| CertificateError::Malformed)?;
    let names = names.map(|extension| &extension.value.general_names);
    Ok(names.into_iter().flatten().filter_map(choose).collect())
}

#[cfg(test)]
mod tests;
