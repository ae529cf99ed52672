//! Conversions of the words that everything else is made of: digests, names, ids, descriptors.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use metadata::{
    ClusterId, CommandId, ManifestReference, MultipartId, ObjectKey, Payload, PrincipalName,
};
use oci::{Algorithm, Descriptor, Digest, MediaType, OpaqueJson, RepositoryName, Tag, UploadId};

use crate::error::{DecodeError, required};
use crate::pb;

const SHA256: u8 = 1;
const SHA512: u8 = 2;

pub(crate) fn digest_to(digest: &Digest) -> Bytes {
    let algorithm = match digest.algorithm() {
        Algorithm::Sha256 => SHA256,
        Algorithm::Sha512 => SHA512,
    };
    let mut bytes = Vec::with_capacity(1 + digest.bytes().len());
    bytes.push(algorithm);
    bytes.extend_from_slice(digest.bytes());
    bytes.into()
}

pub(crate) fn digest_from(bytes: &[u8]) -> Result<Digest, DecodeError> {
    let algorithm = match bytes.first() {
        Some(&SHA256) => Algorithm::Sha256,
        Some(&SHA512) => Algorithm::Sha512,
        _ => {
            return Err(DecodeError::new(
                "a digest",
                "its algorithm is unknown to this build",
            ));
        }
    };
    Digest::from_bytes(algorithm, &bytes[1..])
        .ok_or_else(|| DecodeError::new("a digest", "its length is wrong"))
}

pub(crate) fn digests_to(digests: &[Digest]) -> Vec<Bytes> {
    digests.iter().map(digest_to).collect()
}

pub(crate) fn digests_from(digests: &[Bytes]) -> Result<Vec<Digest>, DecodeError> {
    digests.iter().map(|bytes| digest_from(bytes)).collect()
}

pub(crate) fn digest_option_from(bytes: Option<Bytes>) -> Result<Option<Digest>, DecodeError> {
    bytes.map(|bytes| digest_from(&bytes)).transpose()
}

pub(crate) fn algorithm_to(algorithm: Algorithm) -> i32 {
    match algorithm {
        Algorithm::Sha256 => pb::Algorithm::Sha256 as i32,
        Algorithm::Sha512 => pb::Algorithm::Sha512 as i32,
    }
}

pub(crate) fn algorithm_from(number: i32) -> Result<Algorithm, DecodeError> {
    match pb::Algorithm::try_from(number) {
        Ok(pb::Algorithm::Sha256) => Ok(Algorithm::Sha256),
        Ok(pb::Algorithm::Sha512) => Ok(Algorithm::Sha512),
        Ok(pb::Algorithm::Unspecified) | Err(_) => Err(DecodeError::new(
            "an algorithm",
            format!("{number} is unknown to this build"),
        )),
    }
}

pub(crate) fn bits_to(bits: u128) -> Bytes {
    Bytes::copy_from_slice(&bits.to_be_bytes())
}

pub(crate) fn bits_from(bytes: &[u8], what: &'static str) -> Result<u128, DecodeError> {
    let bytes = <[u8; 16]>::try_from(bytes)
        .map_err(|_| DecodeError::new(what, "it is not 16 bytes long"))?;
    Ok(u128::from_be_bytes(bytes))
}

pub(crate) fn cluster_from(bytes: &[u8]) -> Result<ClusterId, DecodeError> {
    bits_from(bytes, "a cluster's id").map(ClusterId)
}

pub(crate) fn upload_to(upload: UploadId) -> Bytes {
    bits_to(upload.as_u128())
}

pub(crate) fn upload_from(bytes: &[u8]) -> Result<UploadId, DecodeError> {
    bits_from(bytes, "an upload's id").map(UploadId::from_u128)
}

pub(crate) fn repository_from(text: &str) -> Result<RepositoryName, DecodeError> {
    RepositoryName::parse(text).map_err(|e| DecodeError::new("a repository's name", e.to_string()))
}

pub(crate) fn tag_from(text: &str) -> Result<Tag, DecodeError> {
    Tag::parse(text).map_err(|e| DecodeError::new("a tag", e.to_string()))
}

pub(crate) fn media_type_from(text: &str) -> Result<MediaType, DecodeError> {
    MediaType::parse(text).map_err(|e| DecodeError::new("a media type", e.to_string()))
}

pub(crate) fn key_from(text: &str) -> Result<ObjectKey, DecodeError> {
    ObjectKey::parse(text).ok_or_else(|| {
        DecodeError::new("an object's key", "it is not of a form that Holdfast makes")
    })
}

pub(crate) fn principal_from(text: String) -> PrincipalName {
    PrincipalName(Arc::from(text))
}

