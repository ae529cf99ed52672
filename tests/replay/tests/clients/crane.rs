//! crane, ko and kaniko (`go-containerregistry`), and the `DELETE`s of skopeo and podman (`containers/image`).

use harness::client::sha256;

use crate::{image, media, registry};

#[tokio::test]
async fn right_to_push_is_tried_and_leaves_nothing() {
    let (_server, client) = registry();
    let opened = client
        .post("/v2/crane/app/blobs/uploads/")
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    client
        .delete(opened.location().unwrap())
        .send()
        .await
        .unwrap()
        .expect(204)
        .unwrap();
    client
        .get(opened.location().unwrap())
        .send()
        .await
        .unwrap()
        .expect(404)
        .unwrap();
    let catalog = client
        .get("/v2/_catalog")
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(
        catalog["repositories"],
        serde_json::json!([]),
        "a trial is no repository"
    );
}

#[tokio::test]
async fn mount_without_a_source_is_tried_and_cancelled() {
    let (_server, client) = registry();
    let target = format!("/v2/skopeo/app/blobs/uploads/?mount={}", sha256(b"unknown"));
    let opened = client
        .post(&target)
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    client
        .delete(opened.location().unwrap())
        .send()
        .await
        .unwrap()
        .expect(204)
        .unwrap();
}

#[tokio::test]
async fn known_manifest_is_not_sent_again() {
    let (_server, client) = registry();
    let manifest = image(&client, "crane/etag", b"layer")
        .await
        .unwrap()
        .to_string();
    let digest = client
        .push_manifest("crane/etag", "v1", media::MANIFEST, manifest)
        .await
        .unwrap();
    let etag = format!("\"{digest}\"");
    let get = || {
        client
            .get("/v2/crane/etag/manifests/v1")
            .header("Accept", media::MANIFEST)
    };
    assert_eq!(
        get()
            .send()
            .await
            .unwrap()
            .expect(200)
            .unwrap()
            .header("ETag"),
        Some(etag.as_str())
    );
    let unchanged = get()
        .header("If-None-Match", &etag)
        .send()
        .await
        .unwrap()
        .expect(304)
        .unwrap();
    assert!(unchanged.body.is_empty());
}

#[tokio::test]
async fn tags_are_listed_in_pages_and_deleted_one_by_one() {
    let (_server, client) = registry();
    let manifest = image(&client, "crane/tags", b"layer")
        .await
        .unwrap()
        .to_string();
    for tag in ["b", "a", "c"] {
        client
            .push_manifest("crane/tags", tag, media::MANIFEST, manifest.clone())
            .await
            .unwrap();
    }
    let tags = |query: &str| {
        client
            .get(&format!("/v2/crane/tags/tags/list{query}"))
            .send()
    };
    let page = tags("?n=2").await.unwrap().expect(200).unwrap();
    assert_eq!(page.json().unwrap()["tags"], serde_json::json!(["a", "b"]));
    assert!(
        page.header("Link")
            .is_some_and(|link| link.contains("rel=\"next\""))
    );
    let none = tags("?n=0").await.unwrap().expect(200).unwrap();
    assert_eq!(
        (none.json().unwrap()["tags"].clone(), none.header("Link")),
        (serde_json::json!([]), None)
    );
    client
        .delete("/v2/crane/tags/manifests/b")
        .send()
        .await
        .unwrap()
        .expect(202)
        .unwrap();
    assert_eq!(
        tags("").await.unwrap().json().unwrap()["tags"],
        serde_json::json!(["a", "c"])
    );
}
