//! Media types: what a manifest or a blob says that it is.
//!
//! A [`MediaType`] is `type/subtype` without parameters, kept as it was written.
//!
//! Spec: RFC 6838 section 4.2; image-spec 1.1, media-types.md.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A media type. Compared and ordered by bytes. Cloning is cheap.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediaType(Text);

#[derive(Clone)]
enum Text {
    Known(&'static str),
    Other(Arc<str>),
}

/// The text is no media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid media type: expected type/subtype of at most 255 characters, as RFC 6838 allows them"
)]
pub struct MediaTypeError;

/// How the registry treats a manifest of a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// An OCI image manifest or a docker manifest of schema 2.
    ImageManifest,
    /// An OCI image index or a docker manifest list.
    ImageIndex,
    /// A docker manifest of schema 1, signed or not: never stored.
    Schema1,
    /// No manifest that this registry stores.
    Other,
}

const fn known(text: &'static str) -> MediaType {
    MediaType(Text::Known(text))
}

impl MediaType {
    /// The most bytes of a media type.
    pub const BYTES_MAX: usize = 255;

    /// OCI image manifest.
    pub const OCI_MANIFEST: MediaType = known("application/vnd.oci.image.manifest.v1+json");
    /// OCI image index.
    pub const OCI_INDEX: MediaType = known("application/vnd.oci.image.index.v1+json");
    /// OCI image configuration.
    pub const OCI_CONFIG: MediaType = known("application/vnd.oci.image.config.v1+json");
    /// The empty object `{}`, which artifacts use as their configuration.
    pub const OCI_EMPTY: MediaType = known("application/vnd.oci.empty.v1+json");
    /// OCI layer, a tar archive.
    pub const OCI_LAYER: MediaType = known("application/vnd.oci.image.layer.v1.tar");
    /// OCI layer, compressed by gzip.
    pub const OCI_LAYER_GZIP: MediaType = known("application/vnd.oci.image.layer.v1.tar+gzip");
    /// OCI layer, compressed by zstd.
    pub const OCI_LAYER_ZSTD: MediaType = known("application/vnd.oci.image.layer.v1.tar+zstd");
    /// OCI layer that must be fetched from its URLs.
    pub const OCI_LAYER_NONDISTRIBUTABLE: MediaType =
        known("application/vnd.oci.image.layer.nondistributable.v1.tar");
    /// OCI layer that must be fetched from its URLs, compressed by gzip.
    pub const OCI_LAYER_NONDISTRIBUTABLE_GZIP: MediaType =
        known("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    /// OCI layer that must be fetched from its URLs, compressed by zstd.
    pub const OCI_LAYER_NONDISTRIBUTABLE_ZSTD: MediaType =
        known("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd");
    /// Docker manifest, schema 2.
    pub const DOCKER_MANIFEST: MediaType =
        known("application/vnd.docker.distribution.manifest.v2+json");
    /// Docker manifest list.
    pub const DOCKER_MANIFEST_LIST: MediaType =
        known("application/vnd.docker.distribution.manifest.list.v2+json");
    /// Docker manifest, schema 1.
    pub const DOCKER_SCHEMA1: MediaType =
        known("application/vnd.docker.distribution.manifest.v1+json");
    /// Docker manifest, schema 1, signed.
    pub const DOCKER_SCHEMA1_SIGNED: MediaType =
        known("application/vnd.docker.distribution.manifest.v1+prettyjws");
    /// Docker image configuration.
    pub const DOCKER_CONFIG: MediaType = known("application/vnd.docker.container.image.v1+json");
    /// Docker layer.
    pub const DOCKER_LAYER_GZIP: MediaType =
        known("application/vnd.docker.image.rootfs.diff.tar.gzip");
    /// Docker layer that must be fetched from its URLs.
    pub const DOCKER_FOREIGN_LAYER_GZIP: MediaType =
        known("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    /// Docker layer that must be fetched from its URLs, not compressed.
    pub const DOCKER_FOREIGN_LAYER: MediaType =
        known("application/vnd.docker.image.rootfs.foreign.diff.tar");
    /// Bytes of which nothing is known; how blobs are served.
    pub const OCTET_STREAM: MediaType = known("application/octet-stream");

    /// Reads `type/subtype`.
    pub fn parse(text: &str) -> Result<MediaType, MediaTypeError> {
        let (kind, subtype) = text.split_once('/').ok_or(MediaTypeError)?;
        if text.len() > Self::BYTES_MAX || !is_restricted_name(kind) || !is_restricted_name(subtype)
        {
            return Err(MediaTypeError);
        }
        Ok(MediaType(Text::Other(text.into())))
    }

    /// Reads the value of a `Content-Type` header: surrounding space and parameters are dropped.
    pub fn from_content_type(value: &str) -> Result<MediaType, MediaTypeError> {
        let essence = value.split_once(';').map_or(value, |(essence, _)| essence);
        MediaType::parse(essence.trim_matches([' ', '\t']))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Known(text) => text,
            Text::Other(text) => text,
        }
    }

    /// How a manifest of this type is treated.
    pub fn kind(&self) -> MediaKind {
        if *self == Self::OCI_MANIFEST || *self == Self::DOCKER_MANIFEST {
            MediaKind::ImageManifest
        } else if *self == Self::OCI_INDEX || *self == Self::DOCKER_MANIFEST_LIST {
            MediaKind::ImageIndex
        } else if *self == Self::DOCKER_SCHEMA1 || *self == Self::DOCKER_SCHEMA1_SIGNED {
            MediaKind::Schema1
        } else {
            MediaKind::Other
        }
    }

    /// Whether a layer of this type need not be in the registry, since clients fetch it from its URLs.
    pub fn is_nondistributable(&self) -> bool {
        let text = self.as_str();
        text.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
            || text.starts_with("application/vnd.docker.image.rootfs.foreign.diff.tar")
    }
}

/// `restricted-name`: a letter or a digit, then up to 126 of those and `!#$&-^_.+`.
fn is_restricted_name(name: &str) -> bool {
    name.len() <= 127
        && name
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric)
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

impl PartialEq for MediaType {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for MediaType {}

impl PartialOrd for MediaType {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MediaType {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for MediaType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaType({})", self.as_str())
    }
}

impl AsRef<str> for MediaType {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        MediaType::parse(text)
    }
}

impl TryFrom<String> for MediaType {
    type Error = MediaTypeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        MediaType::parse(&text)
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> String {
        media_type.as_str().to_owned()
    }
}
