//! Manifests: what an image, an index or an artifact consists of.
//!
//! A payload is accepted only when every client reads the same content in it: one media type, one shape, no key twice.
//! The payload itself is stored and served as it came; what is parsed here is for counting references, referrers and
//! listings, and is never written back.
//!
//! Spec: image-spec 1.1, manifest.md and image-index.md; distribution-spec 1.1, "Pushing manifests". Ambiguous
//! documents: CVE-2021-41190.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::strict_json::{Keys, Skipped, is_nested_deeper};
use crate::{Descriptor, MediaKind, MediaType};

/// The most bytes of a manifest: 4 MiB, what the specification asks registries to take at least.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most distinct digests that one manifest may name. One log entry touches rows for each.
pub const REFERENCES_MAX: usize = 4096;

/// How deep arrays and objects may be nested in a manifest.
pub const NESTING_DEPTH_MAX: usize = 100;

/// A manifest, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its media type: what was declared, which the body does not contradict.
    pub media_type: MediaType,
    /// What it consists of.
    pub kind: ManifestKind,
    /// The manifest that it says something about.
    pub subject: Option<Descriptor>,
    /// What kind of artifact it is: `artifactType`, or for an image manifest without one the media type of its
    /// configuration. As the referrers API reports it.
    pub artifact_type: Option<String>,
    /// Its annotations, which the referrers API reports.
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each manifest, moved a few times"
)]
pub enum ManifestKind {
    /// Blobs: an image or an artifact.
    Image {
        /// The configuration.
        config: Descriptor,
        /// The layers, from the base up. May name one digest more than once.
        layers: Vec<Descriptor>,
    },
    /// Other manifests, usually; caches name blobs here.
    Index {
        /// The children. May name one digest more than once.
        manifests: Vec<Descriptor>,
    },
}

/// Why a payload is not accepted as a manifest. All but [`ManifestError::TooLarge`] are `MANIFEST_INVALID`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More than [`MANIFEST_BYTES_MAX`] bytes.
    #[error("the manifest has more than 4 MiB")]
    TooLarge,
    /// Not JSON, or something behind the JSON.
    #[error("the manifest is not JSON: {0}")]
    NotJson(String),
    /// Nested deeper than [`NESTING_DEPTH_MAX`].
    #[error("the manifest is nested too deep")]
    TooDeep,
    /// JSON, but a field is absent, of a wrong type, or there twice.
    #[error("the manifest is malformed: {0}")]
    Malformed(String),
    /// A docker manifest of schema 1, which this registry does not store.
    #[error(
        "docker manifests of schema 1 are refused: push with a client that writes schema 2 or OCI"
    )]
    Schema1,
    /// `schemaVersion` is not 2.
    #[error("schemaVersion must be 2")]
    SchemaVersion,
    /// No media type of a manifest that this registry stores.
    #[error("manifests of media type {0} are not supported")]
    UnsupportedMediaType(MediaType),
    /// The body says that it is something else than `Content-Type` does.
    #[error("the manifest was sent as {declared} but says that it is {found}")]
    MediaTypeMismatch {
        /// `Content-Type`.
        declared: MediaType,
        /// `mediaType`.
        found: MediaType,
    },
    /// Fields of an image manifest and of an index together.
    #[error("the manifest is ambiguous: it has both the fields of an image and those of an index")]
    Ambiguous,
    /// The fields are not those of the media type.
    #[error("a manifest of media type {media_type} needs {expected}")]
    WrongShape {
        /// What the manifest is said to be.
        media_type: MediaType,
        /// Which fields it has to have.
        expected: &'static str,
    },
    /// More than [`REFERENCES_MAX`] distinct digests.
    #[error("the manifest names more than 4096 different digests")]
    TooManyReferences,
}

impl Manifest {
    /// Reads a payload that was declared to be `declared` (its `Content-Type`), if that was declared at all.
    pub fn parse(payload: &[u8], declared: Option<&MediaType>) -> Result<Manifest, ManifestError> {
        if payload.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge);
        }
        if let Some(declared) = declared {
            refuse_unsupported(declared)?;
        }
        if is_nested_deeper(payload, NESTING_DEPTH_MAX) {
            return Err(ManifestError::TooDeep);
        }
        // serde_json checks the strings that it keeps only.
        let text = std::str::from_utf8(payload)
            .map_err(|error| ManifestError::NotJson(error.to_string()))?;
        let body: Body = serde_json::from_str(text).map_err(json_error)?;
        let media_type = body.agreed_media_type(declared)?;
        let manifest = body.into_manifest(media_type)?;
        manifest.refuse_too_many_references()?;
        Ok(manifest)
    }

    /// What it consists of: the configuration and then the layers, or the children. Not the subject.
    pub fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, others) = match &self.kind {
            ManifestKind::Image { config, layers } => (Some(config), layers),
            ManifestKind::Index { manifests } => (None, manifests),
        };
        config.into_iter().chain(others)
    }

    /// Whether it is an index.
    pub fn is_index(&self) -> bool {
        matches!(self.kind, ManifestKind::Index { .. })
    }

    fn refuse_too_many_references(&self) -> Result<(), ManifestError> {
        let digests: BTreeSet<_> = self
            .descriptors()
            .chain(&self.subject)
            .map(|d| d.digest)
            .collect();
        if digests.len() > REFERENCES_MAX {
            Err(ManifestError::TooManyReferences)
        } else {
            Ok(())
        }
    }
}