pub(crate) fn multipart_to(multipart: &Option<MultipartId>) -> Option<String> {
    multipart.as_ref().map(ToString::to_string)
}

pub(crate) fn multipart_from(text: Option<String>) -> Option<MultipartId> {
    text.map(|text| MultipartId(Arc::from(text)))
}

impl From<&CommandId> for pb::CommandId {
    fn from(id: &CommandId) -> Self {
        pb::CommandId {
            incarnation: bits_to(id.incarnation),
            sequence: id.sequence,
        }
    }
}

impl TryFrom<pb::CommandId> for CommandId {
    type Error = DecodeError;

    fn try_from(id: pb::CommandId) -> Result<Self, DecodeError> {
        let incarnation = bits_from(&id.incarnation, "an incarnation")?;
        Ok(CommandId {
            incarnation,
            sequence: id.sequence,
        })
    }
}

impl From<&Descriptor> for pb::Descriptor {
    fn from(descriptor: &Descriptor) -> Self {
        let annotation = |(key, value): (&String, &String)| pb::Annotation {
            key: key.clone(),
            value: value.clone(),
        };
        pb::Descriptor {
            media_type: descriptor.media_type.as_str().to_owned(),
            digest: digest_to(&descriptor.digest),
            size: descriptor.size,
            urls: descriptor.urls.clone(),
            annotations: descriptor.annotations.iter().map(annotation).collect(),
            data: descriptor.data.clone(),
            artifact_type: descriptor.artifact_type.clone(),
            platform: descriptor
                .platform
                .as_ref()
                .map(|json| json.as_str().to_owned()),
        }
    }
}

impl TryFrom<pb::Descriptor> for Descriptor {
    type Error = DecodeError;

    fn try_from(descriptor: pb::Descriptor) -> Result<Self, DecodeError> {
        let count = descriptor.annotations.len();
        let annotations: BTreeMap<String, String> = descriptor
            .annotations
            .into_iter()
            .map(|annotation| (annotation.key, annotation.value))
            .collect();
        if annotations.len() != count {
            return Err(DecodeError::new(
                "a descriptor",
                "an annotation occurs twice",
            ));
        }
        let platform = descriptor
            .platform
            .map(|text| OpaqueJson::parse(&text))
            .transpose();
        Ok(Descriptor {
            media_type: media_type_from(&descriptor.media_type)?,
            digest: digest_from(&descriptor.digest)?,
            size: descriptor.size,
            urls: descriptor.urls,
            annotations,
            data: descriptor.data,
            artifact_type: descriptor.artifact_type,
            platform: platform.map_err(|e| DecodeError::new("a platform", e.to_string()))?,
        })
    }
}

impl From<&Payload> for pb::Payload {
    fn from(payload: &Payload) -> Self {
        use pb::payload::Place;
        let place = match payload {
            Payload::Inline(bytes) => Place::Inline(bytes.clone()),
            Payload::Object(key) => Place::Object(key.to_string()),
        };
        pb::Payload { place: Some(place) }
    }
}

impl TryFrom<pb::Payload> for Payload {
    type Error = DecodeError;

    fn try_from(payload: pb::Payload) -> Result<Self, DecodeError> {
        use pb::payload::Place;
        match required(payload.place, "a payload's place")? {
            Place::Inline(bytes) => Ok(Payload::Inline(bytes)),
            Place::Object(key) => key_from(&key).map(Payload::Object),
        }
    }
}

impl From<&ManifestReference> for pb::ManifestReference {
    fn from(reference: &ManifestReference) -> Self {
        use pb::manifest_reference::Kind;
        let kind = match reference {
            ManifestReference::RequiredBlob(digest) => Kind::RequiredBlob(digest_to(digest)),
            ManifestReference::OptionalBlob(digest) => Kind::OptionalBlob(digest_to(digest)),
            ManifestReference::Child(digest) => Kind::Child(digest_to(digest)),
        };
        pb::ManifestReference { kind: Some(kind) }
    }
}

impl TryFrom<pb::ManifestReference> for ManifestReference {
    type Error = DecodeError;

    fn try_from(reference: pb::ManifestReference) -> Result<Self, DecodeError> {
        use pb::manifest_reference::Kind;
        match required(reference.kind, "the kind of a reference")? {
            Kind::RequiredBlob(digest) => digest_from(&digest).map(ManifestReference::RequiredBlob),
            Kind::OptionalBlob(digest) => digest_from(&digest).map(ManifestReference::OptionalBlob),
            Kind::Child(digest) => digest_from(&digest).map(ManifestReference::Child),
        }
    }
}
