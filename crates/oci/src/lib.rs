//! The words of the OCI specifications as types that cannot be wrong.
//!
//! What comes from outside is parsed here, once, at the edge; inside, code takes the type and never checks again.
//! Pure: no I/O, no async, no clock, no randomness. No input makes a function of this crate panic, recurse without
//! bound, or hold memory beyond a small multiple of the input.
//!
//! Sources: distribution-spec 1.1 (names, tags, references, ranges of uploads, error codes), image-spec 1.1 (digests,
//! media types, descriptors, manifests), RFC 6838 (media types), RFC 9110 section 14 (ranges).

mod chunk_range;
mod descriptor;
mod digest;
mod error_code;
mod manifest;
mod media_type;
mod name;
mod project;
mod range;
mod reference;
mod strict_json;
mod upload_id;

pub use chunk_range::{ChunkRange, ChunkRangeError};
pub use descriptor::{Descriptor, OpaqueJson, OpaqueJsonError};
pub use digest::{Algorithm, AlgorithmError, Digest, DigestError};
pub use error_code::ErrorCode;
pub use manifest::{
    MANIFEST_BYTES_MAX, Manifest, ManifestError, ManifestKind, NESTING_DEPTH_MAX, REFERENCES_MAX,
};
pub use media_type::{MediaKind, MediaType, MediaTypeError};
pub use name::{NameError, RepositoryName};
pub use project::ProjectName;
pub use range::{ByteRange, ByteSpan, RANGES_MAX, RangeSet, Resolved};
pub use reference::{Reference, ReferenceError, Tag, TagError};
pub use upload_id::{UploadId, UploadIdError};
