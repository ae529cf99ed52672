//! The rows that need a whole cluster: three members, each a process with fsync on.

use anyhow::Context;
use harness::Cluster;

use crate::figure::Figure;
use crate::peers;
use crate::rows::{Bench, Goal, Row};

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
