//! The small world that sequences are about: names, tags, contents, and manifests that name these.

use std::sync::LazyLock;

use oci::{Algorithm, Digest};

/// Repositories; the last one is never pushed to.
pub const REPOSITORIES: [&str; 4] = ["a", "b.c/d-e", "team/app", "nothing/here"];
/// Tags.
pub const TAGS: [&str; 4] = ["latest", "v1", "V1", "_x.y-z"];

/// Contents of blobs: nothing, little, one part, several.
pub static CONTENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let long = |len: usize| (0..len).map(|at| (at % 251) as u8).collect();
    vec![
        b"".to_vec(),
        b"{}".to_vec(),
        b"a layer".to_vec(),
        long(4096),
        long(10_000),
    ]
});

/// One manifest.
pub struct Fixed {
    /// As it is sent.
    pub payload: Vec<u8>,
    /// Its `Content-Type`.
    pub media_type: &'static str,
    /// Its sha256.
    pub digest: Digest,
    /// The blobs that it needs, the config first; of an index none.
    pub blobs: Vec<Digest>,
    /// What it is about.
    pub subject: Option<Digest>,
    /// As its referrer's descriptor says.
    pub artifact_type: Option<String>,
}

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The sha256 of a content.
pub fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

fn descriptor(media_type: &str, digest: Digest, size: usize) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn image(
    media_type: &'static str,
    config: usize,
    layers: &[usize],
    subject: Option<&Fixed>,
    artifact: Option<&str>,
) -> Fixed {
    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    let of = |kind: &str, which: usize| {
        let content = &CONTENTS[which];
        descriptor(kind, sha256(content), content.len())
    };
    let listed: Vec<String> = layers
        .iter()
        .map(|layer| of("application/vnd.oci.image.layer.v1.tar", *layer))
        .collect();
    let mut payload = format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{},"layers":[{}]"#,
        of(CONFIG, config),
        listed.join(",")
    );
    if let Some(subject) = subject {
        payload += &format!(
            r#","subject":{}"#,
            descriptor(subject.media_type, subject.digest, subject.payload.len())
        );
    }
    if let Some(artifact) = artifact {
        payload += &format!(r#","artifactType":"{artifact}""#);
    }
    payload += "}";
    let mut blobs = vec![sha256(&CONTENTS[config])];
    for layer in layers {
        let digest = sha256(&CONTENTS[*layer]);
        if !blobs.contains(&digest) {
            blobs.push(digest);
        }
    }
    Fixed {
        digest: sha256(payload.as_bytes()),
        payload: payload.into_bytes(),
        media_type,
        blobs,
        subject: subject.map(|subject| subject.digest),
        artifact_type: Some(artifact.unwrap_or(CONFIG).to_owned()),
    }
}

fn index(children: &[&Fixed]) -> Fixed {
    let children: Vec<String> = children
        .iter()
        .map(|child| descriptor(child.media_type, child.digest, child.payload.len()))
        .collect();
    let payload = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        children.join(",")
    );
    Fixed {
        digest: sha256(payload.as_bytes()),
        payload: payload.into_bytes(),
        media_type: INDEX,
        blobs: Vec::new(),
        subject: None,
        artifact_type: None,
    }
}

/// All manifests.
pub static MANIFESTS: LazyLock<Vec<Fixed>> = LazyLock::new(|| {
    let plain = image(IMAGE, 1, &[2], None, None);
    let docker = image(DOCKER, 1, &[2, 3], None, None);
    let large = image(IMAGE, 2, &[3, 4, 0], None, None);
    let signature = image(
        IMAGE,
        1,
        &[1],
        Some(&plain),
        Some("application/x.signature"),
    );
    let list = image(IMAGE, 1, &[0], Some(&plain), Some("application/x.list"));
    let of_docker = image(IMAGE, 1, &[2], Some(&docker), None);
    let both = index(&[&plain, &docker]);
    let empty = index(&[]);
    vec![
        plain, docker, large, signature, list, of_docker, both, empty,
    ]
});

/// The manifest of a digest.
pub fn manifest_of(digest: &Digest) -> &'static Fixed {
    let found = MANIFESTS.iter().find(|known| known.digest == *digest);
    found.expect("nothing else is pushed")
}
