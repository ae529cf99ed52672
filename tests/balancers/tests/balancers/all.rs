//! What all balancers do with requests that no node spoils half-way.

use harness::{HoldfastServer, Reply};

use crate::{Balancer, Kind, MANIFEST, UPLOAD, UPLOADS, bytes_of, cluster, is_balancers_error};

/// Round robin by request: on one connection and on many, no node is asked twice in succession.
pub async fn requests_take_turns(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    let one = balancer.client();
    for turn in 0..30 {
        let client = if turn < 15 {
            one.clone()
        } else {
            balancer.client()
        };
        client.get(MANIFEST).send().await?.expect(200)?;
    }
    let seen: Vec<usize> = nodes.take_seen().iter().map(|seen| seen.node).collect();
    assert_eq!(seen.len(), 30);
    assert!(seen.windows(2).all(|two| two[0] != two[1]), "{seen:?}");
    for node in 0..3 {
        assert_eq!(seen.iter().filter(|seen| **seen == node).count(), 10);
    }
    Ok(())
}

/// A node that refuses connections costs nobody anything, before any check of health has noticed it.
pub async fn refusing_node_is_passed_by_with_every_method(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    let client = balancer.client();
    // Connections that the balancer keeps to all three.
    for _ in 0..3 {
        client.get(MANIFEST).send().await?.expect(200)?;
    }
    nodes.kill(1).await?;
    for _ in 0..4 {
        client.get(MANIFEST).send().await?.expect(200)?;
        client.post(UPLOADS).send().await?.expect(202)?;
        client
            .patch(UPLOAD)
            .body(bytes_of(1 << 20))
            .send()
            .await?
            .expect(202)?;
        client
            .put(UPLOAD)
            .body(bytes_of(1 << 20))
            .send()
            .await?
            .expect(201)?;
        client
            .put(MANIFEST)
            .body(bytes_of(60_000))
            .send()
            .await?
            .expect(201)?;
        client.delete(MANIFEST).send().await?.expect(202)?;
    }
    Ok(())
}

/// Without any node there is an answer, and one that clients of registries understand.
pub async fn no_node_is_a_503_in_oci_json(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    for node in 0..3 {
        nodes.kill(node).await?;
    }
    let client = balancer.client();
    // Before and after the balancer knows of it.
    for _ in 0..20 {
        is_balancers_error(&client.get(MANIFEST).send().await?, 503, "UNAVAILABLE");
        let put = client.put(MANIFEST).body(bytes_of(1000));
        is_balancers_error(&put.send().await?, 503, "UNAVAILABLE");
        let patch = client.patch(UPLOAD).body(bytes_of(1000));
        is_balancers_error(&patch.send().await?, 503, "UNAVAILABLE");
    }
    Ok(())
}

/// A small image goes through to the real program and comes back with the same bytes; the program's own errors stay its own.
pub async fn real_node_is_pushed_to_and_pulled_from(kind: Kind) -> anyhow::Result<()> {
    let node = HoldfastServer::start()?;
    let balancer = Balancer::start(kind, &[node.address().to_owned()]).await?;
    let client = balancer.client();
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    for tag in ["v1", "v2", "v3"] {
        let layer = format!("a layer of {tag}").repeat(10_000);
        let descriptor = |media_type: &str, digest: &str, size: usize| serde_json::json!({"mediaType": media_type, "digest": digest, "size": size});
        let config_digest = client.push_blob("library/app", &b"{}"[..]).await?;
        let layer_digest = client.push_blob("library/app", layer.clone()).await?;
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config_digest, 2),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer_digest, layer.len())],
        });
        let payload = serde_json::to_vec(&manifest)?;
        let digest = client
            .push_manifest("library/app", tag, manifest_type, payload.clone())
            .await?;
        let pulled = client
            .get(&format!("/v2/library/app/manifests/{tag}"))
            .header("Accept", manifest_type);
        let pulled: Reply = pulled.send().await?.expect(200)?;
        assert_eq!(pulled.body, payload);
        assert_eq!(pulled.header("docker-content-digest"), Some(&*digest));
        let blob = format!("/v2/library/app/blobs/{layer_digest}");
        assert_eq!(client.get(&blob).send().await?.expect(200)?.body, layer);
        let range = client.get(&blob).header("Range", "bytes=2-6");
        assert_eq!(range.send().await?.expect(206)?.body, "layer");
    }
    let absent = client.get("/v2/library/app/manifests/v4").send().await?;
    assert_eq!(absent.error_code().as_deref(), Some("MANIFEST_UNKNOWN"));
    let api = absent
        .headers
        .get_all("docker-distribution-api-version")
        .iter();
    assert_eq!(api.count(), 1);
    Ok(())
}
