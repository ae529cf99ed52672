//! Fuzz targets, run briefly as tests: no input makes a parser panic, and what is accepted is what it says.
//!
//! `cargo bolero test -p oci fuzz_manifest` runs one for as long as is wanted.

use std::collections::BTreeSet;

use oci::{
    ChunkRange, Descriptor, Digest, MANIFEST_BYTES_MAX, Manifest, MediaType, REFERENCES_MAX,
    RangeSet, Reference, RepositoryName, Resolved, Tag, UploadId,
};

const ITERATIONS: usize = 20_000;

/// Text that is near to being read: random bytes, mapped to an alphabet that the grammars use, or kept.
fn near_text(bytes: &[u8], alphabet: &[u8]) -> String {
    let Some((choice, bytes)) = bytes.split_first() else {
        return String::new();
    };
    let mapped: Vec<u8> = match choice % 4 {
        0 => bytes.to_vec(),
        _ => bytes
            .iter()
            .map(|b| alphabet[usize::from(*b) % alphabet.len()])
            .collect(),
    };
    String::from_utf8_lossy(&mapped).into_owned()
}

#[test]
fn fuzz_reference() {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .for_each(|bytes: &[u8]| {
            let text = near_text(bytes, b"a0f9._-/:A+");
            let prefixed = format!("sha256:{text}");
            for text in [&text, &prefixed] {
                if let Ok(reference) = Reference::parse(text) {
                    assert_eq!(&reference.to_string(), text);
                }
                if let Ok(name) = RepositoryName::parse(text) {
                    assert_eq!(name.as_str(), text);
                    assert!(
                        text.len() <= RepositoryName::BYTES_MAX
                            && !text.contains("..")
                            && !name.project().is_empty()
                    );
                }
                if let Ok(tag) = Tag::parse(text) {
                    assert_eq!(tag.as_str(), text);
                    assert!(!text.contains(['/', ':']));
                }
                if let Ok(digest) = Digest::parse(text) {
                    assert_eq!(&digest.to_string(), text);
                }
                if let Ok(id) = UploadId::parse(text) {
                    assert_eq!(&id.to_string(), text);
                }
                if let Ok(media_type) = MediaType::parse(text) {
                    assert_eq!(media_type.as_str(), text);
                }
            }
            if let Ok(bytes) = bytes.try_into() {
                let digest = Digest::Sha256(bytes);
                assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
            }
        });
}

#[test]
fn fuzz_range() {
    bolero::check!()
        .with_iterations(ITERATIONS)
        .with_type::<(Vec<u8>, u64)>()
        .for_each(|(bytes, total)| {
            let text = near_text(bytes, b"0123456789-,- 9/*");
            for text in [&text, &format!("bytes={text}"), &format!("bytes {text}")] {
                if let Ok(range) = ChunkRange::parse(text) {
                    assert_eq!(ChunkRange::parse(&range.to_string()), Ok(range));
                    assert_eq!(range.start() + (range.len() - 1), range.end());
                }
                let Some(set) = RangeSet::parse(text) else {
                    continue;
                };
                assert_eq!(RangeSet::parse(&set.to_string()).as_ref(), Some(&set));
                for total in [*total, *total % 1000] {
                    let Resolved::Ranges(spans) = set.resolve(total) else {
                        continue;
                    };
                    let sum = spans
                        .iter()
                        .try_fold(0_u64, |sum, span| sum.checked_add(span.len));
                    assert!(!spans.is_empty() && sum.is_some_and(|sum| sum <= total));
                    assert!(spans.iter().all(|span| span.len > 0 && span.end() <= total));
                }
            }
        });
}

#[test]
fn fuzz_manifest() {
    let digest = |n: u8| Digest::Sha256([n; 32]);
    let descriptor = |n: u8| {
        format!(
            r#"{{"mediaType":"a/b","digest":"{}","size":{n},"annotations":{{"k":"v"}},"platform":{{"os":"x"}}}}"#,
            digest(n)
        )
    };
    let seeds = [
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{},{}],"subject":{},"artifactType":"c/d"}}"#,
            MediaType::OCI_MANIFEST,
            descriptor(1),
            descriptor(2),
            descriptor(3),
            descriptor(4)
        ),
        format!(
            r#"{{"schemaVersion":2,"manifests":[{},{}],"annotations":{{}}}}"#,
            descriptor(5),
            descriptor(6)
        ),
    ];
    bolero::check!()
        .with_iterations(ITERATIONS)
        .for_each(|bytes: &[u8]| {
            check_manifest(bytes);
            let Some((choice, edits)) = bytes.split_first() else {
                return;
            };
            let mut payload = seeds[usize::from(*choice / 3) % seeds.len()]
                .clone()
                .into_bytes();
            for edit in edits.chunks_exact(4).take(1 + usize::from(*choice) % 3) {
                edit_payload(&mut payload, edit);
            }
            check_manifest(&payload);
        });
}

/// Replaces, inserts, removes or repeats a piece of the payload.
fn edit_payload(payload: &mut Vec<u8>, edit: &[u8]) {
    const TOKENS: &[u8] = b"{}[]\",:-01aL\\u \xff";
    let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % (payload.len() + 1);
    let token = TOKENS[usize::from(edit[3]) % TOKENS.len()];
    let end = (at + usize::from(edit[3])).min(payload.len());
    match edit[2] % 4 {
        0 if at < payload.len() => payload[at] = token,
        1 => payload.insert(at, token),
        2 => drop(payload.drain(at..end)),
        _ => payload
            .splice(at..at, payload[at..end].to_vec())
            .for_each(drop),
    }
}

fn check_manifest(payload: &[u8]) {
    let Ok(manifest) = Manifest::parse(payload, None) else {
        return;
    };
    assert!(payload.len() <= MANIFEST_BYTES_MAX);
    let body: serde_json::Value =
        serde_json::from_slice(payload).expect("what is accepted is JSON");
    let parts: Vec<_> = match manifest.is_index() {
        true => body["manifests"].as_array().into_iter().flatten().collect(),
        false => std::iter::once(&body["config"])
            .chain(body["layers"].as_array().into_iter().flatten())
            .collect(),
    };
    assert_eq!(parts.len(), manifest.descriptors().count());
    for (part, descriptor) in parts.into_iter().zip(manifest.descriptors()) {
        assert_eq!(part["digest"], descriptor.digest.to_string());
        assert_eq!(part["size"], descriptor.size);
        let text = serde_json::to_string(descriptor).expect("serializable");
        assert_eq!(
            &serde_json::from_str::<Descriptor>(&text).expect("as written"),
            descriptor
        );
    }
    let digests: BTreeSet<_> = manifest
        .descriptors()
        .map(|descriptor| descriptor.digest)
        .collect();
    assert!(digests.len() <= REFERENCES_MAX);
    let again =
        Manifest::parse(payload, Some(&manifest.media_type)).expect("declared as what it is");
    assert_eq!(again, manifest);
}
