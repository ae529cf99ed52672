//! What all replies have in common, pages, probes, CORS, methods.

use metadata::TableId;
use ports::metadata_store::memory::MemoryMetadataStore;

use crate::client::{Connection, call, get};
use crate::fixture::Fixture;

#[tokio::test]
async fn the_base_says_that_this_is_a_registry() {
    let server = Fixture::start().await;
    for path in ["/v2/", "/v2"] {
        let answer = server.send(get(path)).await.expect(200);
        assert_eq!(
            answer.header("docker-distribution-api-version"),
            Some("registry/2.0")
        );
        assert_eq!(answer.body, b"{}");
    }
    let head = server.send(call("HEAD", "/v2/")).await.expect(200);
    assert_eq!(head.header("content-length"), Some("2"));
}

#[tokio::test]
async fn what_does_not_exist_is_an_oci_error() {
    let server = Fixture::start().await;
    for path in ["/v2/a/b", "/v1/", "/nothing", "/v2x"] {
        server
            .send(get(path))
            .await
            .expect_error(404, "UNSUPPORTED");
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_allow() {
    let server = Fixture::start().await;
    let digest = crate::fixture::sha256(b"");
    for (method, path, allow) in [
        ("POST", "/v2/".to_owned(), "GET, HEAD, OPTIONS"),
        ("PUT", "/v2/a/tags/list".to_owned(), "GET, HEAD, OPTIONS"),
        (
            "POST",
            format!("/v2/a/blobs/{digest}"),
            "GET, HEAD, DELETE, OPTIONS",
        ),
        ("GET", "/v2/a/blobs/uploads/".to_owned(), "POST, OPTIONS"),
        (
            "PATCH",
            "/v2/a/manifests/x".to_owned(),
            "GET, HEAD, PUT, DELETE, OPTIONS",
        ),
        ("BREW", "/v2/_catalog".to_owned(), "GET, HEAD, OPTIONS"),
    ] {
        let answer = server
            .send(call(method, path))
            .await
            .expect_error(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), Some(allow));
    }
}

#[tokio::test]
async fn request_ids_are_taken_over_or_made() {
    let server = Fixture::start().await;
    let answer = server
        .send(get("/v2/").header("X-Request-Id", "mine-1"))
        .await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let answer = server
        .send(get("/v2/").header("X-Request-Id", "a b\tc"))
        .await;
    assert!(!answer.header("x-request-id").unwrap().contains(' '));
}

#[tokio::test]
async fn scripts_may_read_and_see_digests() {
    let server = Fixture::start().await;
    let answer = server
        .send(get("/v2/").header("Origin", "https://page.test"))
        .await
        .expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(
        answer
            .header("access-control-expose-headers")
            .unwrap()
            .contains("Docker-Content-Digest")
    );
    let preflight = call("OPTIONS", "/v2/a/manifests/x")
        .header("Origin", "https://page.test")
        .header("Access-Control-Request-Method", "GET");
    let answer = server.send(preflight).await.expect(204);
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("GET, HEAD, OPTIONS")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .unwrap()
            .contains("Authorization")
    );
}

#[tokio::test]
async fn scripts_of_strangers_may_not_write() {
    let server =
        Fixture::with(|settings| settings.cors_write_origins = vec!["https://mine.test".into()])
            .await;
    let open = |origin: &str| {
        call("POST", "/v2/a/blobs/uploads/")
            .header("Origin", origin)
            .body("")
    };
    server
        .send(open("https://page.test"))
        .await
        .expect_error(403, "DENIED");
    let answer = server.send(open("https://mine.test")).await.expect(202);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://mine.test")
    );
    server.send(open("http://registry.test")).await.expect(202);
}

#[tokio::test]
async fn probes_and_page_answer() {
    let server = Fixture::start().await;
    server.send(get("/healthz")).await.expect(200);
    server.send(get("/readyz")).await.expect(200);
    server.send(call("HEAD", "/readyz")).await.expect(200);
    let page = server.send(get("/")).await.expect(200);
    let text = String::from_utf8(page.body).unwrap();
    for part in [
        "1.2.3",
        "abcdef",
        "ready",
        "registry.test",
        "docker push",
        "--tls-verify=false",
    ] {
        assert!(text.contains(part), "the page has no {part}");
    }
    server
        .send(call("POST", "/healthz").body(""))
        .await
        .expect(405);
}

#[tokio::test]
async fn the_namespace_of_a_mirror_is_given_back() {
    let server = Fixture::start().await;
    server.push_image("a", "v1", "one").await;
    let answer = server
        .send(get("/v2/a/manifests/v1?ns=docker.io"))
        .await
        .expect(200);
    assert_eq!(answer.header("oci-namespace"), Some("docker.io"));
    let answer = server
        .send(get("/v2/a/manifests/v1?ns=%0d%0aevil"))
        .await
        .expect(200);
    assert_eq!(answer.header("oci-namespace"), None);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let server = Fixture::start().await;
    let absent = crate::fixture::sha256(b"absent");
    let missing = get(format!("/v2/a/blobs/{absent}"));
    server.send(missing).await.expect(404);
    let page = server.send(get("/metrics")).await.expect(200);
    let text = String::from_utf8(page.body).expect("text");
    let counted = "holdfast_http_requests_total{route=\"blob\",status=\"404\"}";
    for part in [
        counted,
        "holdfast_http_requests_in_flight",
        "holdfast_http_panics_total",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[tokio::test]
async fn a_bug_is_answered_all_the_same() {
    let log = MemoryMetadataStore::with_check(|tables| {
        let has_uploads = tables.rows().any(|(table, ..)| table == TableId::Upload);
        assert!(!has_uploads, "a bug that this test has made");
    });
    let server = Fixture::over(log, |_| {}).await;
    let mut connection = Connection::open(server.address).await;
    let open = call("POST", "/v2/a/blobs/uploads/").body("");
    connection.send(&open).await.expect_error(500, "UNKNOWN");
    connection.send(&get("/v2/")).await.expect(200);
}
