//! docker, podman and skopeo push and pull through HAProxy while nodes are killed in turn: no docker command fails, the others only
//! when a layer was cut, and what they pushed is there, byte for byte.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clients::engines::{self, pushed_digest};
use clients::{Bench, Image, Program, image, text};
use cluster_suite::Length;
use faults::content::Dice;
use harness::Cluster;
use harness::cluster::Role;

const LAYERS: usize = 3;

/// Two parts and a tail.
const LAYER_BYTES: usize = 18 << 20;

/// As many as there are kinds of nodes to kill.
const CUTS_MAX: usize = 4;

/// What podman and skopeo say of a layer whose node died; the last, when the balancer's 502 comes while they are still writing, and
/// their library has closed the connection before the write has ended.
const CUT: [&str; 3] = [
    "unexpected EOF",
    "502 Bad Gateway",
    "use of closed network connection",
];

/// A node that was killed stays dead for so long, which is more than a balancer needs to notice.
const DEAD: Duration = Duration::from_millis(2500);

/// A cycle of a client, its tries after cut layers included.
const CYCLE_MAX: Duration = Duration::from_secs(150);

/// Who is killed, in this order.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Gateway,
    Follower,
    Leader,
    Busiest,
}

const VICTIMS: [Victim; 4] = [
    Victim::Gateway,
    Victim::Follower,
    Victim::Leader,
    Victim::Busiest,
];

/// What the clients' threads share.
struct Shared {
    ends: AtomicBool,
    /// Commands under way, so that a kill meets one.
    busy: AtomicUsize,
    /// Repository and digest of all that was pushed.
    pushed: Mutex<Vec<(String, String)>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_fails_while_nodes_are_killed() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).start()?;
    let bench = Bench::of(cluster.address(), Box::new(()))?;
    let shared = Shared {
        ends: AtomicBool::new(false),
        busy: AtomicUsize::new(0),
        pushed: Mutex::default(),
    };
    let folders = ["docker", "podman", "skopeo"].map(|name| bench.path(name));
    for folder in &folders {
        std::fs::create_dir_all(folder)?;
    }
    let (_engine, docker) = engines::docker(&folders[0])?;
    let podman = engines::podman(&folders[1])?;
    let outcomes = std::thread::scope(|scope| {
        let (bench, shared) = (&bench, &shared);
        let threads = [
            scope.spawn(move || {
                cycles("docker", shared, |name| {
                    docker_cycle(bench, &docker, &bench.path("docker"), name)
                })
            }),
            scope.spawn(move || {
                cycles("podman", shared, |name| {
                    podman_cycle(bench, &podman, &bench.path("podman"), name)
                })
            }),
            scope.spawn(move || {
                cycles("skopeo", shared, |name| {
                    skopeo_cycle(bench, &bench.path("skopeo"), name)
                })
            }),
        ];
        let killed = kill_in_turn(&mut cluster, shared);
        shared.ends.store(true, Ordering::SeqCst);
        let mut outcomes: Vec<anyhow::Result<()>> = threads
            .into_iter()
            .map(|thread| thread.join().expect("a client's thread does not panic"))
            .collect();
        outcomes.push(killed);
        outcomes
    });
    let failed: Vec<String> = outcomes
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    cluster.wait_in_order()?;
    let pushed = shared.pushed.into_inner().unwrap_or_default();
    for (repository, digest) in &pushed {
        is_whole(&bench, repository, digest)
            .await
            .with_context(|| format!("{repository}@{digest} was pushed"))?;
    }
    println!("{} images are whole", pushed.len());
    cluster.passed();
    Ok(())
}

/// Kills each kind of node as often as this run wants, while the clients are busy.
fn kill_in_turn(cluster: &mut Cluster, shared: &Shared) -> anyhow::Result<()> {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    for _ in 0..Length::of_this_run().client_rounds {
        for victim in VICTIMS {
            cluster.wait_for("a client to be busy", || {
                shared.busy.load(Ordering::SeqCst) > 0
            })?;
            // At any moment of what goes on.
            std::thread::sleep(Duration::from_millis(dice.next() % 2000));
            let place = match victim {
                Victim::Gateway => cluster.running(Role::Gateway)[0],
                Victim::Follower => cluster.follower()?,
                Victim::Leader => cluster.leader()?,
                Victim::Busiest => cluster.busiest()?,
            };
            cluster.kill(place);
            println!("killed node {place} as {victim:?}");
            std::thread::sleep(DEAD);
            cluster.restart(place)?;
            cluster
                .wait_in_order()
                .with_context(|| format!("after {victim:?} was killed"))?;
        }
    }
    Ok(())
}

/// Runs a client's cycle again and again, at least once to its end, until the killing is over.
fn cycles(
    name: &str,
    shared: &Shared,
    mut cycle: impl FnMut(&str) -> anyhow::Result<(String, String)>,
) -> anyhow::Result<()> {
    let mut done = 0;
    while done == 0 || !shared.ends.load(Ordering::SeqCst) {
        let began = Instant::now();
        shared.busy.fetch_add(1, Ordering::SeqCst);
        let outcome = cycle(&format!("{name}/round-{done}"));
        shared.busy.fetch_sub(1, Ordering::SeqCst);
        let pushed = outcome.with_context(|| format!("{name}, cycle {done}"))?;
        shared.pushed.lock().expect("nobody panics").push(pushed);
        ensure!(
            began.elapsed() < CYCLE_MAX,
            "{name} took {:?}",
            began.elapsed()
        );
        done += 1;
    }
    println!("{name}: {done} cycles");
    Ok(())
}

