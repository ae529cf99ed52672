//! Catalog, tags and referrers, in pages.

use serde_json::{Value, json};

use crate::client::{Answer, call, get};
use crate::fixture::{Fixture, OCI_INDEX, OCI_MANIFEST, sha256};

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item.as_str().expect("text").to_owned())
        .collect()
}

/// The target of the `Link` to the next page.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let (target, rest) = link
        .strip_prefix('<')
        .expect("a target")
        .split_once('>')
        .expect("its end");
    assert_eq!(rest, "; rel=\"next\"");
    assert!(target.starts_with("/v2/"), "relative: {target}");
    Some(target.to_owned())
}

#[tokio::test]
async fn tags_are_sorted_and_paged() {
    let server = Fixture::start().await;
    let image = server.image("a", "one").await;
    for tag in ["v2", "V1", "v10", "_x", "v1"] {
        server.push_manifest("a", tag, &image).await.expect(201);
    }
    let all = server.send(get("/v2/a/tags/list")).await.expect(200);
    assert_eq!(
        all.json(),
        json!({"name": "a", "tags": ["V1", "_x", "v1", "v10", "v2"]})
    );
    assert_eq!(next(&all), None);
    let mut target = Some("/v2/a/tags/list?n=2".to_owned());
    let mut seen = Vec::new();
    while let Some(page) = target {
        let answer = server.send(get(page)).await.expect(200);
        seen.push(texts(&answer.json()["tags"]));
        target = next(&answer);
    }
    assert_eq!(seen, [vec!["V1", "_x"], vec!["v1", "v10"], vec!["v2"]]);
    let after = server
        .send(get("/v2/a/tags/list?last=v1"))
        .await
        .expect(200);
    assert_eq!(texts(&after.json()["tags"]), ["v10", "v2"]);
    let head = server
        .send(call("HEAD", "/v2/a/tags/list"))
        .await
        .expect(200);
    assert_eq!(
        head.header("content-length"),
        Some(all.body.len().to_string().as_str())
    );
}

