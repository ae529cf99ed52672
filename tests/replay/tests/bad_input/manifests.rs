//! Manifests that are none, too large, nested too deep, ambiguous, of another type, or of absent blobs.

use bytes::Bytes;
use harness::client::sha256;
use harness::{Client, HoldfastServer, Reply};
use replay::{descriptor, image, media, registry};
use serde_json::{Value, json};

use crate::raw::exchange;
use crate::{refused, unharmed};

const BYTES_MAX: usize = 4 * 1024 * 1024;

async fn put(client: &Client, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let ask = client.put("/v2/a/manifests/bad");
    let ask = ask.header("Content-Type", content_type).body(body);
    ask.send().await.unwrap()
}

/// Nothing of what was refused can be pulled or is listed.
async fn nothing_stored(client: &Client) {
    let asked = client.get("/v2/a/manifests/bad").send().await.unwrap();
    refused(&asked, 404, "MANIFEST_UNKNOWN", "what was refused");
    let tags = client.get("/v2/a/tags/list").send().await.unwrap();
    assert_eq!(tags.json().unwrap()["tags"], json!([]));
}

/// A manifest of which one field is something else.
fn with(manifest: &Value, pointer: &str, value: Value) -> String {
    let mut changed = manifest.clone();
    *changed.pointer_mut(pointer).unwrap() = value;
    changed.to_string()
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let (server, client) = registry();
    let image = image(&client, "a", b"layer").await.unwrap();
    let text = image.to_string();
    let mut bodies: Vec<Vec<u8>> = ["", " ", "hello", "{", "null", "[]", "2", "\"x\"", "{}"]
        .iter()
        .map(|body| body.as_bytes().to_vec())
        .collect();
    bodies.push(text.as_bytes()[..text.len() - 1].to_vec());
    bodies.push(format!("{text}{text}").into_bytes());
    bodies.push(b"\xff\xfe{\0}\0".to_vec());
    bodies.push([b"\xef\xbb\xbf", text.as_bytes()].concat());
    for (pointer, value) in [
        ("/schemaVersion", json!(1)),
        ("/schemaVersion", json!("2")),
        ("/config", json!(null)),
        ("/layers", json!({})),
        ("/layers/0", json!("sha256:abc")),
        ("/layers/0/size", json!(-1)),
        ("/layers/0/size", json!(1.5)),
        ("/layers/0/size", json!("5")),
        ("/layers/0/size", json!(1e300)),
        ("/layers/0/digest", json!("sha256:abc")),
        ("/layers/0/digest", json!("../../etc/passwd")),
        ("/layers/0/mediaType", json!(7)),
        (
            "/config/digest",
            json!("md5:d41d8cd98f00b204e9800998ecf8427e"),
        ),
    ] {
        bodies.push(with(&image, pointer, value).into_bytes());
    }
    for body in bodies {
        let what = String::from_utf8_lossy(&body).into_owned();
        let reply = put(&client, media::MANIFEST, body).await;
        refused(&reply, 400, "MANIFEST_INVALID", &what);
    }
    nothing_stored(&client).await;
    unharmed(&server).await;
}

#[tokio::test]
async fn nested_10_000_deep_is_refused() {
    let (server, client) = registry();
    let image = image(&client, "a", b"layer").await.unwrap().to_string();
    let start = &image[..image.len() - 1];
    for (open, inner, close) in [("[", "", "]"), ("{\"a\":", "1", "}")] {
        let nested = format!("{}{inner}{}", open.repeat(10_000), close.repeat(10_000));
        let unclosed = open.repeat(10_000);
        for body in [
            format!("{start},\"annotations\":{nested}}}"),
            format!("{start},\"x\":{nested}}}"),
            nested,
            unclosed,
        ] {
            let reply = put(&client, media::MANIFEST, body).await;
            refused(&reply, 400, "MANIFEST_INVALID", open);
        }
    }
    nothing_stored(&client).await;
    unharmed(&server).await;
}

#[tokio::test]
async fn keys_that_are_there_twice_are_refused() {
    let (server, client) = registry();
    let image = image(&client, "a", b"layer").await.unwrap().to_string();
    let other = sha256(b"other");
    for (key, twice) in [
        (
            "\"schemaVersion\":2",
            "\"schemaVersion\":2,\"schemaVersion\":2",
        ),
        ("\"layers\":", "\"layers\":[],\"layers\":"),
        ("\"config\":", "\"config\":{},\"config\":"),
        (
            "\"digest\":",
            &format!("\"digest\":\"{other}\",\"digest\":"),
        ),
        ("\"size\":", "\"size\":1,\"size\":"),
        ("\"schemaVersion\":2", "\"schemaVersion\":2,\"x\":1,\"x\":2"),
        // Escaped, the same key looks like another one.
        ("\"layers\":", "\"l\\u0061yers\":[],\"layers\":"),
    ] {
        let body = image.replacen(key, twice, 1);
        assert_ne!(body, image, "{key}");
        let reply = put(&client, media::MANIFEST, body).await;
        refused(&reply, 400, "MANIFEST_INVALID", twice);
    }
    nothing_stored(&client).await;
    unharmed(&server).await;
}

