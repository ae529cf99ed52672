//! A run: the cluster, the clients, the faults in an order that a seed gives, and the report below `target`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clients::{Bench, Image, engines};
use harness::{Cluster, Process};
use holdfast_load::chaos::{Chaos, Plan, Report};
use holdfast_load::client::{Target, TargetOptions};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::faults::{Faults, Kind};
use crate::preloaded;

const MEMBERS: usize = 3;
const GATEWAYS: usize = 2;

/// Room for the log, the tables and what is to stay free.
const DISK_BYTES: u64 = 768 << 20;

/// Nothing is done for so long between two faults.
const REST_MS: std::ops::Range<u64> = 500..2_500;

/// An outage comes after so many covered faults, at the earliest.
const COVERED_PER_OUTAGE: usize = 8;

/// What docker pushes, again and again.
const LAYERS: usize = 2;
const LAYER_BYTES: usize = 3 << 20;

/// How long, and which choices.
#[derive(Debug, Clone)]
pub struct Length {
    /// How long faults are done.
    pub time: Duration,
    /// Repeats the choices of a run.
    pub seed: u64,
    /// The covered faults that are done.
    pub kinds: Vec<Kind>,
    /// The longest time without an answer that is no breach.
    pub gap_max: Duration,
    /// Where the report goes.
    pub report: PathBuf,
}

/// Runs it. The report says which promise broke.
pub async fn run(length: &Length) -> anyhow::Result<Report> {
    let folder = tempfile::Builder::new().prefix("chaos-").tempdir()?;
    let builder = Cluster::with()
        .members(MEMBERS)
        .gateways(GATEWAYS)
        .places(MEMBERS + GATEWAYS + 1)
        .links()
        .disks(DISK_BYTES)
        .env("HOLDFAST_SERVER_FREE_SPACE_MIN", "64MiB")
        // Who joins gets a snapshot, and not the log of an hour, which takes a slow build a minute to apply.
        .env("HOLDFAST_METADATA_SNAPSHOT_AFTER", "4MiB");
    let mut cluster = preloaded::environment(builder, folder.path())?.start()?;
    let docker = Docker::start(cluster.address())?;
    let nodes: Vec<(String, String)> = (0..MEMBERS + GATEWAYS + 1)
        .map(|place| {
            (
                format!("node {place}"),
                cluster.node(place).address().to_owned(),
            )
        })
        .collect();
    let chaos = Chaos::start(plan(length, cluster.address(), &nodes, docker.command())?).await?;
    let mut faults = Faults::new(cluster, chaos.timeline(), length.seed);
    let (schedule, seed) = (length.clone(), length.seed);
    let (mut faults, done) = tokio::task::spawn_blocking(move || {
        let done = one_after_the_other(&mut faults, &schedule);
        (faults, done)
    })
    .await?;
    for (place, (name, _)) in nodes.iter().enumerate() {
        if !faults.cluster.node(place).runs() {
            chaos.retire(name);
        }
    }
    let report = chaos.end().await?;
    report.write(&length.report)?;
    print!("{}", report.text());
    println!(
        "seed {seed}; the whole of it: {}",
        length.report.join("report.html").display()
    );
    keep_logs(&mut faults.cluster, &nodes, &length.report)?;
    done.context("a fault could not be done or undone")?;
    if report.is_good() {
        faults.cluster.passed();
    }
    drop(docker);
    Ok(report)
}

/// Every kind once in each round, shuffled; outages between them.
fn one_after_the_other(faults: &mut Faults, length: &Length) -> anyhow::Result<()> {
    let until = Instant::now() + length.time;
    let mut random = SmallRng::seed_from_u64(length.seed);
    let (mut since_outage, mut outages) = (0, 0);
    loop {
        let mut round = length.kinds.clone();
        for place in (1..round.len()).rev() {
            round.swap(place, random.random_range(0..=place));
        }
        for kind in round {
            std::thread::sleep(Duration::from_millis(random.random_range(REST_MS)));
            if Instant::now() > until {
                return Ok(());
            }
            faults.carry_out(kind)?;
            since_outage += 1;
            if since_outage == COVERED_PER_OUTAGE {
                // What the covered one before it left is not to be taken for the outage's.
                std::thread::sleep(Duration::from_secs(1));
                faults.carry_out(Kind::OUTAGES[outages % Kind::OUTAGES.len()])?;
                (since_outage, outages) = (0, outages + 1);
                // Its time to recover is over before the next: an outage excuses nothing else.
                std::thread::sleep(Duration::from_secs(5));
            }
        }
    }
}

fn plan(
    length: &Length,
    front: &str,
    nodes: &[(String, String)],
    docker: String,
) -> anyhow::Result<Plan> {
    let target = |address: &str| {
        let url = url::Url::parse(&format!("http://{address}"))?;
        let options = TargetOptions {
            url: &url,
            ca_file: None,
            user: None,
            timeout: Duration::from_secs(60),
        };
        anyhow::Ok(Arc::new(Target::new(options)?))
    };
    let node = |(name, address): &(String, String)| anyhow::Ok((name.clone(), target(address)?));
    Ok(Plan {
        front: target(front)?,
        nodes: nodes.iter().map(node).collect::<anyhow::Result<_>>()?,
        repository: "chaos".to_owned(),
        pushers: 2,
        pullers: 2,
        taggers: 6,
        tags: 3,
        uploaders: 2,
        programs: vec![docker],
        seed: length.seed,
        gap_max: length.gap_max,
    })
}

/// A docker daemon of the test's own, and an image in it.
struct Docker {
    /// Held for its drop.
    _engine: Process,
    socket: PathBuf,
    image: String,
    /// Held for its folder.
    _bench: Bench,
}

impl Docker {
    /// The image comes by way of the cluster, since docker reads no layout.
    fn start(address: &str) -> anyhow::Result<Self> {
        let bench = Bench::of(address, Box::new(()))?;
        let folder = bench.path("docker");
        std::fs::create_dir_all(&folder)?;
        let (engine, docker) = engines::docker(&folder)?;
        let image = Image::fresh(&folder, LAYERS, LAYER_BYTES)?;
        let image = bench.seed("chaos/seed:v1", &image)?;
        docker.run(&["pull", &image])?;
        Ok(Self {
            _engine: engine,
            socket: folder.join("docker.sock"),
            image,
            _bench: bench,
        })
    }

    /// A push of a new tag, and a pull of it.
    fn command(&self) -> String {
        let docker = format!("docker --host unix://{}", self.socket.display());
        format!(
            "set -e; name=$HOLDFAST_CHAOS_REGISTRY/$HOLDFAST_CHAOS_REPOSITORY/docker-$HOLDFAST_CHAOS_ROUND:v1; \
             {docker} tag {} $name; {docker} push --quiet $name; {docker} rmi $name; {docker} pull --quiet $name; \
             {docker} rmi $name",
            self.image
        )
    }
}

/// What the nodes said, beside the report.
fn keep_logs(
    cluster: &mut Cluster,
    nodes: &[(String, String)],
    folder: &Path,
) -> anyhow::Result<()> {
    for (place, (name, _)) in nodes.iter().enumerate() {
        let file = folder.join(format!("{}.log", name.replace(' ', "-")));
        std::fs::write(file, cluster.said(place))?;
    }
    Ok(())
}
