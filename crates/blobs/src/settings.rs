//! What people set about blob storage, with units, defaults and ranges.
//!
//! The binary embeds [`StorageSettings`] in its configuration. A secret must never be printed: it is a [`Secret`],
//! whose text comes out only where it is used.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where blobs are kept: `[storage]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
    /// `folder` (one node) or `s3`.
    pub kind: StorageKind,
    /// `[storage.folder]`.
    pub folder: FolderSettings,
    /// `[storage.s3]`.
    pub s3: S3Settings,
}

/// Which store is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// A folder of this machine.
    #[default]
    Folder,
    /// S3-compatible object storage.
    S3,
}

/// Blobs in a folder: `[storage.folder]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderSettings {
    /// The folder. Unset: `blobs` in the data folder, which the binary fills in.
    pub path: Option<PathBuf>,
}

/// Blobs in S3-compatible object storage: `[storage.s3]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// The bucket, which must exist.
    pub bucket: String,
    /// The address of the service, like `https://s3.example.com`. Unset: AWS.
    pub endpoint: Option<String>,
    /// Unset: as the environment, the profile or the instance says, else `us-east-1`.
    pub region: Option<String>,
    /// What every key begins with, so that a bucket can be shared. Empty, or segments with `/` between them.
    pub prefix: String,
    /// Whether the bucket's name goes into the path and not into the host's name. Unset: yes, when `endpoint` is set.
    pub path_style: Option<bool>,
    /// Certificates (PEM) of the authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A proxy like `http://proxy:3128`, or `none`. Unset: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// Server-side encryption.
    pub encryption: Encryption,
    /// The key for `aws:kms`. Unset: the account's default key.
    pub kms_key_id: Option<String>,
    /// For `customer`: a file with the 32 bytes of the key, in base64.
    pub customer_key_file: Option<PathBuf>,
    /// Like `STANDARD_IA`. Unset: the bucket's default.
    pub storage_class: Option<String>,
    /// Where credentials come from.
    pub credentials: CredentialsFrom,
    /// For `keys`.
    pub access_key_id: Option<String>,
    /// For `keys`.
    pub secret_access_key: Option<Secret>,
    /// For `keys`, when they are temporary.
    pub session_token: Option<Secret>,
    /// For `file` and `profile`: a file in the format of `~/.aws/credentials`.
    pub credentials_file: Option<PathBuf>,
    /// For `file` and `profile`: which profile. Unset: `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// For `web-identity`: the token. Unset: `AWS_WEB_IDENTITY_TOKEN_FILE`.
    pub web_identity_token_file: Option<PathBuf>,
    /// For `web-identity`: the role. Unset: `AWS_ROLE_ARN`.
    pub role_arn: Option<String>,
    /// Whether requests carry checksums beyond those that are required. Some S3-compatible services refuse them.
    pub checksums: Checksums,
    /// Memory of this node for parts on their way, in MiB.
    pub memory_mib: u32,
    /// To open a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// For one try of a call, until its answer begins, in milliseconds. A part must get through in this time.
    pub attempt_timeout_ms: u64,
    /// Longest pause between two bytes of an answer, in milliseconds.
    pub read_timeout_ms: u64,
    /// For a call with all its retries, in milliseconds.
    pub deadline_ms: u64,
}

/// Server-side encryption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// As the bucket is set up.
    #[default]
    #[serde(rename = "bucket-default")]
    BucketDefault,
    /// With keys of the service.
    #[serde(rename = "AES256", alias = "aes256")]
    Aes256,
    /// With a key of the key management service.
    #[serde(rename = "aws:kms")]
    Kms,
    /// With a key that is sent with each request (SSE-C).
    #[serde(rename = "customer")]
    Customer,
}

/// Where credentials come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialsFrom {
    /// The keys of the settings when they are there, else environment, profile, web identity, container and instance.
    #[default]
    Auto,
    /// `access_key_id` and `secret_access_key` of the settings.
    Keys,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// A profile of the usual files.
    Profile,
    /// A profile of `credentials_file`.
    File,
    /// A token that is exchanged for credentials (Kubernetes service accounts).
    WebIdentity,
    /// The metadata service of the instance, or the one of its container.
    Instance,
    /// None: requests are not signed.
    Anonymous,
}

/// When requests carry optional checksums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksums {
    /// With AWS, not with an `endpoint`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Only where a call needs them.
    Never,
}

impl Default for S3Settings {
    fn default() -> S3Settings {
        S3Settings {
            bucket: String::new(),
            endpoint: None,
            region: None,
            prefix: String::new(),
            path_style: None,
            ca_file: None,
            proxy: None,
            no_proxy: None,
            encryption: Encryption::default(),
            kms_key_id: None,
            customer_key_file: None,
            storage_class: None,
            credentials: CredentialsFrom::default(),
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            credentials_file: None,
            profile: None,
            web_identity_token_file: None,
            role_arn: None,
            checksums: Checksums::default(),
            memory_mib: 128,
            connect_timeout_ms: 3_000,
            attempt_timeout_ms: 30_000,
            read_timeout_ms: 10_000,
            deadline_ms: 60_000,
        }
    }
}

