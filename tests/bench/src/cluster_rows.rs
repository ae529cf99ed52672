//! The rows that need a whole cluster: three members, each a process with fsync on.

use std::time::Duration;

use anyhow::Context;
use harness::Cluster;
use harness::cluster::Role;

use crate::etcd::Etcd;
use crate::figure::Figure;
use crate::peers;
use crate::rows::{Bench, Goal, Row};
use crate::tag_moves;

/// As long as a phase of `etcdctl check perf` before its last seconds.
const MOVES_LENGTH: Duration = Duration::from_secs(20);

/// Small images through HAProxy and three nodes into Garage, beside one docker-registry on the same Garage.
pub fn small_pushes(bench: &Bench) -> anyhow::Result<Row> {
    let cluster = Cluster::with()
        .members(3)
        .program(bench.binaries.join("holdfast"));
    let mut cluster = cluster.start()?;
    let registry = peers::docker_registry_in_garage(cluster.garage(), &bench.folder("s3-peer"))?;
    let arguments = [
        "push",
        "--layers",
        "3",
        "--layer-size",
        "16KiB",
        "-c",
        "16",
        "-d",
        "5s",
        "--no-read-back",
    ];
    let [mut own, mut peer] = [Figure::default(), Figure::default()];
    for _ in 0..bench.runs {
        let sides = [
            (cluster.address().to_owned(), &mut own),
            (format!("127.0.0.1:{}", registry.port), &mut peer),
        ];
        for (address, figure) in sides {
            let report = bench.load_at(&address, &arguments)?;
            anyhow::ensure!(report["failures"] == 0, "{report}");
            let rate = report["operations"][0]["per_second"].as_f64();
            figure.push(rate.context("the report has a rate")?);
        }
    }
    cluster.passed();
    Ok(Row {
        name: "pushes of small images to Garage through three nodes",
        unit: "images/s",
        holdfast: own,
        peer_name: "one docker-registry on the same Garage",
        peer,
        aside: "three members and HAProxy share the machine with the load".to_owned(),
        goal: Goal::AtLeast(5.0),
    })
}

/// Tag moves through the gRPC service of three members, beside the writes of a three-member etcd.
pub fn tag_moves(bench: &Bench) -> anyhow::Result<Row> {
    let [mut own, mut peer] = [Figure::default(), Figure::default()];
    // etcd's check takes a minute each time.
    for run in 0..bench.runs.min(3) {
        let cluster = Cluster::with().members(3);
        let mut cluster = cluster.program(bench.binaries.join("holdfast")).start()?;
        let token = cluster.token(Role::Gateway)?;
        let seed = cluster.node(0).peer_address().to_owned();
        let folder = bench.folder(&format!("tag-moves-{run}"));
        std::fs::create_dir_all(&folder)?;
        own.push(tag_moves::per_second(&seed, &token, &folder, MOVES_LENGTH)?);
        cluster.passed();
        let folder = bench.folder(&format!("etcd-{run}"));
        std::fs::create_dir_all(&folder)?;
        peer.push(Etcd::start(&folder)?.writes_per_second()?);
    }
    Ok(Row {
        name: "tag moves through the gRPC service, three members",
        unit: "moves/s",
        holdfast: own,
        peer_name: "etcd, three members, check perf --load=xl",
        peer,
        aside: "1,000 clients each; both with fsync".to_owned(),
        goal: Goal::AtLeast(2.0),
    })
}
