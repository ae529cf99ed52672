//! The file of logins that others check, and all of them together, as a node has them.
//!
//! It is a file of its own, since it has lists and parts, and no secrets: those are in files that it names.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::certificate::{CertificateError, CertificateSettings};
use super::issuer::{Issuer, IssuerError, IssuerSettings};
use super::ldap::{Directory, LdapError, LdapSettings};
use super::login::Login;
use super::openid::{OpenIdError, OpenIdSettings, Provider, WorkloadSettings, Workloads};
use super::{LoginError, certificate};
use crate::{Htpasswd, HtpasswdError};

/// The largest file.
const BYTES_MAX: u64 = 1024 * 1024;

/// What the file may have (TOML). Every part may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutsideSettings {
    /// Whose tokens count here as they are.
    pub issuer: Option<IssuerSettings>,
    /// By whom people log in with their browsers.
    pub openid: Option<OpenIdSettings>,
    /// Whose jobs act here.
    pub workloads: Vec<WorkloadSettings>,
    /// Who checks passwords.
    pub ldap: Option<LdapSettings>,
    /// A file of users and bcrypt hashes, as `htpasswd -B` writes it.
    pub htpasswd: Option<HtpasswdSettings>,
    /// How a client's certificate names a user; none: it does not.
    pub certificates: Option<CertificateSettings>,
}

/// See [`OutsideSettings::htpasswd`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HtpasswdSettings {
    /// Read again when it has changed.
    pub file: PathBuf,
}

/// Why logins that others check are not to be had as they are configured.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has what it must not.
    #[error("{path}: {source}", path = path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What.
        source: Box<toml::de::Error>,
    },
    /// `issuer`.
    #[error("issuer: {0}")]
    Issuer(#[from] IssuerError),
    /// `openid` or `workloads`.
    #[error("OpenID: {0}")]
    OpenId(#[from] OpenIdError),
    /// `ldap`.
    #[error("LDAP: {0}")]
    Ldap(#[from] LdapError),
    /// `htpasswd`.
    #[error("htpasswd: {0}")]
    Htpasswd(#[from] HtpasswdError),
    /// `certificates`.
    #[error("certificates: {0}")]
    Certificates(#[from] CertificateError),
}

impl OutsideSettings {
    /// Reads a file. It blocks.
    ///
    /// # Errors
    /// [`OutsideError::Unreadable`] and [`OutsideError::Malformed`].
    pub fn read(path: &Path) -> Result<OutsideSettings, OutsideError> {
        let unreadable = |source| OutsideError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > BYTES_MAX {
            return Err(unreadable(std::io::Error::other("it is too large")));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        toml::from_str(&text).map_err(|source| OutsideError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

/// All logins that others check. One for the process's life.
#[derive(Default)]
pub struct Outside {
    /// See [`OutsideSettings::issuer`].
    pub issuer: Option<Issuer>,
    /// See [`OutsideSettings::openid`].
    pub openid: Option<Provider>,
    /// See [`OutsideSettings::workloads`].
    pub workloads: Workloads,
    /// See [`OutsideSettings::ldap`].
    pub ldap: Option<Directory>,
    /// See [`OutsideSettings::htpasswd`].
    pub htpasswd: Option<Htpasswd>,
    certificates: Option<CertificateSettings>,
}

impl Outside {
    /// Reads the files that the settings name, and asks nobody: not to be called where nothing may block.
    ///
    /// # Errors
    /// See [`OutsideError`].
    pub fn open(settings: OutsideSettings) -> Result<Outside, OutsideError> {
        if let Some(certificates) = &settings.certificates
            && !certificates.name.form.has_one_star()
        {
            let form = certificates.name.form.clone();
            return Err(CertificateError::from(LoginError::OtherForm { form }).into());
        }
        Ok(Outside {
            issuer: settings.issuer.map(Issuer::open).transpose()?,
            openid: settings.openid.map(Provider::new).transpose()?,
            workloads: Workloads::new(settings.workloads)?,
            ldap: settings.ldap.map(Directory::new).transpose()?,
            htpasswd: (settings.htpasswd)
                .map(|settings| Htpasswd::open(&settings.file))
                .transpose()?,
            certificates: settings.certificates,
        })
    }

    /// Reads files of keys and passwords again if they have changed. It blocks; to be called now and then.
    pub fn refresh(&self) {
        let told = |what: &str, read: Result<bool, String>| match read {
            Ok(false) => {}
            Ok(true) => tracing::info!(what, "read again, since it has changed"),
            Err(error) => {
                tracing::warn!(what, error, "what was read before goes on counting");
            }
        };
        if let Some(issuer) = &self.issuer {
            let read = issuer.refresh();
            told(
                "keys of the issuer of tokens",
                read.map_err(|error| error.to_string()),
            );
        }
        if let Some(file) = &self.htpasswd {
            let read = file.refresh();
            told(
                "passwords of htpasswd",
                read.map_err(|error| error.to_string()),
            );
        }
    }

    /// Whom a client's certificate (DER) names, which its connection has found good; `None` where certificates name nobody.
    #[must_use]
    pub fn login_by_certificate(&self, der: &[u8]) -> Option<Result<Login, CertificateError>> {
        let settings = self.certificates.as_ref()?;
        Some(certificate::login(settings, der))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page for operators.
    const PAGE: &str = include_str!("../../../../docs/logins.md");

    fn examples() -> Vec<OutsideSettings> {
        let blocks = PAGE.split("```toml\n").skip(1);
        let texts = blocks.filter_map(|rest| rest.split("```").next());
        let texts = texts.filter(|text| !text.contains("[access]") && !text.contains("[tls]"));
        texts
            .map(|text| toml::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}")))
            .collect()
    }

    #[test]
    fn examples_of_the_page_are_what_is_read() {
        let examples = examples();
        let has = |part: fn(&OutsideSettings) -> bool| examples.iter().any(part);
        assert!(has(|file| file.issuer.is_some()));
        assert!(has(|file| file.openid.is_some()));
        assert!(has(|file| file.workloads.len() == 2));
        assert!(has(|file| file.ldap.is_some()));
        assert!(has(|file| file.htpasswd.is_some()));
        assert!(has(|file| file.certificates.is_some()));
    }

    #[test]
    fn key_that_nobody_knows_is_refused_and_nothing_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logins.toml");
        std::fs::write(&path, "[ldap]\nurl = \"ldaps://x\"\nuser_bas = \"dc=x\"\n").unwrap();
        let error = OutsideSettings::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("logins.toml") && error.contains("user_bas"),
            "{error}"
        );
        std::fs::write(&path, "").unwrap();
        let nothing = Outside::open(OutsideSettings::read(&path).unwrap()).unwrap();
        assert!(nothing.issuer.is_none() && nothing.openid.is_none() && nothing.ldap.is_none());
        assert!(nothing.login_by_certificate(b"").is_none());
    }

    #[test]
    fn certificates_whose_form_names_nobody_are_refused() {
        let settings: OutsideSettings =
            toml::from_str("[certificates]\nname.form = \"ann\"\n").unwrap();
        assert!(matches!(
            Outside::open(settings),
            Err(OutsideError::Certificates(_))
        ));
    }
}