impl StorageSettings {
    /// What is wrong with the settings, a line each, naming the key from `storage.` on. Empty: nothing.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        match self.kind {
            StorageKind::Folder => Vec::new(),
            StorageKind::S3 => self.s3.problems(),
        }
    }
}

impl S3Settings {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("storage.s3.{problem}"));
            }
        };
        require(
            !self.bucket.is_empty(),
            "bucket must be set when storage.kind is \"s3\"",
        );
        let endpoint = self.endpoint.as_deref().unwrap_or("https://");
        let has_scheme = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        require(has_scheme, "endpoint must begin with http:// or https://");
        let prefix = self.prefix.strip_suffix('/').unwrap_or(&self.prefix);
        let is_path = prefix.is_empty()
            || prefix
                .split('/')
                .all(|part| !matches!(part, "" | "." | ".."));
        require(is_path, "prefix must be segments with one / between them");
        let has_keys = self.access_key_id.is_some() && self.secret_access_key.is_some();
        let needs_keys = self.credentials == CredentialsFrom::Keys
            || self.access_key_id.is_some()
            || self.secret_access_key.is_some();
        require(
            has_keys || !needs_keys,
            "access_key_id and secret_access_key belong together",
        );
        let file_is_set =
            self.credentials != CredentialsFrom::File || self.credentials_file.is_some();
        require(
            file_is_set,
            "credentials_file must be set when credentials is \"file\"",
        );
        let key_is_set =
            self.encryption != Encryption::Customer || self.customer_key_file.is_some();
        require(
            key_is_set,
            "customer_key_file must be set when encryption is \"customer\"",
        );
        let mut in_range = |name: &str, value: u64, range: RangeInclusive<u64>| {
            if !range.contains(&value) {
                let (least, most) = (range.start(), range.end());
                problems.push(format!(
                    "storage.s3.{name} must be from {least} to {most}, not {value}"
                ));
            }
        };
        in_range("memory_mib", self.memory_mib.into(), 32..=65_536);
        in_range("connect_timeout_ms", self.connect_timeout_ms, 100..=60_000);
        in_range(
            "attempt_timeout_ms",
            self.attempt_timeout_ms,
            1_000..=600_000,
        );
        in_range("read_timeout_ms", self.read_timeout_ms, 500..=600_000);
        in_range("deadline_ms", self.deadline_ms, 1_000..=3_600_000);
        problems
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    const HIDDEN: &'static str = "********";

    /// Takes a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for where it is used.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Secret::HIDDEN)
    }
}

impl Serialize for Secret {
    /// Writes stars, whatever the text.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Secret::HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3() -> S3Settings {
        S3Settings {
            bucket: "blobs".to_owned(),
            ..S3Settings::default()
        }
    }

    #[test]
    fn defaults_have_no_problem() {
        assert!(StorageSettings::default().problems().is_empty());
        assert!(s3().problems().is_empty());
    }

    #[test]
    fn each_problem_names_its_key() {
        let cases: [(&str, S3Settings); 8] = [
            ("bucket", S3Settings::default()),
            (
                "endpoint",
                S3Settings {
                    endpoint: Some("s3.example.com".to_owned()),
                    ..s3()
                },
            ),
            (
                "prefix",
                S3Settings {
                    prefix: "/a".to_owned(),
                    ..s3()
                },
            ),
            (
                "access_key_id",
                S3Settings {
                    access_key_id: Some("x".to_owned()),
                    ..s3()
                },
            ),
            (
                "credentials_file",
                S3Settings {
                    credentials: CredentialsFrom::File,
                    ..s3()
                },
            ),
            (
                "customer_key_file",
                S3Settings {
                    encryption: Encryption::Customer,
                    ..s3()
                },
            ),
            (
                "memory_mib",
                S3Settings {
                    memory_mib: 31,
                    ..s3()
                },
            ),
            (
                "deadline_ms",
                S3Settings {
                    deadline_ms: 0,
                    ..s3()
                },
            ),
        ];
        for (key, s3) in cases {
            let problems = StorageSettings {
                kind: StorageKind::S3,
                s3,
                ..StorageSettings::default()
            }
            .problems();
            assert_eq!(problems.len(), 1, "{key}: {problems:?}");
            assert!(
                problems[0].starts_with(&format!("storage.s3.{key} ")),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let settings = S3Settings {
            secret_access_key: Some(Secret::new("hunter2")),
            ..s3()
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
        let shown = toml::to_string(&settings).unwrap();
        assert!(
            shown.contains("secret_access_key = \"********\""),
            "{shown}"
        );
    }

    #[test]
    fn what_people_write_is_read() {
        let text = "kind = \"s3\"\n[s3]\nbucket = \"b\"\nencryption = \"aws:kms\"\ncredentials = \"web-identity\"\n";
        let settings: StorageSettings = toml::from_str(text).unwrap();
        assert_eq!(settings.s3.encryption, Encryption::Kms);
        assert_eq!(settings.s3.credentials, CredentialsFrom::WebIdentity);
        assert!(toml::from_str::<StorageSettings>("[s3]\nbuckets = \"b\"\n").is_err());
    }
}
