//! The rows of the table: what is measured, beside what, and what is wanted.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::access_rows;
use crate::cluster_rows;
use crate::figure::Figure;
use crate::peers;
use crate::process::{Server, cost, run};
use crate::warm_memory::WarmMemory;

const GIB: u64 = 1 << 30;

/// What every row is given.
pub struct Bench {
    /// The folder with `holdfast` and `holdfast-load`.
    pub binaries: PathBuf,
    /// A folder that goes when the run ends.
    pub work: PathBuf,
    /// How often each side runs.
    pub runs: usize,
}

/// A line of the table.
pub struct Row {
    /// What was measured.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Of Holdfast.
    pub holdfast: Figure,
    /// Beside what.
    pub peer_name: &'static str,
    /// Of the peer.
    pub peer: Figure,
    /// What was measured beside it and is shown, without a figure that is wanted.
    pub aside: String,
    /// What is wanted of the medians.
    pub goal: Goal,
}

/// What is wanted of the medians of both sides.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// Holdfast is at least so many times the peer.
    AtLeast(f64),
    /// Holdfast is at most so many times the peer, plus so much.
    AtMost(f64, f64),
}

impl Row {
    /// What the medians come to, in the terms of the goal.
    pub fn ratio(&self) -> f64 {
        let (own, peer) = (self.holdfast.median(), self.peer.median());
        match self.goal {
            Goal::AtLeast(_) => own / peer,
            Goal::AtMost(_, extra) => (own - extra).max(0.0) / peer,
        }
    }

    /// Whether what is wanted was reached.
    pub fn reached(&self) -> bool {
        match self.goal {
            Goal::AtLeast(times) => self.ratio() >= times,
            Goal::AtMost(times, _) => self.ratio() <= times,
        }
    }
}

/// A row's name and how it is measured.
pub type Measure = fn(&Bench) -> anyhow::Result<Row>;

/// All rows.
pub const ALL: [(&str, Measure); 11] = [
    ("manifests by tag, 1,000 tags", manifests_by_tag),
    ("pushes of small images", small_pushes),
    ("processor for 1 GiB pushed", gib_pushed),
    ("processor for 1 GiB pulled", gib_pulled),
    (
        "memory, 16 × 1 GiB pushed at once into a folder",
        memory_folder,
    ),
    (
        "memory, 16 × 1 GiB pushed at once into Garage",
        memory_garage,
    ),
    (
        "pushes of small images to Garage through three nodes",
        cluster_rows::small_pushes,
    ),
    (
        "tag moves through the gRPC service, three members",
        cluster_rows::tag_moves,
    ),
    (
        "a manifest read with a token seen before",
        access_rows::seen,
    ),
    (
        "a manifest read with a token not seen before",
        access_rows::unseen,
    ),
    ("a token is issued", access_rows::issued),
];

impl Bench {
    /// A place in the folder that goes when the run ends.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Runs the load client on a server, and gives its report.
    pub fn load(&self, server: &Server, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        self.load_at(&format!("127.0.0.1:{}", server.port), arguments)
    }

    /// Runs the load client on the registry at `HOST:PORT`, and gives its report.
    pub fn load_at(&self, address: &str, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let mut command = Command::new(self.binaries.join("holdfast-load"));
        command.args(arguments);
        command.args(["--json", "--url", &format!("http://{address}")]);
        let output = run(&mut command)?;
        serde_json::from_slice(&output).context("the load client's report is not JSON")
    }

    /// Runs one kind of load on both registries in turn, and gives operations per second and processor microseconds
    /// per operation of both.
    fn alternate(&self, name: &str, arguments: &[&str]) -> anyhow::Result<[(Figure, Figure); 2]> {
        let own = peers::holdfast(
            &self.binaries,
            &self.folder(&format!("{name}-holdfast")),
            &[],
        )?;
        let peer = peers::docker_registry(&self.folder(&format!("{name}-registry")))?;
        let mut figures: [(Figure, Figure); 2] = Default::default();
        for _ in 0..self.runs {
            for (server, (rate, cost)) in [&own, &peer].into_iter().zip(&mut figures) {
                let before = server.cpu_seconds()?;
                let report = self.load(server, arguments)?;
                let first = &report["operations"][0];
                let count = first["count"].as_f64().context("the report has a count")?;
                rate.push(
                    first["per_second"]
                        .as_f64()
                        .context("the report has a rate")?,
                );
                cost.push((server.cpu_seconds()? - before) * 1e6 / count);
            }
        }
        Ok(figures)
    }