/// Loads a fresh image, pushes it, forgets it and pulls it.
fn docker_cycle(
    bench: &Bench,
    docker: &Program,
    folder: &Path,
    repository: &str,
) -> anyhow::Result<(String, String)> {
    let name = bench.image(&format!("{repository}:v1"));
    let archive = fresh_archive(folder, &name)?;
    docker.run(&["load", "-q", "-i", &archive])?;
    std::fs::remove_file(&archive)?;
    let inspect = ["image", "inspect", "-f", "{{.Id}}", &name];
    let id = docker.run(&inspect)?;
    let said = docker.run(&["push", &name]).context("docker push")?;
    let digest = pushed_digest(&said).to_owned();
    docker.run(&["rmi", "--force", &name])?;
    docker.run(&["pull", "-q", &name]).context("docker pull")?;
    ensure!(
        docker.run(&inspect)? == id,
        "{name} came back with another id"
    );
    docker.run(&["rmi", "--force", &name])?;
    Ok((repository.to_owned(), digest))
}

fn podman_cycle(
    bench: &Bench,
    podman: &Program,
    folder: &Path,
    repository: &str,
) -> anyhow::Result<(String, String)> {
    let name = bench.image(&format!("{repository}:v1"));
    let archive = fresh_archive(folder, &name)?;
    podman.run(&["load", "-q", "-i", &archive])?;
    std::fs::remove_file(&archive)?;
    let inspect = ["image", "inspect", "-f", "{{.Id}}", &name];
    let id = podman.run(&inspect)?;
    let digest_file = text(&folder.join("digest"));
    let push = [
        "push",
        "-q",
        "--tls-verify=false",
        "--digestfile",
        &digest_file,
        &name,
    ];
    again_if_cut("podman's push", || podman.run(&push))?;
    podman.run(&["rmi", "--force", &name])?;
    again_if_cut("podman's pull", || {
        podman.run(&["pull", "-q", "--tls-verify=false", &name])
    })?;
    ensure!(
        podman.run(&inspect)? == id,
        "{name} came back with another id"
    );
    podman.run(&["rmi", "--force", &name])?;
    Ok((
        repository.to_owned(),
        std::fs::read_to_string(&digest_file)?.trim().to_owned(),
    ))
}

fn skopeo_cycle(
    bench: &Bench,
    folder: &Path,
    repository: &str,
) -> anyhow::Result<(String, String)> {
    let work = tempfile::tempdir_in(folder)?;
    let image = Image::fresh(work.path(), LAYERS, LAYER_BYTES)?;
    let name = format!("docker://{}", bench.image(&format!("{repository}:v1")));
    let skopeo = Program::debian("skopeo")?;
    // Its users who want to outlive a cut layer say so; it is not its default.
    let tries = ["--retry-times", "3"];
    again_if_cut("skopeo's push", || {
        skopeo.run(&[
            "copy",
            tries[0],
            tries[1],
            "--dest-tls-verify=false",
            &image.reference(),
            &name,
        ])
    })?;
    let back = work.path().join("back");
    let to = format!("oci:{}:{}", text(&back), image::TAG);
    again_if_cut("skopeo's pull", || {
        skopeo.run(&[
            "copy",
            tries[0],
            tries[1],
            "--src-tls-verify=false",
            &name,
            &to,
        ])
    })?;
    image.ensure_same(&Image::open(&back)?)?;
    Ok((repository.to_owned(), image.digest.clone()))
}

/// A push or pull by podman or skopeo. Unlike docker their library does not begin a layer again that was cut with the node that had it
/// (a 502 from HAProxy, or an unexpected end before 1 MiB had come): then the command is given again, as its user would. Nothing
/// else is.
fn again_if_cut(what: &str, command: impl Fn() -> anyhow::Result<String>) -> anyhow::Result<()> {
    for again in 0..CUTS_MAX {
        match command() {
            Err(error) if CUT.iter().any(|cut| format!("{error:#}").contains(cut)) => {
                println!("{what}: a layer was cut, {} times", again + 1);
            }
            outcome => return outcome.map(drop).with_context(|| what.to_owned()),
        }
    }
    anyhow::bail!("{what} was cut {CUTS_MAX} times")
}

/// A fresh image in the form that `docker load` reads, under this name.
fn fresh_archive(folder: &Path, name: &str) -> anyhow::Result<String> {
    let work = tempfile::tempdir_in(folder)?;
    let image = Image::fresh(work.path(), LAYERS, LAYER_BYTES)?;
    let archive = text(&folder.join("archive.tar"));
    let to = format!("docker-archive:{archive}:{name}");
    Program::debian("skopeo")?.run(&["copy", &image.reference(), &to])?;
    Ok(archive)
}

/// That a manifest and all that it names are there, each with the bytes of its digest.
async fn is_whole(bench: &Bench, repository: &str, digest: &str) -> anyhow::Result<()> {
    let get = bench
        .http
        .get(&format!("/v2/{repository}/manifests/{digest}"));
    let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    let manifest = get.header("Accept", accept).send().await?.expect(200)?;
    ensure!(
        harness::client::sha256(&manifest.body) == digest,
        "other bytes"
    );
    let manifest = manifest.json()?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for descriptor in layers.chain([&manifest["config"]]) {
        let digest = descriptor["digest"].as_str().context("no digest")?;
        let get = bench.http.get(&format!("/v2/{repository}/blobs/{digest}"));
        let blob = get.send().await?.expect(200)?;
        ensure!(
            harness::client::sha256(&blob.body) == digest,
            "{digest} has other bytes"
        );
    }
    Ok(())
}
