//! A node that dies between receiving a manifest and answering: the client sees 201, since HAProxy sends the manifest to
//! another node, which gives the first one's answer or its own.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cluster_suite::Length;
use faults::operation::{MANIFEST, manifest};
use faults::{Content, content::Dice};
use harness::client::sha256;
use harness::{Client, Cluster};

/// Before and after the log has it: not yet decided, and decided without anybody knowing.
const STEPS: [&str; 2] = [
    "registry::manifest::before_entry",
    "registry::manifest::after_entry",
];

const REPOSITORY: &str = "cluster/manifests";

/// HAProxy's turn comes to a node that is up again after this at the latest.
const TURN_MAX: Duration = Duration::from_secs(20);

/// Who is to die.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Leader,
    Follower,
    Gateway,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifest_is_answered_201_though_its_node_dies() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).start()?;
    let client = cluster.client();
    let [config, layer] = [Content::new(1, 200), Content::new(2, 3000)];
    for content in [config, layer] {
        client.push_blob(REPOSITORY, content.bytes()).await?;
    }
    let mut pushed = Vec::new();
    let kills = Length::of_this_run().manifest_kills;
    for kill in 0..kills {
        let victim = [Victim::Leader, Victim::Follower, Victim::Gateway][kill % 3];
        let step = STEPS[kill / 3 % 2];
        let put = Dice::new(kill as u64).next();
        let payload = |number: usize| manifest(&config, &layer, &format!("{kill} {number} {put}"));
        crash(&mut cluster, victim, step, &client, payload, &mut pushed)
            .await
            .with_context(|| format!("kill {kill}: {victim:?} at {step}"))?;
    }
    for (tag, payload) in &pushed {
        let get = client.get(&format!("/v2/{REPOSITORY}/manifests/{tag}"));
        let reply = get.header("Accept", MANIFEST).send().await?.expect(200)?;
        ensure!(reply.body == payload.as_bytes(), "{tag} has other bytes");
    }
    println!(
        "{kills} nodes died, {} manifests were answered 201",
        pushed.len()
    );
    cluster.passed();
    Ok(())
}

/// Arms a node, and puts manifests until it has died of one. All are answered 201.
async fn crash(
    cluster: &mut Cluster,
    victim: Victim,
    step: &str,
    client: &Client,
    payload: impl Fn(usize) -> String,
    pushed: &mut Vec<(String, String)>,
) -> anyhow::Result<()> {
    let place = arm(cluster, victim, step)?;
    let deadline = Instant::now() + TURN_MAX;
    let mut number = 0;
    while has_not_died(cluster, place)? {
        ensure!(Instant::now() < deadline, "no manifest came to the node");
        let (tag, payload) = (format!("t{}", pushed.len()), payload(number));
        let put = client.put(&format!("/v2/{REPOSITORY}/manifests/{tag}"));
        let put = put.header("Content-Type", MANIFEST).body(payload.clone());
        let reply = put.send().await?.expect(201)?;
        let digest = reply.header("Docker-Content-Digest");
        ensure!(digest == Some(&*sha256(payload.as_bytes())), "{digest:?}");
        pushed.push((tag, payload));
        number += 1;
    }
    cluster.restart(place)?;
    cluster.wait_in_order()
}

fn has_not_died(cluster: &mut Cluster, place: usize) -> anyhow::Result<bool> {
    let process = cluster.node(place).process().context("it was started")?;
    Ok(process.exited()?.is_none())
}

/// Starts a node again that will die at this step; gives its place.
fn arm(cluster: &mut Cluster, victim: Victim, step: &str) -> anyhow::Result<usize> {
    use harness::cluster::Role;
    let place = match victim {
        Victim::Gateway => *cluster
            .running(Role::Gateway)
            .first()
            .context("no gateway")?,
        Victim::Leader | Victim::Follower => cluster.follower()?,
    };
    cluster.kill(place);
    cluster.restart_with(place, &[("HOLDFAST_CRASH_AT".to_owned(), step.to_owned())])?;
    cluster.wait_in_order()?;
    if matches!(victim, Victim::Leader) {
        let id = cluster.id_of(place)?;
        cluster.command(&["transfer-leader", &id.to_string()])?;
        cluster.wait_for("the lead to be handed over", || {
            cluster.leader().is_ok_and(|leader| leader == place)
        })?;
    }
    Ok(place)
}
