//! One thing that a client wants done. An operation under way when the server dies has happened, or it has not.

use crate::Content;

/// The media type of every manifest here.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What can be asked of a registry.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are what they are called")]
pub enum Operation {
    /// `POST` and `PUT` of a whole blob.
    PushBlob {
        repository: String,
        content: Content,
    },
    /// `POST`: begins an upload of this content.
    Open {
        repository: String,
        content: Content,
    },
    /// `PATCH` of the oldest open upload, from where it stands, up to this offset.
    Write { to: usize },
    /// `PUT` of what is missing of the oldest open upload.
    Close,
    /// `DELETE` of the oldest open upload.
    Cancel,
    /// `POST ?mount=&from=`.
    Mount {
        from: String,
        repository: String,
        digest: String,
    },
    /// `PUT` of a manifest under a tag.
    PutManifest {
        repository: String,
        tag: String,
        payload: String,
    },
    /// `DELETE` by tag.
    DeleteTag { repository: String, tag: String },
    /// `DELETE` by digest.
    DeleteManifest { repository: String, digest: String },
    /// `DELETE` of a blob that no manifest names.
    DeleteBlob { repository: String, digest: String },
}

/// A manifest with this config and layer, and so much padding in an annotation.
pub fn manifest(config: &Content, layer: &Content, note: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}],"annotations":{{"note":"{note}"}}}}"#,
        descriptor("application/vnd.oci.image.config.v1+json", config),
        descriptor("application/vnd.oci.image.layer.v1.tar", layer),
    )
}

fn descriptor(media_type: &str, content: &Content) -> String {
    let (digest, size) = (content.digest(), content.size());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}
