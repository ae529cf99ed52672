//! Names, tags, digests, media types, identifiers and codes: what is read, what is refused, and that text and value
//! are one.

use std::collections::HashSet;

use oci::{
    Algorithm, Digest, DigestError, ErrorCode, MediaKind, MediaType, NameError, Reference,
    ReferenceError, RepositoryName, Tag, UploadId,
};
use proptest::prelude::*;

const EMPTY_SHA256: &str =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_of_the_grammar_are_read() {
    for text in [
        "a",
        "0",
        "library/debian",
        "a/b/c/d",
        "a.b_c__d-e--f---g",
        "x86/64",
        "9/9",
        &"a".repeat(255),
    ] {
        assert_eq!(
            RepositoryName::parse(text).map(String::from),
            Ok(text.to_owned())
        );
    }
}

#[test]
fn names_outside_the_grammar_are_refused() {
    let cases = [
        "/", "a/", "/a", "a//b", ".", "..", "a/../b", "../a", "a..b", "a___b", "a._b", "a-_b",
        "-a", "a-", "_a", "a_", ".a", "a.", "A", "aB", "a b", "a%2fb", "a\0", "a\n", "a\\b", "ä",
        "a:b", "a@b", "a+b", "_catalog",
    ];
    for text in cases {
        assert_eq!(
            RepositoryName::parse(text),
            Err(NameError::Malformed),
            "{text:?}"
        );
    }
    assert_eq!(RepositoryName::parse(""), Err(NameError::Empty));
    assert_eq!(
        RepositoryName::parse(&"a".repeat(256)),
        Err(NameError::TooLong)
    );
    assert_eq!(
        RepositoryName::parse(&"a".repeat(300)),
        Err(NameError::TooLong)
    );
}

/// Every text of up to six characters, compared with the grammar told the other way round: by what it forbids.
#[test]
fn short_names_are_exactly_those_of_the_grammar() {
    let alphabet = ['a', '.', '_', '-', '/', 'A'];
    let forbidden = [
        "A", "..", "___", "._", "_.", ".-", "-.", "_-", "-_", "//", "/.", "/_", "/-", "./", "_/",
        "-/",
    ];
    let mut texts = vec![String::new()];
    for _ in 0..6 {
        texts = texts
            .iter()
            .flat_map(|text| alphabet.map(|c| format!("{text}{c}")))
            .collect();
        for text in &texts {
            let expected = text.starts_with('a')
                && text.ends_with('a')
                && !forbidden.iter().any(|f| text.contains(f));
            assert_eq!(RepositoryName::parse(text).is_ok(), expected, "{text}");
        }
    }
}

#[test]
fn the_project_is_the_first_part_or_library() {
    for (name, project) in [
        ("debian", "library"),
        ("team/app", "team"),
        ("team/app/part", "team"),
    ] {
        assert_eq!(
            RepositoryName::parse(name).expect("a name").project(),
            project
        );
    }
}

