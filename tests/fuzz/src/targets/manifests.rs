//! Manifests, indexes, and the descriptors in them.

use std::collections::BTreeSet;

use oci::{Descriptor, Manifest, MediaType, REFERENCES_MAX};

use super::nothing_to_forget;
use crate::dice::Dice;
use crate::target::{Shape, Target, Verdict};

const WORDS: &[&str] = &[
    "\"schemaVersion\":2",
    "\"mediaType\":",
    "\"config\":",
    "\"layers\":",
    "\"manifests\":",
    "\"subject\":",
    "\"artifactType\":",
    "\"annotations\":",
    "\"platform\":",
    "\"urls\":",
    "\"data\":",
    "\"digest\":",
    "\"size\":",
    "\"fsLayers\":",
    "sha256:",
    "sha512:",
    "null",
    "{}",
    "[]",
    "\"\"",
    "\"\\u0000\"",
    "\\ud83d",
    "1e3",
    "-0",
    "2.0",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.oci.empty.v1+json",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
];

const TYPES: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

fn descriptor(dice: &mut Dice) -> String {
    let mut text = format!(
        r#"{{"mediaType":"{}","digest":"sha256:{:064x}","size":{}"#,
        dice.pick(TYPES),
        dice.next() % 5,
        dice.next() % 5000
    );
    if dice.once_in(3) {
        text += r#","platform":{"os":"linux","architecture":"amd64","variant":"v8"}"#;
    }
    if dice.once_in(3) {
        text += r#","annotations":{"k":"v","ü":"\u00e9"}"#;
    }
    if dice.once_in(4) {
        text += r#","urls":["https://example.org/x"],"data":"e30=","artifactType":"a/b"}"#;
        return text;
    }
    text + "}"
}

/// A manifest or an index as clients write them.
pub fn manifest(dice: &mut Dice) -> Vec<u8> {
    let kind = dice.below(TYPES.len());
    let mut text = String::from(r#"{"schemaVersion":2"#);
    if !dice.once_in(4) {
        text += &format!(r#","mediaType":"{}""#, TYPES[kind]);
    }
    let many: Vec<String> = (0..dice.below(6)).map(|_| descriptor(dice)).collect();
    text += &match kind {
        0 | 1 => format!(
            r#","config":{},"layers":[{}]"#,
            descriptor(dice),
            many.join(",")
        ),
        _ => format!(r#","manifests":[{}]"#, many.join(", ")),
    };
    if dice.once_in(3) {
        text += &format!(r#","subject":{}"#, descriptor(dice));
    }
    if dice.once_in(3) {
        text += r#","artifactType":"application/x.y","annotations":{"a":"b"}"#;
    }
    (text + "}").into_bytes()
}

/// A manifest or an index.
pub static MANIFEST: Target = Target {
    name: "manifest",
    seeds: Vec::new,
    generate: Some(manifest),
    shape: Shape::Text(WORDS),
    repair: None,
    fresh: nothing_to_forget,
    check: check_manifest,
};

fn check_manifest(payload: &[u8]) -> Verdict {
    for declared in [MediaType::OCI_INDEX, MediaType::DOCKER_MANIFEST] {
        if let Ok(manifest) = Manifest::parse(payload, Some(&declared)) {
            assert_eq!(manifest.media_type, declared);
        }
    }
    let manifest = match Manifest::parse(payload, None) {
        Ok(manifest) => manifest,
        Err(error) => return Verdict::refused(&error.to_string()),
    };
    let body: serde_json::Value =
        serde_json::from_slice(payload).expect("what is accepted is JSON");
    let parts: Vec<_> = if manifest.is_index() {
        body["manifests"].as_array().into_iter().flatten().collect()
    } else {
        let layers = body["layers"].as_array().into_iter().flatten();
        std::iter::once(&body["config"]).chain(layers).collect()
    };
    assert_eq!(parts.len(), manifest.descriptors().count());
    for (part, descriptor) in parts.into_iter().zip(manifest.descriptors()) {
        assert_eq!(part["digest"], descriptor.digest.to_string());
        assert_eq!(part["size"], descriptor.size);
        same_descriptor(descriptor);
    }
    let digests: BTreeSet<_> = manifest.descriptors().map(|one| one.digest).collect();
    assert!(digests.len() <= REFERENCES_MAX);
    let again = Manifest::parse(payload, Some(&manifest.media_type));
    assert_eq!(again.as_ref(), Ok(&manifest), "declared as what it is");
    Verdict::accepted()
}

fn same_descriptor(descriptor: &Descriptor) {
    let text = serde_json::to_string(descriptor).expect("a descriptor can be written");
    let again: Descriptor = serde_json::from_str(&text).expect("what was written is read");
    assert_eq!(&again, descriptor);
}

/// One descriptor, as the log keeps those of referrers.
pub static DESCRIPTOR: Target = Target {
    name: "descriptor",
    seeds: Vec::new,
    generate: Some(|dice| descriptor(dice).into_bytes()),
    shape: Shape::Text(WORDS),
    repair: None,
    fresh: nothing_to_forget,
    check: |input| match serde_json::from_slice::<Descriptor>(input) {
        Ok(descriptor) => {
            same_descriptor(&descriptor);
            Verdict::accepted()
        }
        Err(error) => Verdict::refused(&error.to_string()),
    },
};
