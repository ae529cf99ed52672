//! Names of repositories that are none: they are refused everywhere, and never become paths.

use harness::client::sha256;
use replay::registry;
use serde_json::json;

use crate::raw::exchange;
use crate::{refused, unharmed};

#[tokio::test]
async fn bad_names_are_refused_at_every_endpoint() {
    let (server, client) = registry();
    let long = "a".repeat(300);
    let digest = sha256(b"blob");
    for name in [
        "..",
        "../../etc/passwd",
        "a/../b",
        "./a",
        "a/.",
        "%2e%2e/a",
        "a%2fb",
        "a%2Fb",
        "..%2f..%2fa",
        "a%252fb",
        "a%00b",
        "a%0ab",
        "a%0d%0aX-Injected:1",
        "a%1b%5b31mb",
        "a%7f",
        "a%ff",
        "Upper",
        "a/B",
        "a//b",
        "-a",
        "a...b",
        &long,
        &format!("a/{long}"),
    ] {
        for (method, rest) in [
            ("GET", "tags/list".to_owned()),
            ("GET", "manifests/v1".to_owned()),
            ("PUT", "manifests/v1".to_owned()),
            ("DELETE", "manifests/v1".to_owned()),
            ("GET", format!("blobs/{digest}")),
            ("DELETE", format!("blobs/{digest}")),
            ("POST", "blobs/uploads/".to_owned()),
            ("POST", format!("blobs/uploads/?digest={digest}")),
            ("GET", format!("referrers/{digest}")),
        ] {
            let what = format!("{method} /v2/{name}/{rest}");
            let ask = client.request(method.parse().unwrap(), &format!("/v2/{name}/{rest}"));
            let reply = ask.body(&b"blob"[..]).send().await.unwrap();
            refused(&reply, 400, "NAME_INVALID", &what);
            assert_eq!(reply.header("X-Injected"), None);
        }
        let head = client.head(&format!("/v2/{name}/manifests/v1"));
        head.send().await.unwrap().expect(400).unwrap();
        // In a query, an escaped slash is a slash; what is no text is a bad parameter rather than a bad name.
        if name.contains("%ff") {
            continue;
        }
        let from = name.replace("%2f", "%252f").replace("%2F", "%252F");
        let mount = format!("/v2/b/blobs/uploads/?mount={digest}&from={from}");
        let reply = client.post(&mount).send().await.unwrap();
        refused(&reply, 400, "NAME_INVALID", &mount);
    }
    let catalog = client.get("/v2/_catalog").send().await.unwrap();
    assert_eq!(catalog.json().unwrap(), json!({"repositories": []}));
    let beside = std::fs::read_dir(server.data().parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 1, "the data folder, and nothing beside it");
    unharmed(&server).await;
}

#[tokio::test]
async fn control_characters_in_the_request_line_are_no_http() {
    let (server, _client) = registry();
    for byte in ["\x01", "\x07", "\x1b", "\x7f", "\0", "\t"] {
        let request = format!("GET /v2/a{byte}b/tags/list HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = exchange(server.address(), request.as_bytes()).await;
        assert_eq!(answer.status(), 400, "{byte:?}: {}", answer.0);
    }
    unharmed(&server).await;
}
