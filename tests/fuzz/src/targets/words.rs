//! The words of the specification: references, names, digests, media types, ids of uploads, and ranges.

use oci::{
    ChunkRange, Digest, MediaType, RangeSet, Reference, RepositoryName, Resolved, Tag, UploadId,
};

use super::{nothing_to_forget, texts};
use crate::target::{Shape, Target, Verdict};

const SHA256: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SHA512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

const REFERENCE_WORDS: &[&str] = &[
    "sha256:",
    "sha512:",
    "latest",
    "v1.0",
    "_",
    "..",
    "a/b",
    "__",
    "---",
    "library/",
    "0123456789abcdef",
    SHA256,
];

/// The text that bytes are; bytes that are none are as good as a character that no grammar has.
fn text_of(input: &[u8]) -> Result<&str, Verdict> {
    std::str::from_utf8(input).map_err(|_| Verdict::refused("no text"))
}

/// Checks that what is read is printed as it was written.
fn same_text<T, E>(input: &[u8], read: impl Fn(&str) -> Result<T, E>) -> Verdict
where
    T: std::fmt::Display,
    E: std::fmt::Display,
{
    match text_of(input).map(|text| (text, read(text))) {
        Ok((text, Ok(value))) => {
            assert_eq!(value.to_string(), text);
            Verdict::accepted()
        }
        Ok((_, Err(error))) => Verdict::refused(&error.to_string()),
        Err(verdict) => verdict,
    }
}

/// A tag or a digest.
pub static REFERENCE: Target = Target {
    name: "reference",
    seeds: || texts(["latest", "v1.0-rc_2", "_", SHA256, SHA512]),
    generate: None,
    shape: Shape::Text(REFERENCE_WORDS),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        if let Ok(tag) = text_of(input)
            .and_then(|text| Tag::parse(text).map_err(|error| Verdict::refused(&error.to_string())))
        {
            assert!(!tag.as_str().contains(['/', ':']) && tag.as_str().len() <= Tag::BYTES_MAX);
        }
        same_text(input, Reference::parse)
    },
};

/// The name of a repository.
pub static NAME: Target = Target {
    name: "repository-name",
    seeds: || {
        texts([
            "a",
            "library/app",
            "team/sub/app",
            "a.b_c__d-e---f/0",
            "x/y/z/w",
        ])
    },
    generate: None,
    shape: Shape::Text(REFERENCE_WORDS),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let parse = |text: &str| {
            let name = RepositoryName::parse(text)?;
            assert!(text.len() <= RepositoryName::BYTES_MAX && !text.contains(".."));
            assert!(
                text.split_once('/')
                    .is_none_or(|(first, _)| first == name.project())
            );
            Ok::<_, oci::NameError>(name)
        };
        same_text(input, parse)
    },
};

/// A digest.
pub static DIGEST: Target = Target {
    name: "digest",
    seeds: || texts([SHA256, SHA512]),
    generate: None,
    shape: Shape::Text(REFERENCE_WORDS),
    repair: Some(exact_hex),
    fresh: nothing_to_forget,
    check: |input| {
        let parse = |text: &str| {
            let digest = Digest::parse(text)?;
            assert_eq!(
                text.split_once(':').map(|(_, hex)| hex.len()),
                Some(digest.hex().len())
            );
            Ok::<_, oci::DigestError>(digest)
        };
        same_text(input, parse)
    },
};

/// Brings what is nearly a digest to the length of one, so that not all are refused for it.
fn exact_hex(input: &mut Vec<u8>) {
    let len = match input.get(..7) {
        Some(b"sha256:") => 71,
        Some(b"sha512:") => 135,
        _ => return,
    };
    if input.len().abs_diff(len) < 4 {
        input.resize(len, b'a');
    }
}

/// A media type, and the value of `Content-Type` that has one.
pub static MEDIA_TYPE: Target = Target {
    name: "media-type",
    seeds: || {
        texts([
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8",
            "text/plain",
        ])
    },
    generate: None,
    shape: Shape::Text(&["application/", "+json", ";", "charset=", "*/*", "vnd."]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(text) = text_of(input) else {
            return Verdict::refused("no text");
        };
        if let Ok(essence) = MediaType::from_content_type(text) {
            assert_eq!(MediaType::parse(essence.as_str()).as_ref(), Ok(&essence));
            let _ = (essence.kind(), essence.is_nondistributable());
            return Verdict::accepted();
        }
        same_text(input, MediaType::parse)
    },
};

/// The id of an upload.
pub static UPLOAD_ID: Target = Target {
    name: "upload-id",
    seeds: || {
        texts([
            "0123abcd-0000-4000-8000-000000000001",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ])
    },
    generate: None,
    shape: Shape::Text(&["-", "0123", "ffff"]),
    repair: Some(|input| {
        if input.len().abs_diff(36) < 4 {
            input.resize(36, b'a');
        }
    }),
    fresh: nothing_to_forget,
    check: |input| same_text(input, UploadId::parse),
};

/// The `Range` of a download, and what it means of blobs of several sizes.
pub static RANGE: Target = Target {
    name: "range",
    seeds: || {
        texts([
            "bytes=0-99",
            "bytes=5-",
            "bytes=-7",
            "bytes=0-0, 5-9 ,-1,20-",
            "Bytes = 1-2",
        ])
    },
    generate: None,
    shape: Shape::Text(&["bytes=", "-", ",", "0-", "18446744073709551615", " ", "\t"]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(text) = text_of(input) else {
            return Verdict::refused("no text");
        };
        let Some(set) = RangeSet::parse(text) else {
            return Verdict::refused("ignored");
        };
        assert_eq!(RangeSet::parse(&set.to_string()).as_ref(), Some(&set));
        for total in [0, 1, 10, 1 << 20, u64::MAX - 1, u64::MAX] {
            check_spans(&set, total);
        }
        Verdict::accepted()
    },
};

fn check_spans(set: &RangeSet, total: u64) {
    let Resolved::Ranges(spans) = set.resolve(total) else {
        return;
    };
    let sum = spans
        .iter()
        .try_fold(0_u64, |sum, span| sum.checked_add(span.len));
    assert!(!spans.is_empty() && sum.is_some_and(|sum| sum <= total));
    assert!(spans.iter().all(|span| span.len > 0 && span.end() <= total));
    let mut sorted = spans.clone();
    sorted.sort_by_key(|span| span.start);
    assert!(
        sorted.windows(2).all(|two| two[0].end() <= two[1].start),
        "no byte twice"
    );
}

/// The `Content-Range` of a chunk.
pub static CONTENT_RANGE: Target = Target {
    name: "content-range",
    seeds: || texts(["0-1023", "bytes 0-1023/*", "bytes 5-9/10", "BYTES  7-7/8"]),
    generate: None,
    shape: Shape::Text(&["bytes ", "-", "/*", "/", "18446744073709551615"]),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| {
        let Ok(text) = text_of(input) else {
            return Verdict::refused("no text");
        };
        match ChunkRange::parse(text) {
            Ok(range) => {
                assert_eq!(ChunkRange::parse(&range.to_string()), Ok(range));
                assert_eq!(range.start() + (range.len() - 1), range.end());
                Verdict::accepted()
            }
            Err(error) => Verdict::refused(&error.to_string()),
        }
    },
};
