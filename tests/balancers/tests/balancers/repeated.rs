//! What is sent to another node after one had it and failed, and what is not.

use std::time::Duration;

use balancers::{Fault, Nodes};
use futures::StreamExt as _;
use harness::client::Ask;
use hyper::Method;

use crate::{
    BEFORE_THE_ANSWER, Kind, MANIFEST, UPLOAD, UPLOADS, bytes_of, cluster, is_balancers_error,
};

/// Sends what `ask` makes with a fault on its way, and expects the answer of another node.
async fn is_repeated(nodes: &Nodes, fault: Fault, ask: Ask<'_>, status: u16) -> anyhow::Result<()> {
    nodes.take_seen();
    nodes.order(fault);
    let reply = ask.send().await?.expect(status)?;
    let seen = nodes.take_seen();
    assert_eq!(nodes.orders_left(), 0);
    assert_eq!(seen.len(), 2, "{fault:?}: {seen:?}");
    assert_eq!(seen[0].fault, Some(fault));
    assert_ne!(seen[0].node, seen[1].node);
    assert_eq!(reply.header("x-node"), Some(&*seen[1].node.to_string()));
    nodes.revive().await
}

/// Sends what `ask` makes with a fault on its way, and expects an error of the balancer; no other node saw it.
pub async fn is_not_repeated(nodes: &Nodes, fault: Fault, ask: Ask<'_>) -> anyhow::Result<()> {
    nodes.take_seen();
    nodes.order(fault);
    is_balancers_error(&ask.send().await?, 502, "UNAVAILABLE");
    seen_once(nodes, fault).await
}

/// As [`is_not_repeated`], but the connection may end instead of an error. That is HAProxy's rule for a connection on which
/// it has answered before: clients take it for one that went idle, and send again.
async fn fails_or_ends(nodes: &Nodes, fault: Fault, ask: Ask<'_>) -> anyhow::Result<()> {
    nodes.take_seen();
    nodes.order(fault);
    if let Ok(reply) = ask.send().await {
        is_balancers_error(&reply, 502, "UNAVAILABLE");
    }
    seen_once(nodes, fault).await
}

async fn seen_once(nodes: &Nodes, fault: Fault) -> anyhow::Result<()> {
    let seen = nodes.take_seen();
    assert_eq!(seen.len(), 1, "{fault:?}: {seen:?}");
    assert_eq!(nodes.orders_left(), 0);
    nodes.revive().await
}

/// On its first connection and on one that has served, whatever the fault: another node answers.
pub async fn reads_openings_and_closings_are_repeated(kind: Kind) -> anyhow::Result<()> {
    for fault in BEFORE_THE_ANSWER {
        // Each fault has nodes of its own: so many in a row on every node, and nginx takes all of them for dead.
        let (nodes, balancer) = cluster(kind).await?;
        let kept = balancer.client();
        kept.get(MANIFEST).send().await?.expect(200)?;
        for client in [balancer.client(), kept.clone()] {
            is_repeated(&nodes, fault, client.get(MANIFEST), 200).await?;
            is_repeated(&nodes, fault, client.head(MANIFEST), 200).await?;
            is_repeated(&nodes, fault, client.get("/v2/_catalog"), 200).await?;
            is_repeated(&nodes, fault, client.post(UPLOADS), 202).await?;
            let mount = client.post("/v2/a/blobs/uploads/?mount=sha256:0&from=b");
            is_repeated(&nodes, fault, mount, 202).await?;
            is_repeated(&nodes, fault, client.put(UPLOAD), 201).await?;
            let put = client.put(MANIFEST).body(bytes_of(60_000));
            is_repeated(&nodes, fault, put, 201).await?;
        }
    }
    Ok(())
}

/// A manifest that comes in pieces is whole before a node sees any of it; so it can be sent again after each kind of end.
pub async fn manifest_in_pieces_is_repeated(kind: Kind) -> anyhow::Result<()> {
    for fault in BEFORE_THE_ANSWER {
        let (nodes, balancer) = cluster(kind).await?;
        let client = balancer.client();
        let pieces = futures::stream::iter(0..3).then(|_| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(bytes_of(20_000))
        });
        let put = client.put(MANIFEST).stream(Box::pin(pieces));
        is_repeated(&nodes, fault, put, 201).await?;
    }
    Ok(())
}

/// A node that hung goes on with a manifest that another node was asked for meanwhile: one key for both, and another for each
/// other request, tells it so. A client's own key stays.
pub async fn manifest_has_one_key_at_all_its_nodes(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    let client = balancer.client();
    let mut keys = Vec::new();
    for fault in BEFORE_THE_ANSWER {
        nodes.order(fault);
        let put = client.put(MANIFEST).body(bytes_of(1000));
        put.send().await?.expect(201)?;
        let seen = nodes.take_seen();
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(seen[0].key, seen[1].key);
        keys.push(seen[0].key.clone().expect("a key"));
        nodes.revive().await?;
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), BEFORE_THE_ANSWER.len());
    let own = client.put(MANIFEST).header("Idempotency-Key", "mine");
    own.body(bytes_of(1000)).send().await?.expect(201)?;
    assert_eq!(nodes.take_seen()[0].key.as_deref(), Some("mine"));
    client.get(MANIFEST).send().await?.expect(200)?;
    client.delete(MANIFEST).send().await?.expect(202)?;
    assert!(nodes.take_seen().iter().all(|seen| seen.key.is_none()));
    Ok(())
}

/// What may have another effect the second time, or is not kept, ends with an error after which docker sends it again.
pub async fn patch_and_large_put_are_not_repeated(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    let kept = balancer.client();
    for fault in [Fault::ResetAfterBody, Fault::CloseAfterBody, Fault::Die] {
        for method in [Method::PATCH, Method::PUT] {
            let first = balancer.client();
            let large = first.request(method, UPLOAD).body(bytes_of(4 << 20));
            is_not_repeated(&nodes, fault, large).await?;
        }
        let first = balancer.client();
        let small = first.patch(UPLOAD).body(bytes_of(1000));
        is_not_repeated(&nodes, fault, small).await?;
        for method in [Method::PATCH, Method::PUT] {
            kept.get(MANIFEST).send().await?.expect(200)?;
            let large = kept.request(method, UPLOAD).body(bytes_of(4 << 20));
            match kind {
                Kind::Haproxy => fails_or_ends(&nodes, fault, large).await?,
                Kind::Nginx | Kind::Own => is_not_repeated(&nodes, fault, large).await?,
            }
        }
    }
    Ok(())
}

/// What a client has begun to receive cannot be taken back: it sees the end, and no second answer behind the first.
pub async fn cut_answer_is_cut_and_not_repeated(kind: Kind) -> anyhow::Result<()> {
    let (nodes, balancer) = cluster(kind).await?;
    nodes.order(Fault::CutAnswer);
    let error = balancer.client().get(MANIFEST).send().await;
    assert!(error.is_err(), "{error:?}");
    assert_eq!(nodes.take_seen().len(), 1);
    Ok(())
}