    /// A file of a gibibyte that does not compress.
    fn gib_file(&self) -> anyhow::Result<PathBuf> {
        let path = self.folder("gib");
        if !path.exists() {
            let mut random = std::io::Read::take(std::fs::File::open("/dev/urandom")?, GIB);
            std::io::copy(&mut random, &mut std::fs::File::create(&path)?)?;
        }
        Ok(path)
    }
}

fn manifests_by_tag(bench: &Bench) -> anyhow::Result<Row> {
    let arguments = [
        "manifest", "--tags", "1000", "-c", "16", "-d", "5s", "--seed", "1",
    ];
    let [(own, own_cost), (peer, peer_cost)] = bench.alternate("manifests", &arguments)?;
    Ok(Row {
        name: ALL[0].0,
        unit: "requests/s",
        holdfast: own,
        peer_name: "docker-registry",
        peer,
        aside: costs(&own_cost, &peer_cost),
        goal: Goal::AtLeast(10.0),
    })
}

fn small_pushes(bench: &Bench) -> anyhow::Result<Row> {
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
    let [(own, own_cost), (peer, peer_cost)] = bench.alternate("pushes", &arguments)?;
    Ok(Row {
        name: ALL[1].0,
        unit: "images/s",
        holdfast: own,
        peer_name: "docker-registry (without fsync)",
        peer,
        aside: costs(&own_cost, &peer_cost),
        goal: Goal::AtLeast(3.0),
    })
}

fn costs(own: &Figure, peer: &Figure) -> String {
    format!(
        "processor per operation {:.0} µs beside {:.0} µs, preparation included",
        own.median(),
        peer.median()
    )
}

fn gib_pushed(bench: &Bench) -> anyhow::Result<Row> {
    let file = bench.gib_file()?;
    let (mut own, mut peer, mut wall) = (Figure::default(), Figure::default(), Figure::default());
    let digest = digest_of(&file)?;
    for _ in 0..bench.runs {
        let pushed = push_to_a_new_folder(bench, &file, &digest)?;
        own.push(pushed.processor_seconds);
        wall.push(pushed.seconds);
        let mut openssl = Command::new("openssl");
        peer.push(cost(openssl.args(["dgst", "-sha256"]).arg(&file))?);
    }
    Ok(Row {
        name: ALL[2].0,
        unit: "s of processor",
        holdfast: own,
        peer_name: "openssl dgst -sha256",
        peer,
        aside: format!("wall {:.2} s", wall.median()),
        goal: Goal::AtMost(1.6, 0.5),
    })
}

struct Pushed {
    processor_seconds: f64,
    seconds: f64,
}

/// Pushes the file to a server that is started for it.
fn push_to_a_new_folder(bench: &Bench, file: &Path, digest: &str) -> anyhow::Result<Pushed> {
    let data = bench.folder("gib-pushed");
    let server = peers::holdfast(&bench.binaries, &data, &[])?;
    let memory = WarmMemory::take(&bench.folder("warm-memory"), GIB + GIB / 4)?;
    let (before, began) = (server.cpu_seconds()?, std::time::Instant::now());
    memory.release_during(|| push_file(&server, file, digest))??;
    let pushed = Pushed {
        processor_seconds: server.cpu_seconds()? - before,
        seconds: began.elapsed().as_secs_f64(),
    };
    drop(server);
    std::fs::remove_dir_all(&data)?;
    Ok(pushed)
}

