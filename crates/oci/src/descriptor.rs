//! Descriptors: the type, digest and size of content that lives elsewhere.
//!
//! Reading is strict where parsers could disagree (sizes, keys that occur twice) and lenient where the specification
//! is (unknown fields are skipped, `null` is absent). Writing gives the JSON of the specification, empty fields left
//! out, which is what the referrers API returns.
//!
//! Spec: image-spec 1.1, descriptor.md.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::strict_json::{Keys, Skipped, is_nested_deeper};
use crate::{Digest, MediaType};

/// What is known of content by those who refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: MediaType,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has, at most [`Descriptor::SIZE_MAX`] when it was parsed.
    pub size: u64,
    /// Where else it may be fetched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Arbitrary notes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The content itself in base64, as it was written; never decoded here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What kind of artifact it is, as it was written. Never empty when it was parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The platform of an image, kept as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<OpaqueJson>,
}

impl Descriptor {
    /// The largest size: the specification's is a signed 64-bit number.
    pub const SIZE_MAX: u64 = i64::MAX as u64;

    /// A descriptor with nothing but what is required.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            artifact_type: None,
            platform: None,
        }
    }
}

/// JSON that is passed on and never interpreted. Equal when its text is.
#[derive(Clone)]
pub struct OpaqueJson(Box<RawValue>);

/// The text is not JSON, or is nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON value of bounded depth")]
pub struct OpaqueJsonError;

impl OpaqueJson {
    /// Keeps a JSON text.
    pub fn parse(text: &str) -> Result<OpaqueJson, OpaqueJsonError> {
        if is_nested_deeper(text.as_bytes(), crate::NESTING_DEPTH_MAX) {
            return Err(OpaqueJsonError);
        }
        let raw = RawValue::from_string(text.to_owned()).map_err(|_| OpaqueJsonError)?;
        OpaqueJson::from_raw(raw)
    }

    /// Keeps what serde_json has delimited; it does not look into strings for that, so this does.
    fn from_raw(raw: Box<RawValue>) -> Result<OpaqueJson, OpaqueJsonError> {
        match serde_json::from_str::<Skipped>(raw.get()) {
            Ok(Skipped) => Ok(OpaqueJson(raw)),
            Err(_) => Err(OpaqueJsonError),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for OpaqueJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for OpaqueJson {}

impl fmt::Debug for OpaqueJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpaqueJson({})", self.as_str())
    }
}

impl Serialize for OpaqueJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DescriptorVisitor)
    }
}

struct DescriptorVisitor;

const FIELDS: [&str; 8] = [
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "artifactType",
    "platform",
];

impl<'de> Visitor<'de> for DescriptorVisitor {
    type Value = Descriptor;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a descriptor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Descriptor, A::Error> {
        let mut keys = Keys::new(&FIELDS);
        let (mut media_type, mut digest, mut size) = (None, None, None);
        let (mut urls, mut annotations) = (Vec::new(), BTreeMap::new());
        let (mut data, mut artifact_type, mut platform) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            keys.admit(&key)?;
            match key.as_str() {
                "mediaType" => media_type = Some(map.next_value::<MediaType>()?),
                "digest" => digest = Some(map.next_value::<Digest>()?),
                "size" => size = Some(map.next_value::<u64>()?),
                "urls" => urls = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "annotations" => annotations = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "data" => data = map.next_value::<Option<String>>()?,
                "artifactType" => artifact_type = map.next_value::<Option<String>>()?,
                "platform" => platform = parse_platform(map.next_value()?)?,
                _ => {
                    map.next_value::<Skipped>()?;
                }
            }
        }
        let size = size.ok_or_else(|| A::Error::missing_field("size"))?;
        if size > Descriptor::SIZE_MAX {
            return Err(A::Error::custom(
                "a size is larger than a signed 64-bit number",
            ));
        }
        Ok(Descriptor {
            media_type: media_type.ok_or_else(|| A::Error::missing_field("mediaType"))?,
            digest: digest.ok_or_else(|| A::Error::missing_field("digest"))?,
            size,
            urls,
            annotations,
            data,
            artifact_type: artifact_type.filter(|text| !text.is_empty()),
            platform,
        })
    }
}

/// `null` is absent.
fn parse_platform<E: serde::de::Error>(raw: Box<RawValue>) -> Result<Option<OpaqueJson>, E> {
    if raw.get() == "null" {
        return Ok(None);
    }
    OpaqueJson::from_raw(raw).map(Some).map_err(E::custom)
}