fn refuse_unsupported(media_type: &MediaType) -> Result<(), ManifestError> {
    match media_type.kind() {
        MediaKind::ImageManifest | MediaKind::ImageIndex => Ok(()),
        MediaKind::Schema1 => Err(ManifestError::Schema1),
        MediaKind::Other => Err(ManifestError::UnsupportedMediaType(media_type.clone())),
    }
}

fn json_error(error: serde_json::Error) -> ManifestError {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => ManifestError::Malformed(error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => {
            ManifestError::NotJson(error.to_string())
        }
    }
}

/// The fields of all kinds of manifests. `null` is absent, but for the lists, where it is an empty one (that is how
/// Go's encoder writes them).
#[derive(Default)]
struct Body {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<List>,
    manifests: Option<List>,
    fs_layers: bool,
    subject: Option<Descriptor>,
    annotations: BTreeMap<String, String>,
}

/// A list that is there: `None` when it is `null`.
type List = Option<Vec<Descriptor>>;

impl Body {
    /// The media type that the declaration, the body and its shape agree on.
    fn agreed_media_type(&self, declared: Option<&MediaType>) -> Result<MediaType, ManifestError> {
        if self.schema_version == Some(1) || self.fs_layers {
            return Err(ManifestError::Schema1);
        }
        if self.schema_version != Some(2) {
            return Err(ManifestError::SchemaVersion);
        }
        match (declared, &self.media_type) {
            (Some(declared), Some(found)) if declared != found => {
                Err(ManifestError::MediaTypeMismatch {
                    declared: declared.clone(),
                    found: found.clone(),
                })
            }
            (Some(declared), _) => Ok(declared.clone()),
            (None, Some(found)) => refuse_unsupported(found).map(|()| found.clone()),
            (None, None) if self.manifests.is_some() => Ok(MediaType::OCI_INDEX),
            (None, None) => Ok(MediaType::OCI_MANIFEST),
        }
    }

    fn into_manifest(self, media_type: MediaType) -> Result<Manifest, ManifestError> {
        let image_fields = self.config.is_some() || matches!(self.layers, Some(Some(_)));
        let index_fields = matches!(self.manifests, Some(Some(_)));
        if image_fields && index_fields {
            return Err(ManifestError::Ambiguous);
        }
        let wrong_shape = |expected| ManifestError::WrongShape {
            media_type: media_type.clone(),
            expected,
        };
        let mut artifact_type = self.artifact_type.filter(|text| !text.is_empty());
        let kind = if media_type.kind() == MediaKind::ImageIndex {
            if image_fields {
                return Err(wrong_shape(
                    "`manifests`, and neither `config` nor `layers`",
                ));
            }
            let manifests = self
                .manifests
                .ok_or_else(|| wrong_shape("`manifests`"))?
                .unwrap_or_default();
            ManifestKind::Index { manifests }
        } else {
            if index_fields {
                return Err(wrong_shape("`config` and `layers`, and no `manifests`"));
            }
            let config = self.config.ok_or_else(|| wrong_shape("`config`"))?;
            let layers = self
                .layers
                .ok_or_else(|| wrong_shape("`layers`"))?
                .unwrap_or_default();
            artifact_type = artifact_type.or_else(|| Some(config.media_type.to_string()));
            ManifestKind::Image { config, layers }
        };
        let (subject, annotations) = (self.subject, self.annotations);
        Ok(Manifest {
            media_type,
            kind,
            subject,
            artifact_type,
            annotations,
        })
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

const FIELDS: [&str; 9] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "fsLayers",
    "subject",
    "annotations",
];

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let mut keys = Keys::new(&FIELDS);
        let mut body = Body::default();
        while let Some(key) = map.next_key::<String>()? {
            keys.admit(&key)?;
            match key.as_str() {
                "schemaVersion" => body.schema_version = map.next_value()?,
                "mediaType" => body.media_type = parse_media_type(map.next_value()?)?,
                "artifactType" => body.artifact_type = map.next_value()?,
                "config" => body.config = map.next_value()?,
                "layers" => body.layers = Some(map.next_value()?),
                "manifests" => body.manifests = Some(map.next_value()?),
                "fsLayers" => body.fs_layers = map.next_value::<Option<Skipped>>()?.is_some(),
                "subject" => body.subject = map.next_value()?,
                "annotations" => {
                    body.annotations = map.next_value::<Option<_>>()?.unwrap_or_default()
                }
                _ => {
                    map.next_value::<Skipped>()?;
                }
            }
        }
        Ok(body)
    }
}

/// An empty `mediaType` is an absent one.
fn parse_media_type<E: serde::de::Error>(text: Option<String>) -> Result<Option<MediaType>, E> {
    text.filter(|text| !text.is_empty())
        .map(|text| MediaType::parse(&text).map_err(E::custom))
        .transpose()
}
