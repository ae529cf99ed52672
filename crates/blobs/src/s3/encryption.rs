//! Server-side encryption: what each kind of call has to say about it.
//!
//! Must never log the customer's key.

use std::path::Path;

use aws_sdk_s3::types::ServerSideEncryption;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use ports::BlobFailure;

use crate::settings::{Encryption, S3Settings};

const CUSTOMER_KEY_BYTES: usize = 32;

/// Server-side encryption as the settings want it.
#[derive(Clone, Default)]
pub(super) struct ServerEncryption {
    /// For calls that make objects.
    pub(super) method: Option<ServerSideEncryption>,
    /// For calls that make objects.
    pub(super) kms_key_id: Option<String>,
    /// For calls that touch bytes.
    pub(super) customer: Option<CustomerKey>,
}

/// A key that the service uses and forgets.
#[derive(Clone)]
pub(super) struct CustomerKey {
    pub(super) key: String,
    pub(super) md5: String,
}

impl CustomerKey {
    pub(super) const ALGORITHM: &'static str = "AES256";
}

impl ServerEncryption {
    pub(super) fn new(settings: &S3Settings) -> Result<ServerEncryption, BlobFailure> {
        let kms_key_id = settings.kms_key_id.clone();
        Ok(match settings.encryption {
            Encryption::BucketDefault => ServerEncryption::default(),
            Encryption::Aes256 => ServerEncryption {
                method: Some(ServerSideEncryption::Aes256),
                ..ServerEncryption::default()
            },
            Encryption::Kms => ServerEncryption {
                method: Some(ServerSideEncryption::AwsKms),
                kms_key_id,
                customer: None,
            },
            Encryption::Customer => {
                let file = settings
                    .customer_key_file
                    .as_deref()
                    .unwrap_or(Path::new(""));
                ServerEncryption {
                    customer: Some(read_key(file)?),
                    ..ServerEncryption::default()
                }
            }
        })
    }
}

fn read_key(file: &Path) -> Result<CustomerKey, BlobFailure> {
    let wrong = |reason: String| BlobFailure::Other {
        reason: format!("storage.s3.customer_key_file {}: {reason}", file.display()),
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let key = STANDARD
        .decode(text.trim())
        .map_err(|_| wrong("it is not base64".to_owned()))?;
    if key.len() != CUSTOMER_KEY_BYTES {
        return Err(wrong(format!(
            "it has {} bytes and not {CUSTOMER_KEY_BYTES}",
            key.len()
        )));
    }
    Ok(CustomerKey {
        md5: STANDARD.encode(Md5::digest(&key)),
        key: STANDARD.encode(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customers_key_has_32_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, format!("{}\n", STANDARD.encode([7; 32]))).unwrap();
        let key = read_key(&file).unwrap();
        assert_eq!(STANDARD.decode(&key.md5).unwrap().len(), 16);
        for text in ["", "not base64!", &STANDARD.encode([7; 31])] {
            std::fs::write(&file, text).unwrap();
            assert!(read_key(&file).is_err(), "{text}");
        }
    }
}