#[test]
fn tags_are_read_and_refused() {
    let longest = "a".repeat(128);
    for text in [
        "latest",
        "_",
        "1.0",
        "V1_2-rc.3",
        "sha256-e3b0c44298fc1c149afbf4c8996fb924",
        "a..b",
        "a-",
        &longest,
    ] {
        assert_eq!(Tag::parse(text).map(String::from), Ok(text.to_owned()));
    }
    let too_long = "a".repeat(129);
    for text in [
        "", ".a", "-a", "a/b", "a:b", "a b", "a+b", "ä", "a\n", "a\0", "..", &too_long,
    ] {
        assert!(Tag::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn tags_are_ordered_by_bytes() {
    let mut tags =
        ["b", "a", "B", "_", "10", "9", "a.", "a-"].map(|text| Tag::parse(text).expect("a tag"));
    tags.sort();
    assert_eq!(
        tags.each_ref().map(Tag::as_str),
        ["10", "9", "B", "_", "a", "a-", "a.", "b"]
    );
}

#[test]
fn digests_are_read_and_refused() {
    let hex = &EMPTY_SHA256["sha256:".len()..];
    assert_eq!(
        Digest::parse(EMPTY_SHA256),
        Ok(Digest::of(Algorithm::Sha256, b""))
    );
    assert_eq!(
        Digest::parse(EMPTY_SHA256).map(|d| d.hex()),
        Ok(hex.to_owned())
    );
    let malformed = [
        "".to_owned(),
        ":".to_owned(),
        "sha256".to_owned(),
        "sha256:".to_owned(),
        "sha256:baddigeststring".to_owned(),
        format!(":{hex}"),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}g", &hex[1..]),
        format!("sha512:{hex}"),
        format!("SHA256:{hex}"),
        format!("sha256:{hex}\n"),
        format!(" sha256:{hex}"),
        format!("sha256::{hex}"),
        format!("sha256+:{hex}"),
        "md5:../../etc/passwd".to_owned(),
    ];
    for text in malformed {
        assert_eq!(
            Digest::parse(&text),
            Err(DigestError::Malformed),
            "{text:?}"
        );
    }
    for text in [
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha384:ab",
        "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g",
    ] {
        assert_eq!(
            Digest::parse(text),
            Err(DigestError::UnknownAlgorithm),
            "{text:?}"
        );
    }
}

#[test]
fn a_digest_has_the_bytes_of_its_algorithm() {
    assert_eq!(Digest::from_bytes(Algorithm::Sha256, &[0; 31]), None);
    assert_eq!(Digest::from_bytes(Algorithm::Sha256, &[0; 64]), None);
    assert_eq!(
        Digest::from_bytes(Algorithm::Sha512, &[7; 64]),
        Some(Digest::Sha512([7; 64]))
    );
    assert_eq!("sha512".parse(), Ok(Algorithm::Sha512));
    assert!("sha384".parse::<Algorithm>().is_err());
}

#[test]
fn a_reference_with_a_colon_is_a_digest() {
    assert!(matches!(Reference::parse("latest"), Ok(Reference::Tag(_))));
    assert!(matches!(
        Reference::parse(EMPTY_SHA256),
        Ok(Reference::Digest(_))
    ));
    let bad_digest = Reference::parse("sha256:baddigeststring");
    assert_eq!(
        bad_digest,
        Err(ReferenceError::Digest(DigestError::Malformed))
    );
    assert!(matches!(
        Reference::parse(".hidden"),
        Err(ReferenceError::Tag(_))
    ));
}

#[test]
fn media_types_are_read_and_refused() {
    let longest = format!("{}/{}", "a".repeat(127), "b".repeat(127));
    for text in [
        "a/b",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "x/!no",
        "text/x-&^$#_",
        &longest,
    ] {
        let expected = !text.ends_with("!no");
        assert_eq!(MediaType::parse(text).is_ok(), expected, "{text}");
    }
    let too_long = format!("a/{}", "b".repeat(128));
    for text in [
        "", "/", "a", "a/", "/b", "a/b/c", "a/b;c=d", "a b/c", "a/b\n", "ä/b", "*/*", ".a/b",
        &too_long,
    ] {
        assert!(MediaType::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_content_type_loses_space_and_parameters() {
    let header = " application/vnd.oci.image.index.v1+json ; charset=utf-8";
    assert_eq!(
        MediaType::from_content_type(header),
        Ok(MediaType::OCI_INDEX)
    );
    assert!(MediaType::from_content_type("; charset=utf-8").is_err());
}

#[test]
fn known_media_types_are_well_formed_and_equal_to_what_is_read() {
    let kinds = [
        (MediaType::OCI_MANIFEST, MediaKind::ImageManifest),
        (MediaType::DOCKER_MANIFEST, MediaKind::ImageManifest),
        (MediaType::OCI_INDEX, MediaKind::ImageIndex),
        (MediaType::DOCKER_MANIFEST_LIST, MediaKind::ImageIndex),
        (MediaType::DOCKER_SCHEMA1, MediaKind::Schema1),
        (MediaType::DOCKER_SCHEMA1_SIGNED, MediaKind::Schema1),
        (MediaType::OCI_CONFIG, MediaKind::Other),
        (MediaType::OCI_EMPTY, MediaKind::Other),
        (MediaType::DOCKER_CONFIG, MediaKind::Other),
        (MediaType::OCTET_STREAM, MediaKind::Other),
    ];
    let mut seen = HashSet::new();
    for (known, kind) in kinds {
        assert_eq!(MediaType::parse(known.as_str()), Ok(known.clone()));
        assert_eq!(
            MediaType::parse(known.as_str()).map(|read| read.kind()),
            Ok(kind),
            "{known}"
        );
        assert!(!known.is_nondistributable());
        assert!(seen.insert(known));
    }
    let fetched_elsewhere = [
        MediaType::OCI_LAYER_NONDISTRIBUTABLE,
        MediaType::OCI_LAYER_NONDISTRIBUTABLE_GZIP,
        MediaType::OCI_LAYER_NONDISTRIBUTABLE_ZSTD,
        MediaType::DOCKER_FOREIGN_LAYER,
        MediaType::DOCKER_FOREIGN_LAYER_GZIP,
    ];
    let stored = [
        MediaType::OCI_LAYER,
        MediaType::OCI_LAYER_GZIP,
        MediaType::OCI_LAYER_ZSTD,
        MediaType::DOCKER_LAYER_GZIP,
    ];
    for (layers, expected) in [(&fetched_elsewhere[..], true), (&stored[..], false)] {
        for layer in layers {
            assert_eq!(
                MediaType::parse(layer.as_str()).map(|read| read.is_nondistributable()),
                Ok(expected),
                "{layer}"
            );
            assert!(seen.insert(layer.clone()));
        }
    }
}

#[test]
fn upload_ids_have_one_spelling() {
    let text = "01234567-89ab-cdef-0123-456789abcdef";
    let id = UploadId::parse(text).expect("canonical");
    assert_eq!(id.as_u128(), 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    assert_eq!(id.to_string(), text);
    assert_eq!(
        UploadId::from_u128(0).to_string(),
        "00000000-0000-0000-0000-000000000000"
    );
    let refused = [
        "",
        "0123456789abcdef0123456789abcdef",
        "01234567-89AB-cdef-0123-456789abcdef",
        "01234567-89ab-cdef-0123-456789abcde",
        "01234567-89ab-cdef-0123-456789abcdef0",
        "{1234567-89ab-cdef-0123-456789abcdef",
        "0123456789ab--cdef-0123-456789abcdef",
        "0-234567-89ab-cdef-0123-456789abcdef",
        "../../..-etc-pass-wd..-............",
        "0123456é-89ab-cdef-0123-456789abcde",
    ];
    for text in refused {
        assert!(UploadId::parse(text).is_err(), "{text}");
    }
}

#[test]
fn error_codes_are_the_fourteen_of_the_specification() {
    let texts = ErrorCode::ALL.map(ErrorCode::as_str).join(" ");
    assert_eq!(
        texts,
        "BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID \
         MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS"
    );
}

#[test]
fn words_are_strings_in_json() {
    let json = format!("[\"{EMPTY_SHA256}\",\"{EMPTY_SHA256}\"]");
    let digests: Vec<Digest> = serde_json::from_str(&json).expect("digests");
    assert_eq!(serde_json::to_string(&digests).expect("serializable"), json);
    assert!(serde_json::from_str::<RepositoryName>("\"a/../b\"").is_err());
    assert!(serde_json::from_str::<Tag>("\".a\"").is_err());
    assert!(serde_json::from_str::<MediaType>("\"a\"").is_err());
    assert!(serde_json::from_str::<Digest>("\"sha256:00\"").is_err());
}

proptest! {
    #[test]
    fn names_made_by_the_grammar_are_read(
        text in "[a-z0-9]{1,9}((\\.|_|__|-{1,4})[a-z0-9]{1,5}){0,3}(/[a-z0-9]{1,9}((\\.|_|__|-{1,4})[a-z0-9]{1,5}){0,3}){0,4}",
    ) {
        let name = RepositoryName::parse(&text).expect("of the grammar");
        prop_assert_eq!(name.to_string(), &text[..]);
        prop_assert_eq!(text.parse(), Ok(name));
    }

    #[test]
    fn tags_made_by_the_grammar_are_read(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
        prop_assert_eq!(Tag::parse(&text).map(String::from), Ok(text));
    }

    #[test]
    fn digests_are_ordered_as_their_text(a in any::<[u8; 32]>(), b in any::<[u8; 32]>(), c in any::<[u8; 64]>()) {
        let digests = [Digest::Sha256(a), Digest::Sha256(b), Digest::Sha512(c)];
        for x in digests {
            prop_assert_eq!(Digest::parse(&x.to_string()), Ok(x));
            prop_assert_eq!(Digest::from_bytes(x.algorithm(), x.bytes()), Some(x));
            for y in digests {
                prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
            }
        }
    }

    #[test]
    fn upload_ids_are_ordered_as_their_text(a in any::<u128>(), b in any::<u128>()) {
        let (a, b) = (UploadId::from_u128(a), UploadId::from_u128(b));
        prop_assert_eq!(UploadId::parse(&a.to_string()), Ok(a));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }
}
