//! Pages of absurd sizes.

use harness::client::sha256;
use replay::{image, media, registry};

use crate::{refused, unharmed};

/// The most tags that one push sets.
const TAGS_PER_PUSH: usize = 100;

#[tokio::test]
async fn ten_thousand_tags_are_one_page_and_a_billion_are_asked_in_vain() {
    let (server, client) = registry();
    let manifest = image(&client, "a", b"layer").await.unwrap().to_string();
    let digest = sha256(manifest.as_bytes());
    let all: Vec<String> = (0..10_000).map(|number| format!("t{number:05}")).collect();
    for tags in all.chunks(TAGS_PER_PUSH) {
        let query = format!("?tag={}", tags.join("&tag="));
        let target = format!("/v2/a/manifests/{digest}{query}");
        let put = client.put(&target).header("Content-Type", media::MANIFEST);
        let pushed = put.body(manifest.clone()).send().await.unwrap();
        pushed.expect(201).unwrap();
    }
    let beyond = "99999999999999999999999999";
    for query in ["?n=10000", "?n=1000000000", &format!("?n={beyond}"), ""] {
        let page = client.get(&format!("/v2/a/tags/list{query}")).send().await;
        let page = page.unwrap().expect(200).unwrap();
        let page = page.json().unwrap();
        let tags: Vec<&str> = page["tags"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|tag| tag.as_str())
            .collect();
        assert_eq!(tags, all, "{query}");
    }
    let too_many = format!("?tag=x&tag={}", all[..TAGS_PER_PUSH].join("&tag="));
    let target = format!("/v2/a/manifests/{digest}{too_many}");
    let put = client.put(&target).header("Content-Type", media::MANIFEST);
    let reply = put.body(manifest).send().await.unwrap();
    refused(&reply, 414, "UNSUPPORTED", "101 tags");
    unharmed(&server).await;
}

#[tokio::test]
async fn sizes_that_are_no_numbers_are_refused() {
    let (server, client) = registry();
    let manifest = image(&client, "a", b"layer").await.unwrap().to_string();
    let pushed = client.push_manifest("a", "v1", media::MANIFEST, manifest);
    let digest = pushed.await.unwrap();
    for list in [
        "/v2/_catalog",
        "/v2/a/tags/list",
        &format!("/v2/a/referrers/{digest}"),
    ] {
        for n in ["-1", "1e9", "-1e9", "x", "1.5", "%00", "0x10", "1&n=2"] {
            let target = format!("{list}?n={n}");
            let reply = client.get(&target).send().await.unwrap();
            refused(&reply, 400, "UNSUPPORTED", &target);
        }
        for n in ["0", "1", "1000000000"] {
            let answer = client.get(&format!("{list}?n={n}")).send().await.unwrap();
            let status = answer.status.as_u16();
            assert_eq!(status, 200, "{list}?n={n}");
        }
    }
    for (target, code) in [
        ("/v2/_catalog?last=UPPER", "NAME_INVALID"),
        ("/v2/_catalog?last=..%2f..", "NAME_INVALID"),
        ("/v2/a/tags/list?last=..%2f", "UNSUPPORTED"),
        ("/v2/a/tags/list?last=%00", "UNSUPPORTED"),
    ] {
        let reply = client.get(target).send().await.unwrap();
        refused(&reply, 400, code, target);
    }
    unharmed(&server).await;
}
