//! Descriptors as JSON: what the referrers API returns, and what is kept as it was written.

use oci::{Algorithm, Descriptor, Digest, MediaType, OpaqueJson};

#[test]
fn descriptors_are_written_without_what_they_do_not_have() {
    let digest = Digest::of(Algorithm::Sha256, b"");
    let plain = Descriptor::new(MediaType::OCI_LAYER, digest, 7);
    let text = serde_json::to_string(&plain).expect("serializable");
    assert_eq!(
        text,
        format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":7}}"#,
            MediaType::OCI_LAYER
        )
    );
    assert_eq!(
        serde_json::from_str::<Descriptor>(&text).expect("as written"),
        plain
    );
}

#[test]
fn descriptors_are_read_as_they_are_written() {
    let mut full = Descriptor::new(
        MediaType::OCI_MANIFEST,
        Digest::of(Algorithm::Sha512, b"x"),
        Descriptor::SIZE_MAX,
    );
    full.urls = vec!["https://example.com/".to_owned()];
    full.annotations
        .insert("org.example \"quoted\"".to_owned(), "line\nline".to_owned());
    full.data = Some("e30=".to_owned());
    full.artifact_type = Some("application/vnd.example".to_owned());
    full.platform = Some(OpaqueJson::parse(r#"{ "os": "linux", "x": [1, 1.50] }"#).expect("JSON"));
    let text = serde_json::to_string(&full).expect("serializable");
    assert!(
        text.contains(r#""platform":{ "os": "linux", "x": [1, 1.50] }"#),
        "{text}"
    );
    assert_eq!(
        serde_json::from_str::<Descriptor>(&text).expect("as written"),
        full
    );
}

#[test]
fn opaque_json_is_json_of_bounded_depth() {
    assert!(OpaqueJson::parse("{}").is_ok());
    for text in [
        "",
        "{",
        "{} {}",
        "x",
        &"[".repeat(1000),
        &format!("{}{}", "[".repeat(200), "]".repeat(200)),
    ] {
        assert!(OpaqueJson::parse(text).is_err(), "{text}");
    }
}