#[tokio::test]
async fn one_type_that_is_another_is_refused() {
    let (server, client) = registry();
    let image = image(&client, "a", b"layer").await.unwrap();
    let index = json!({
        "schemaVersion": 2, "mediaType": media::INDEX,
        "manifests": [descriptor(media::MANIFEST, b"{}")],
    });
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (content_type, manifest) in [
        (media::INDEX, image.to_string()),
        (media::MANIFEST, index.to_string()),
        (docker, image.to_string()),
        (schema_1, image.to_string()),
        (media::MANIFEST, with(&image, "/mediaType", json!(docker))),
        (
            media::MANIFEST,
            with(&image, "/mediaType", json!(media::INDEX)),
        ),
        (media::MANIFEST, with(&image, "/mediaType", json!(7))),
        ("application/json", image.to_string()),
        ("text/html", image.to_string()),
        ("no type at all", image.to_string()),
    ] {
        let what = format!("{content_type}: {manifest}");
        let reply = put(&client, content_type, manifest).await;
        refused(&reply, 400, "MANIFEST_INVALID", &what);
    }
    nothing_stored(&client).await;
    unharmed(&server).await;
}

#[tokio::test]
async fn four_mib_are_taken_and_a_byte_more_is_not() {
    let (mut server, client) = registry();
    let image = image(&client, "a", b"layer").await.unwrap().to_string();
    let largest = format!("{image}{}", " ".repeat(BYTES_MAX - image.len()));
    let larger = format!("{largest} ");
    let reply = put(&client, media::MANIFEST, larger.clone()).await;
    refused(&reply, 413, "MANIFEST_INVALID", "with its length");
    let pieces = larger
        .as_bytes()
        .chunks(100_000)
        .map(Bytes::copy_from_slice);
    let pieces: Vec<std::io::Result<Bytes>> = pieces.map(Ok).collect();
    let chunked = client
        .put("/v2/a/manifests/bad")
        .header("Content-Type", media::MANIFEST)
        .stream(futures::stream::iter(pieces));
    let reply = chunked.send().await.unwrap();
    refused(&reply, 413, "MANIFEST_INVALID", "without its length");
    let promised =
        "PUT /v2/a/manifests/bad HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n{";
    exchange(server.address(), promised.as_bytes())
        .await
        .refused(413, "MANIFEST_INVALID", "a terabyte that is only promised");
    nothing_stored(&client).await;
    let stored = put(&client, media::MANIFEST, largest.clone()).await;
    stored.expect(201).unwrap();
    let pulled = client.get("/v2/a/manifests/bad").send().await.unwrap();
    assert_eq!(pulled.body, largest);
    bounded(&mut server);
    unharmed(&server).await;
}

/// Memory has not grown with what was sent.
fn bounded(server: &mut HoldfastServer) {
    let peak = server.process().memory_peak_bytes().unwrap();
    assert!(peak < 300 * 1024 * 1024, "{peak} bytes");
}

#[tokio::test]
async fn absent_blobs_are_named() {
    let (server, client) = registry();
    client.push_blob("elsewhere", &b"layer"[..]).await.unwrap();
    client.push_blob("a", &b"{}"[..]).await.unwrap();
    let manifest = |config: &[u8], layer: &[u8]| {
        json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST,
            "config": descriptor(media::CONFIG, config), "layers": [descriptor(media::LAYER, layer)],
        })
    };
    for (config, layer, absent) in [
        (&b"{}"[..], &b"never pushed"[..], &b"never pushed"[..]),
        // That another repository has it gives no right to it.
        (b"{}", b"layer", b"layer"),
        (b"no config", b"{}", b"no config"),
    ] {
        let reply = put(
            &client,
            media::MANIFEST,
            manifest(config, layer).to_string(),
        )
        .await;
        refused(&reply, 404, "MANIFEST_BLOB_UNKNOWN", "absent");
        let detail = &reply.json().unwrap()["errors"][0]["detail"];
        assert_eq!(detail["digest"], sha256(absent));
    }
    let tags = client.get("/v2/a/tags/list").send().await.unwrap();
    assert_eq!(tags.json().unwrap()["tags"], json!([]));
    unharmed(&server).await;
}
