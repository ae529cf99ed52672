//! swarm, kubernetes and compose: a tag is pinned to its digest at deployment, then every machine pulls the digest at
//! once, through a mesh that opens a connection for each request.

use futures::future::join_all;
use harness::client::sha256;
use harness::{Client, HoldfastServer};

use crate::{image, media, registry};

const REPOSITORY: &str = "swarm/app";

/// Machines that pull at once.
const MACHINES: usize = 24;

/// One request on a connection of its own, as a mesh makes them.
async fn pull(server: &HoldfastServer, target: &str) -> anyhow::Result<harness::Reply> {
    let client = Client::new(server.address());
    let get = client
        .get(target)
        .header("Accept", media::INDEX)
        .header("Accept", media::MANIFEST)
        .header("Accept", "*/*");
    get.send().await?.expect(200)
}

/// What one machine does with a pinned digest. Checks every byte.
async fn deploy(server: &HoldfastServer, pinned: &str, manifest: &str, layer: &[u8]) {
    let target = format!("/v2/{REPOSITORY}/manifests/{pinned}");
    let served = pull(server, &target).await.unwrap();
    assert_eq!(served.body, manifest);
    assert_eq!(served.header("Docker-Content-Digest"), Some(pinned));
    for content in [&b"{}"[..], layer] {
        let target = format!("/v2/{REPOSITORY}/blobs/{}", sha256(content));
        assert_eq!(pull(server, &target).await.unwrap().body, content);
    }
}

#[tokio::test]
async fn pinned_digest_is_pulled_by_all_at_once_while_its_tag_moves() {
    let (mut server, client) = registry();
    let layers: [&'static [u8]; 2] = [b"the first layer", b"the second layer"];
    let first = image(&client, REPOSITORY, layers[0]).await.unwrap();
    let second = image(&client, REPOSITORY, layers[1]).await.unwrap();
    let (first, second) = (first.to_string(), second.to_string());
    let tag = format!("/v2/{REPOSITORY}/manifests/stable");
    client
        .push_manifest(REPOSITORY, "stable", media::MANIFEST, first.clone())
        .await
        .unwrap();
    let asked = client.head(&tag).header("Accept", media::MANIFEST);
    let asked = asked.send().await.unwrap().expect(200).unwrap();
    let pinned = asked.header("Docker-Content-Digest").unwrap().to_owned();
    assert_eq!(pinned, sha256(first.as_bytes()));

    let machines = (0..MACHINES).map(|_| deploy(&server, &pinned, &first, layers[0]));
    let moved = client.push_manifest(REPOSITORY, "stable", media::MANIFEST, second.clone());
    let (_, moved) = futures::future::join(join_all(machines), moved).await;
    assert_eq!(moved.unwrap(), sha256(second.as_bytes()));
    // Who resolves the tag now gets the new image on every connection; what was pinned stays what it was.
    for answer in join_all((0..MACHINES).map(|_| pull(&server, &tag))).await {
        assert_eq!(answer.unwrap().body, second);
    }

    server.restart().unwrap();
    deploy(&server, &pinned, &first, layers[0]).await;
    assert_eq!(pull(&server, &tag).await.unwrap().body, second);
}
