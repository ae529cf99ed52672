//! Manifests: what clients push is accepted, what two parsers could read differently is not.

use oci::{
    Algorithm, Digest, MANIFEST_BYTES_MAX, Manifest, ManifestError, ManifestKind, MediaType,
    NESTING_DEPTH_MAX, REFERENCES_MAX,
};
use serde_json::{Value, json};

fn digest(n: usize) -> Digest {
    Digest::of(Algorithm::Sha256, &n.to_be_bytes())
}

fn descriptor(media_type: &MediaType, n: usize) -> Value {
    json!({"mediaType": media_type.as_str(), "digest": digest(n).to_string(), "size": n})
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST.as_str(),
        "config": descriptor(&MediaType::OCI_CONFIG, 1),
        "layers": [descriptor(&MediaType::OCI_LAYER_GZIP, 2), descriptor(&MediaType::OCI_LAYER_GZIP, 3)],
    })
}

fn index() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX.as_str(),
        "manifests": [descriptor(&MediaType::OCI_MANIFEST, 4)],
    })
}

/// `body` with fields set, or removed by `null`.
fn with(mut body: Value, changes: Value) -> Value {
    for (key, value) in changes.as_object().expect("changes are an object") {
        let fields = body.as_object_mut().expect("bodies are objects");
        if value.is_null() {
            fields.remove(key);
        } else {
            fields.insert(key.clone(), value.clone());
        }
    }
    body
}

fn parse(body: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(body.to_string().as_bytes(), None)
}

#[track_caller]
fn accepted(body: &Value) -> Manifest {
    parse(body).expect("accepted")
}

