//! Pages in a browser that read a registry, and people who open its address.

use crate::{image, media, registry};

#[tokio::test]
async fn page_of_another_origin_may_read_the_digest() {
    let (_server, client) = registry();
    let manifest = image(&client, "browser/app", b"layer")
        .await
        .unwrap()
        .to_string();
    client
        .push_manifest("browser/app", "v1", media::MANIFEST, manifest)
        .await
        .unwrap();
    let get = client
        .get("/v2/browser/app/manifests/v1")
        .header("Accept", media::MANIFEST);
    let reply = get
        .header("Origin", "https://ui.example.org")
        .send()
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    assert!(reply.header("Access-Control-Allow-Origin").is_some());
    let exposed = reply
        .header("Access-Control-Expose-Headers")
        .unwrap_or_default()
        .to_lowercase();
    assert!(
        exposed == "*" || exposed.contains("docker-content-digest"),
        "{exposed}"
    );
}

#[tokio::test]
async fn root_is_a_page_for_people() {
    let (_server, client) = registry();
    let page = client.get("/").send().await.unwrap().expect(200).unwrap();
    assert!(
        page.header("Content-Type")
            .unwrap()
            .starts_with("text/html")
    );
    let text = String::from_utf8_lossy(&page.body).into_owned();
    assert!(
        text.contains("docker push") && text.contains("podman push"),
        "{text}"
    );
}