fn gib_pulled(bench: &Bench) -> anyhow::Result<Row> {
    let file = bench.gib_file()?;
    let server = peers::holdfast(&bench.binaries, &bench.folder("gib-pulled"), &[])?;
    let floor = bench.folder("nginx");
    std::fs::create_dir_all(floor.join("files"))?;
    std::fs::hard_link(&file, floor.join("files/gib"))?;
    let nginx = peers::nginx(&floor)?;
    let digest = digest_of(&file)?;
    push_file(&server, &file, &digest)?;
    let (mut own, mut peer, mut wall) = (Figure::default(), Figure::default(), Figure::default());
    for _ in 0..bench.runs {
        let sides = [
            (&server, format!("v2/bench/blobs/{digest}"), &mut own),
            (&nginx, "gib".to_owned(), &mut peer),
        ];
        for (side, path, figure) in sides {
            let before = side.cpu_seconds()?;
            let began = std::time::Instant::now();
            let mut curl = Command::new("curl");
            run(curl.args([
                "-sSf",
                "-o",
                "/dev/null",
                &format!("http://127.0.0.1:{}/{path}", side.port),
            ]))?;
            figure.push(side.cpu_seconds()? - before);
            if side.port == server.port {
                wall.push(began.elapsed().as_secs_f64());
            }
        }
    }
    Ok(Row {
        name: ALL[3].0,
        unit: "s of processor",
        holdfast: own,
        peer_name: "nginx, sendfile",
        peer,
        aside: format!("wall {:.2} s", wall.median()),
        goal: Goal::AtMost(2.2, 0.0),
    })
}

fn digest_of(file: &Path) -> anyhow::Result<String> {
    let line = run(Command::new("sha256sum").arg(file))?;
    let line = String::from_utf8_lossy(&line);
    let hex = line.split_whitespace().next();
    Ok(format!(
        "sha256:{}",
        hex.context("sha256sum prints a digest")?
    ))
}

/// Pushes a file as one blob of the repository `bench`.
fn push_file(server: &Server, file: &Path, digest: &str) -> anyhow::Result<()> {
    let base = format!("http://127.0.0.1:{}", server.port);
    let head = run(Command::new("curl").args([
        "-sSf",
        "-i",
        "-X",
        "POST",
        &format!("{base}/v2/bench/blobs/uploads/"),
    ]))?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let location = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .starts_with("location:")
                .then(|| line[9..].trim().to_owned())
        })
        .context("the upload has no Location")?;
    let glue = if location.contains('?') { '&' } else { '?' };
    let url = format!("{base}{location}{glue}digest={digest}");
    run(Command::new("curl").args(["-sSf", "-T"]).arg(file).args([
        "-H",
        "Content-Type: application/octet-stream",
        &url,
    ]))?;
    Ok(())
}

const UPLOADS: [&str; 12] = [
    "push",
    "--layers",
    "1",
    "--layer-size",
    "1GiB",
    "-c",
    "16",
    "-n",
    "16",
    "--no-read-back",
    "-d",
    "15m",
];

fn memory_folder(bench: &Bench) -> anyhow::Result<Row> {
    let own = memory(bench, &[])?;
    Ok(memory_row(ALL[4].0, own, 100.0))
}

fn memory_garage(bench: &Bench) -> anyhow::Result<Row> {
    let garage = harness::GarageServer::start()?;
    let own = memory(bench, &garage.environment())?;
    Ok(memory_row(ALL[5].0, own, 200.0))
}

fn memory(bench: &Bench, settings: &[(String, String)]) -> anyhow::Result<Figure> {
    let data = bench.folder("memory");
    let server = peers::holdfast(&bench.binaries, &data, settings)?;
    bench.load(&server, &[&UPLOADS[..], &["--timeout", "15m"]].concat())?;
    let mut own = Figure::default();
    own.push(server.peak_memory_mib()?);
    drop(server);
    std::fs::remove_dir_all(&data)?;
    Ok(own)
}

fn memory_row(name: &'static str, holdfast: Figure, most_mib: f64) -> Row {
    let mut peer = Figure::default();
    peer.push(most_mib);
    let aside = "one run; the peak of the process's resident memory".to_owned();
    Row {
        name,
        unit: "MiB",
        holdfast,
        peer_name: "the bound",
        peer,
        aside,
        goal: Goal::AtMost(1.0, 0.0),
    }
}