#[track_caller]
fn malformed(text: &str, reason: &str) {
    match Manifest::parse(text.as_bytes(), Some(&MediaType::OCI_MANIFEST)) {
        Err(ManifestError::Malformed(found)) => assert!(found.contains(reason), "{found}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_image_has_config_and_layers() {
    let manifest = accepted(&image());
    assert_eq!(manifest.media_type, MediaType::OCI_MANIFEST);
    assert!(!manifest.is_index());
    let parts: Vec<_> = manifest.descriptors().map(|d| (d.digest, d.size)).collect();
    assert_eq!(parts, [(digest(1), 1), (digest(2), 2), (digest(3), 3)]);
    let ManifestKind::Image { config, layers } = manifest.kind else {
        panic!("an image")
    };
    assert_eq!(config.media_type, MediaType::OCI_CONFIG);
    assert_eq!(layers.len(), 2);
}

#[test]
fn the_artifact_type_falls_back_to_that_of_the_config() {
    let kept = with(image(), json!({"artifactType": "application/vnd.example"}));
    assert_eq!(
        accepted(&kept).artifact_type.as_deref(),
        Some("application/vnd.example")
    );
    for absent in [image(), with(image(), json!({"artifactType": ""}))] {
        assert_eq!(
            accepted(&absent).artifact_type.as_deref(),
            Some(MediaType::OCI_CONFIG.as_str())
        );
    }
    assert_eq!(accepted(&index()).artifact_type, None);
    let kept = with(index(), json!({"artifactType": "application/vnd.example"}));
    assert_eq!(
        accepted(&kept).artifact_type.as_deref(),
        Some("application/vnd.example")
    );
}

#[test]
fn subject_and_annotations_are_read() {
    let body = with(
        image(),
        json!({"subject": descriptor(&MediaType::OCI_MANIFEST, 9), "annotations": {"a": "1", "": ""}}),
    );
    let manifest = accepted(&body);
    assert_eq!(
        manifest.subject.map(|subject| subject.digest),
        Some(digest(9))
    );
    assert_eq!(manifest.annotations.get("a").map(String::as_str), Some("1"));
    assert_eq!(manifest.annotations.len(), 2);
}

#[test]
fn what_real_clients_push_is_accepted() {
    let empty = json!({"mediaType": MediaType::OCI_EMPTY.as_str(), "digest": digest(0).to_string(), "size": 2,
        "data": "e30="});
    let foreign = json!({"mediaType": MediaType::DOCKER_FOREIGN_LAYER_GZIP.as_str(), "digest": digest(5).to_string(),
        "size": 1, "urls": ["https://example.com/layer"]});
    let attestation = with(
        descriptor(&MediaType::OCI_MANIFEST, 6),
        json!({"platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}),
    );
    let unknown_config = json!({"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": digest(7).to_string(),
        "size": 7});
    let docker = |media_type: MediaType| json!({"mediaType": media_type.as_str()});
    let cases = [
        with(image(), json!({"mediaType": null})),
        with(image(), json!({"layers": []})),
        with(
            image(),
            json!({"config": empty, "layers": [empty], "artifactType": "application/vnd.example"}),
        ),
        with(image(), json!({"config": unknown_config})),
        with(image(), json!({"layers": [foreign]})),
        with(image(), docker(MediaType::DOCKER_MANIFEST)),
        with(
            image(),
            json!({"org.example.custom": {"layers": [1], "x": null}, "signatures": []}),
        ),
        with(index(), json!({"mediaType": null})),
        with(index(), json!({"manifests": []})),
        with(index(), docker(MediaType::DOCKER_MANIFEST_LIST)),
        with(
            index(),
            json!({"manifests": [descriptor(&MediaType::OCI_INDEX, 8)]}),
        ),
        with(
            index(),
            json!({"manifests": [descriptor(&MediaType::OCI_MANIFEST, 8), attestation]}),
        ),
        with(
            index(),
            json!({"manifests": [descriptor(&MediaType::OCI_LAYER_GZIP, 8), unknown_config]}),
        ),
    ];
    for body in cases {
        accepted(&body);
    }
}

#[test]
fn null_is_an_absent_field_and_an_empty_list() {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"","config":{},"layers":null,"manifests":null,"subject":null,
            "annotations":null,"artifactType":null,"fsLayers":null}}"#,
        descriptor(&MediaType::OCI_CONFIG, 1)
    );
    let manifest =
        Manifest::parse(text.as_bytes(), Some(&MediaType::OCI_MANIFEST)).expect("as Go writes it");
    assert_eq!(manifest.descriptors().count(), 1);
    let text = r#"{"schemaVersion":2,"manifests":null}"#;
    let manifest = Manifest::parse(text.as_bytes(), None).expect("as Go writes it");
    assert!(manifest.is_index());
}

#[test]
fn the_declared_type_must_be_that_of_the_body() {
    let body = image().to_string();
    for declared in [MediaType::DOCKER_MANIFEST, MediaType::OCI_INDEX] {
        let expected = ManifestError::MediaTypeMismatch {
            declared: declared.clone(),
            found: MediaType::OCI_MANIFEST,
        };
        assert_eq!(
            Manifest::parse(body.as_bytes(), Some(&declared)),
            Err(expected)
        );
    }
    assert!(Manifest::parse(body.as_bytes(), Some(&MediaType::OCI_MANIFEST)).is_ok());
}

#[test]
fn without_a_type_in_the_body_the_declared_one_counts() {
    let body = with(image(), json!({"mediaType": null})).to_string();
    let manifest =
        Manifest::parse(body.as_bytes(), Some(&MediaType::DOCKER_MANIFEST)).expect("accepted");
    assert_eq!(manifest.media_type, MediaType::DOCKER_MANIFEST);
    let as_index = Manifest::parse(body.as_bytes(), Some(&MediaType::OCI_INDEX));
    assert!(
        matches!(as_index, Err(ManifestError::WrongShape { .. })),
        "{as_index:?}"
    );
}

#[test]
fn the_fields_must_be_those_of_the_type() {
    let cases = [
        with(image(), json!({"config": null})),
        with(image(), json!({"layers": null})),
        with(index(), json!({"manifests": null})),
        with(
            index(),
            json!({"mediaType": MediaType::OCI_MANIFEST.as_str()}),
        ),
        with(
            image(),
            json!({"mediaType": MediaType::DOCKER_MANIFEST_LIST.as_str()}),
        ),
        json!({"schemaVersion": 2}),
    ];
    for body in cases {
        let outcome = parse(&body);
        assert!(
            matches!(outcome, Err(ManifestError::WrongShape { .. })),
            "{body}: {outcome:?}"
        );
    }
}

/// CVE-2021-41190: a document that is an image to one client and an index to another.
#[test]
fn a_document_of_two_kinds_is_refused() {
    let children = json!([descriptor(&MediaType::OCI_MANIFEST, 4)]);
    let cases = [
        with(image(), json!({"manifests": children})),
        with(image(), json!({"manifests": []})),
        with(image(), json!({"manifests": children, "mediaType": null})),
        with(
            index(),
            json!({"config": descriptor(&MediaType::OCI_CONFIG, 1)}),
        ),
        with(index(), json!({"layers": []})),
    ];
    for body in cases {
        assert_eq!(parse(&body), Err(ManifestError::Ambiguous), "{body}");
    }
}

#[test]
fn a_key_that_occurs_twice_is_refused() {
    let config = descriptor(&MediaType::OCI_CONFIG, 1);
    let twice = "the same key twice";
    let body = |rest: &str| format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]{rest}}}"#);
    assert!(Manifest::parse(body("").as_bytes(), None).is_ok());
    malformed(&body(r#","layers":[]"#), twice);
    malformed(&body(r#","l\u0061yers":[]"#), twice);
    malformed(&body(r#","x":1,"x":1"#), twice);
    let inner = |rest: &str| {
        let digest = digest(1);
        let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1{rest}}}"#);
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{descriptor}]}}"#)
    };
    assert!(Manifest::parse(inner("").as_bytes(), None).is_ok());
    malformed(&inner(r#","size":2"#), twice);
    malformed(&inner(&format!(r#","digest":"{}""#, digest(2))), twice);
    malformed(&inner(r#","x":1,"x":1"#), twice);
}

/// Go's parser takes `Layers`, and even `layerſ`, for `layers`.
#[test]
fn a_key_that_go_would_take_for_another_is_refused() {
    for key in [
        "Layers",
        "LAYERS",
        "layerſ",
        "Manifests",
        "mediatype",
        "Subject",
        "SchemaVersion",
        "FSLayers",
    ] {
        malformed(&with(image(), json!({key: []})).to_string(), "letter case");
    }
    let layer = with(
        descriptor(&MediaType::OCI_LAYER, 1),
        json!({"Digest": digest(2).to_string()}),
    );
    malformed(
        &with(image(), json!({"layers": [layer]})).to_string(),
        "letter case",
    );
}

#[test]
fn sizes_are_counts_of_bytes() {
    let sized = |size: &str| {
        image()
            .to_string()
            .replace(r#""size":2"#, &format!(r#""size":{size}"#))
    };
    assert!(Manifest::parse(sized("9223372036854775807").as_bytes(), None).is_ok());
    for size in [
        "-1",
        "9223372036854775808",
        "18446744073709551616",
        "1.5",
        "1e3",
        "\"2\"",
        "null",
    ] {
        malformed(&sized(size), "");
    }
}

#[test]
fn descriptors_need_type_digest_and_size() {
    for (key, text) in [
        ("mediaType", "mediaType"),
        ("digest", "digest"),
        ("size", "size"),
    ] {
        let layer = with(descriptor(&MediaType::OCI_LAYER, 1), json!({key: null}));
        malformed(&with(image(), json!({"layers": [layer]})).to_string(), text);
    }
    for (key, value) in [
        ("digest", "sha256:00"),
        ("digest", "md5:00"),
        ("mediaType", "no type"),
        ("mediaType", ""),
    ] {
        let layer = with(descriptor(&MediaType::OCI_LAYER, 1), json!({key: value}));
        malformed(&with(image(), json!({"layers": [layer]})).to_string(), "");
    }
}

#[test]
fn fields_of_a_wrong_type_are_refused() {
    let changes = [
        json!({"layers": {}}),
        json!({"layers": [1]}),
        json!({"config": []}),
        json!({"config": "x"}),
        json!({"annotations": {"a": 1}}),
        json!({"annotations": []}),
        json!({"subject": {}}),
        json!({"artifactType": 1}),
        json!({"mediaType": "no type"}),
        json!({"schemaVersion": "2"}),
    ];
    for change in changes {
        malformed(&with(image(), change).to_string(), "");
    }
    for text in ["[]", "1", "\"x\"", "null"] {
        malformed(text, "manifest");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let good = image().to_string();
    let cases = [
        Vec::new(),
        b" ".to_vec(),
        b"{".to_vec(),
        b"hello".to_vec(),
        good.as_bytes()[..good.len() - 1].to_vec(),
        format!("{good}x").into_bytes(),
        format!("{good}{good}").into_bytes(),
        format!("\u{feff}{good}").into_bytes(),
        good.replace("\"layers\"", "layers").into_bytes(),
        good.replace("application", "\u{1}").into_bytes(),
        [&good.as_bytes()[..10], &[0xff], &good.as_bytes()[10..]].concat(),
    ];
    for payload in cases {
        let outcome = Manifest::parse(&payload, Some(&MediaType::OCI_MANIFEST));
        assert!(
            matches!(outcome, Err(ManifestError::NotJson(_))),
            "{outcome:?}"
        );
    }
}

/// Found by `fuzz_manifest`: what is skipped or kept as text must be JSON as well.
#[test]
fn what_is_not_json_is_refused_in_unknown_fields_too() {
    let unknown = |value: &[u8]| {
        let body = image().to_string();
        [br#"{"x":"#, value, b",", &body.as_bytes()[1..]].concat()
    };
    assert!(
        Manifest::parse(
            &unknown(br#"[null,true,-1,1.5,"\ud83d\ude00",{"":[]}]"#),
            None
        )
        .is_ok()
    );
    for value in [
        &b"\"\xff\""[..],
        br#""\ud800""#,
        br#"{"\udc00":1}"#,
        br#"["\ud800x"]"#,
        br#""\x""#,
        b"01",
        b"1e999",
    ] {
        let outcome = Manifest::parse(&unknown(value), None);
        assert!(
            matches!(outcome, Err(ManifestError::NotJson(_))),
            "{outcome:?}"
        );
    }
    let platform = image()
        .to_string()
        .replace(r#""size":1"#, r#""size":1,"platform":{"os":"\ud800"}"#);
    malformed(&platform, "JSON");
}

#[test]
fn schema_1_is_refused_however_it_is_declared() {
    let signed = json!({"schemaVersion": 1, "name": "a/b", "tag": "latest", "fsLayers": [], "history": [],
        "signatures": []});
    for declared in [
        None,
        Some(MediaType::DOCKER_SCHEMA1),
        Some(MediaType::DOCKER_SCHEMA1_SIGNED),
    ] {
        let outcome = Manifest::parse(signed.to_string().as_bytes(), declared.as_ref());
        assert_eq!(outcome, Err(ManifestError::Schema1));
    }
    assert_eq!(
        parse(&with(image(), json!({"fsLayers": []}))),
        Err(ManifestError::Schema1)
    );
    assert_eq!(
        parse(&with(image(), json!({"schemaVersion": 1}))),
        Err(ManifestError::Schema1)
    );
    let named = with(
        image(),
        json!({"mediaType": MediaType::DOCKER_SCHEMA1.as_str()}),
    );
    assert_eq!(parse(&named), Err(ManifestError::Schema1));
}

#[test]
fn the_schema_version_is_2() {
    for body in [
        with(image(), json!({"schemaVersion": 3})),
        with(image(), json!({"schemaVersion": null})),
    ] {
        assert_eq!(parse(&body), Err(ManifestError::SchemaVersion));
    }
}

#[test]
fn other_media_types_are_not_supported() {
    let artifact =
        MediaType::parse("application/vnd.oci.artifact.manifest.v1+json").expect("a media type");
    for media_type in [artifact, MediaType::OCTET_STREAM, MediaType::OCI_CONFIG] {
        let expected = Err(ManifestError::UnsupportedMediaType(media_type.clone()));
        assert_eq!(
            Manifest::parse(image().to_string().as_bytes(), Some(&media_type)),
            expected
        );
        assert_eq!(
            parse(&with(image(), json!({"mediaType": media_type.as_str()}))),
            expected
        );
    }
}

#[test]
fn four_mebibytes_are_accepted_and_one_byte_more_is_not() {
    let mut payload = image().to_string().into_bytes();
    payload.resize(MANIFEST_BYTES_MAX, b' ');
    assert!(Manifest::parse(&payload, None).is_ok());
    payload.push(b' ');
    assert_eq!(
        Manifest::parse(&payload, None),
        Err(ManifestError::TooLarge)
    );
}

/// As the conformance suite makes it.
#[test]
fn a_manifest_with_3_9_megabytes_of_annotations_is_accepted() {
    let annotations: Value = (0..390)
        .map(|i| {
            (
                format!("large-annotation-{i}"),
                Value::from("A".repeat(10_000)),
            )
        })
        .collect();
    assert_eq!(
        accepted(&with(image(), json!({"annotations": annotations})))
            .annotations
            .len(),
        390
    );
}

#[test]
fn nesting_is_bounded_wherever_it_is() {
    let nested = |open: &str, close: &str, depth: usize| {
        // The field itself is one level below the top.
        let value = format!("{}{}", open.repeat(depth - 1), close.repeat(depth - 1));
        format!(r#"{{"x":{value},{}"#, &image().to_string()[1..])
    };
    assert!(Manifest::parse(nested("[", "]", NESTING_DEPTH_MAX).as_bytes(), None).is_ok());
    for depth in [NESTING_DEPTH_MAX + 1, 10_000, 1_000_000] {
        assert_eq!(
            Manifest::parse(nested("[", "]", depth).as_bytes(), None),
            Err(ManifestError::TooDeep)
        );
    }
    let objects = nested(r#"{"x":"#, "}", 10_000).replace(":}", ":1}");
    assert_eq!(
        Manifest::parse(objects.as_bytes(), None),
        Err(ManifestError::TooDeep)
    );
    assert_eq!(
        Manifest::parse("[".repeat(MANIFEST_BYTES_MAX).as_bytes(), None),
        Err(ManifestError::TooDeep)
    );
    let platform = format!(
        r#""size":1,"platform":{}1{}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let body = image().to_string().replace(r#""size":1"#, &platform);
    assert_eq!(
        Manifest::parse(body.as_bytes(), None),
        Err(ManifestError::TooDeep)
    );
    let text = with(
        image(),
        json!({"annotations": {"a": "[{\"\\".repeat(1000)}}),
    );
    accepted(&text);
}

#[test]
fn distinct_references_are_bounded() {
    let layers = |count: usize| {
        let layers: Vec<_> = (0..count)
            .map(|n| descriptor(&MediaType::OCI_LAYER, 100 + n))
            .collect();
        with(image(), json!({"layers": layers}))
    };
    accepted(&layers(REFERENCES_MAX - 1));
    assert_eq!(
        parse(&layers(REFERENCES_MAX)),
        Err(ManifestError::TooManyReferences)
    );
    let subject = descriptor(&MediaType::OCI_MANIFEST, 9);
    let one_by_subject = with(layers(REFERENCES_MAX - 1), json!({"subject": subject}));
    assert_eq!(
        parse(&one_by_subject),
        Err(ManifestError::TooManyReferences)
    );
    let same = vec![descriptor(&MediaType::OCI_LAYER, 2); 2 * REFERENCES_MAX];
    accepted(&with(image(), json!({"layers": same})));
}
