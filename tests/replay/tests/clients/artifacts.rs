//! cosign, notation, oras and helm: artifacts, and what refers to what.

use harness::client::sha256;
use serde_json::{Value, json};

use crate::{descriptor, image, media, registry};

fn signature(subject: &str, artifact_type: &str) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST, "artifactType": artifact_type,
        "config": descriptor(media::EMPTY, b"{}"), "layers": [descriptor("application/octet-stream", b"signature")],
        "subject": descriptor(media::MANIFEST, subject.as_bytes()), "annotations": {"signed.by": artifact_type},
    })
}

#[tokio::test]
async fn signature_is_found_by_its_subject() {
    let (_server, client) = registry();
    let repository = "artifacts/signed";
    let subject = image(&client, repository, b"layer")
        .await
        .unwrap()
        .to_string();
    let subject_digest = client
        .push_manifest(repository, "v1", media::MANIFEST, subject.clone())
        .await
        .unwrap();
    client
        .push_blob(repository, &b"signature"[..])
        .await
        .unwrap();
    for artifact_type in ["application/vnd.cosign", "application/vnd.notary"] {
        let payload = signature(&subject, artifact_type).to_string();
        let put = client.put(&format!(
            "/v2/{repository}/manifests/{}",
            sha256(payload.as_bytes())
        ));
        let put = put
            .header("Content-Type", media::MANIFEST)
            .body(payload)
            .send()
            .await
            .unwrap()
            .expect(201)
            .unwrap();
        assert_eq!(
            put.header("OCI-Subject"),
            Some(subject_digest.as_str()),
            "else clients write fallback tags"
        );
    }

    let referrers = format!("/v2/{repository}/referrers/{subject_digest}");
    let all = client
        .get(&referrers)
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(all.header("Content-Type"), Some(media::INDEX));
    assert_eq!(
        all.json().unwrap()["manifests"].as_array().unwrap().len(),
        2
    );
    let filtered = client
        .get(&format!(
            "{referrers}?artifactType=application%2Fvnd.cosign"
        ))
        .send()
        .await
        .unwrap();
    assert_eq!(filtered.header("OCI-Filters-Applied"), Some("artifactType"));
    let found = filtered.json().unwrap()["manifests"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(
        found[0]["annotations"]["signed.by"],
        "application/vnd.cosign"
    );
}

#[tokio::test]
async fn referrers_of_what_nobody_knows_are_an_empty_list() {
    let (_server, client) = registry();
    let target = format!("/v2/artifacts/unknown/referrers/{}", sha256(b"unknown"));
    let reply = client
        .get(&target)
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert_eq!(reply.json().unwrap()["manifests"], json!([]));
}

#[tokio::test]
async fn fallback_tag_of_old_signers_is_accepted() {
    let (_server, client) = registry();
    let manifest = image(&client, "artifacts/fallback", b"layer")
        .await
        .unwrap()
        .to_string();
    let digest = client
        .push_manifest("artifacts/fallback", "v1", media::MANIFEST, manifest)
        .await
        .unwrap();
    let index = json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": []}).to_string();
    client
        .push_manifest(
            "artifacts/fallback",
            &digest.replace(':', "-"),
            media::INDEX,
            index,
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn chart_has_types_of_its_own() {
    let (_server, client) = registry();
    for content in [&b"{\"name\":\"chart\"}"[..], b"chart archive"] {
        client.push_blob("helm/chart", content).await.unwrap();
    }
    let chart = json!({
        "schemaVersion": 2,
        "config": descriptor("application/vnd.cncf.helm.config.v1+json", b"{\"name\":\"chart\"}"),
        "layers": [descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart archive")],
    });
    // Helm writes the `+` of a version as `_`.
    client
        .push_manifest(
            "helm/chart",
            "1.2.3_build.4",
            media::MANIFEST,
            chart.to_string(),
        )
        .await
        .unwrap();
}