#[tokio::test]
async fn page_sizes_are_bounded() {
    let server = Fixture::with(|settings| settings.page_size_max = 3).await;
    let image = server.image("a", "one").await;
    let digest = sha256(image.to_string().as_bytes());
    let tags: Vec<String> = (0..7).map(|n| format!("tag=t{n}")).collect();
    server
        .push_manifest("a", &format!("{digest}?{}", tags.join("&")), &image)
        .await
        .expect(201);
    let none = server.send(get("/v2/a/tags/list?n=0")).await.expect(200);
    assert_eq!((texts(&none.json()["tags"]).len(), next(&none)), (0, None));
    for n in ["", "?n=1000000000", "?n=99999999999999999999999999"] {
        let clamped = server
            .send(get(format!("/v2/a/tags/list{n}")))
            .await
            .expect(200);
        assert_eq!(texts(&clamped.json()["tags"]).len(), 3, "{n}");
        assert!(next(&clamped).is_some());
    }
    for n in ["-1", "x", "1.5", "%00", "2&n=3"] {
        server
            .send(get(format!("/v2/a/tags/list?n={n}")))
            .await
            .expect_error(400, "UNSUPPORTED");
    }
    server
        .send(get("/v2/a/tags/list?last=..%2f"))
        .await
        .expect_error(400, "UNSUPPORTED");
    server
        .send(get("/v2/absent/tags/list?n=0"))
        .await
        .expect_error(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn ten_thousand_tags_are_one_page() {
    let server = Fixture::start().await;
    let image = server.image("a", "one").await;
    let digest = sha256(image.to_string().as_bytes());
    for block in 0..100 {
        let tags: Vec<String> = (0..100)
            .map(|n| format!("tag=t{:05}", block * 100 + n))
            .collect();
        server
            .push_manifest("a", &format!("{digest}?{}", tags.join("&")), &image)
            .await
            .expect(201);
    }
    let page = server
        .send(get("/v2/a/tags/list?n=10000"))
        .await
        .expect(200);
    let tags = texts(&page.json()["tags"]);
    assert_eq!((tags.len(), next(&page)), (10_000, None));
    assert!(tags.is_sorted());
}

#[tokio::test]
async fn the_catalog_is_paged() {
    let server = Fixture::start().await;
    for repository in ["b", "a/x", "c"] {
        server.push_image(repository, "v1", "one").await;
    }
    let all = server.send(get("/v2/_catalog")).await.expect(200);
    assert_eq!(all.json(), json!({"repositories": ["a/x", "b", "c"]}));
    let first = server.send(get("/v2/_catalog?n=1")).await.expect(200);
    assert_eq!(next(&first).as_deref(), Some("/v2/_catalog?last=a%2Fx&n=1"));
    let second = server.send(get(next(&first).unwrap())).await.expect(200);
    assert_eq!(texts(&second.json()["repositories"]), ["b"]);
    server
        .send(get("/v2/_catalog?last=UPPER"))
        .await
        .expect_error(400, "NAME_INVALID");
    let none = server.send(get("/v2/_catalog?n=0")).await.expect(200);
    assert_eq!(
        (none.json(), next(&none)),
        (json!({"repositories": []}), None)
    );
}

#[tokio::test]
async fn referrers_are_listed_filtered_and_paged() {
    let server = Fixture::start().await;
    let subject = server.push_image("a", "v1", "one").await;
    let mut wanted = Vec::new();
    for (number, artifact_type) in ["text/a+b", "text/c", "text/a+b"].into_iter().enumerate() {
        let mut manifest = server.image("a", "one").await;
        manifest["artifactType"] = json!(artifact_type);
        manifest["annotations"] = json!({"number": number.to_string()});
        manifest["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": subject, "size": 2});
        let digest = sha256(manifest.to_string().as_bytes());
        server
            .push_manifest("a", &digest.to_string(), &manifest)
            .await
            .expect(201);
        wanted.push(digest.to_string());
    }
    wanted.sort();
    let path = format!("/v2/a/referrers/{subject}");
    let all = server.send(get(path.clone())).await.expect(200);
    assert_eq!(all.header("content-type"), Some(OCI_INDEX));
    assert_eq!(all.header("oci-filters-applied"), None);
    let index = all.json();
    assert_eq!(
        (&index["schemaVersion"], &index["mediaType"]),
        (&json!(2), &json!(OCI_INDEX))
    );
    let manifests = index["manifests"].as_array().unwrap();
    let digests: Vec<String> = manifests
        .iter()
        .map(|m| m["digest"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(digests, wanted);
    assert!(
        manifests
            .iter()
            .all(|m| m["annotations"]["number"].is_string() && m["artifactType"].is_string())
    );
    for filter in ["text%2Fa%2Bb", "text/a+b"] {
        let filtered = server
            .send(get(format!("{path}?artifactType={filter}")))
            .await
            .expect(200);
        assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
        assert_eq!(
            filtered.json()["manifests"].as_array().unwrap().len(),
            2,
            "{filter}"
        );
    }
    let mut target = Some(format!("{path}?n=1&artifactType=text%2Fa%2Bb"));
    let mut seen = 0;
    while let Some(page) = target {
        let answer = server.send(get(page)).await.expect(200);
        assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
        seen += answer.json()["manifests"].as_array().unwrap().len();
        target = next(&answer);
    }
    assert_eq!(seen, 2);
}

#[tokio::test]
async fn referrers_of_what_nobody_knows_are_an_empty_index() {
    let server = Fixture::start().await;
    let path = format!("/v2/absent/referrers/{}", sha256(b"absent"));
    let answer = server.send(get(path)).await.expect(200);
    assert_eq!(answer.json()["manifests"], json!([]));
    server
        .send(get("/v2/a/referrers/sha256:x"))
        .await
        .expect_error(400, "DIGEST_INVALID");
    server
        .send(get("/v2/a/referrers/tag"))
        .await
        .expect_error(400, "DIGEST_INVALID");
}
