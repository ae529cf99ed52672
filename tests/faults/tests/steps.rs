//! A kill at every named step of push, mount, delete, sweep, log and snapshot, as `holdfast steps` lists them: after the
//! restart everything acknowledged is there, and the interrupted work can be finished.
//!
//! A step that nothing here reaches fails the test: it would be a step without a test. The steps share their servers'
//! folders, so that each death is met by what the earlier ones left.

use std::collections::VecDeque;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use faults::operation::manifest;
use faults::{Content, Operation, Step, Worker};
use harness::{GarageServer, HoldfastServer, holdfast, tools};

/// The sweep runs each second here.
const SWEEP_MAX: Duration = Duration::from_secs(20);

/// Between a step's signal and the end of the process.
const DEATH_MAX: Duration = Duration::from_secs(20);

const REPOSITORY: &str = "faults/steps";

const MIB: usize = 1 << 20;

/// What a family of steps needs to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Every kind of operation, on a folder.
    Folder,
    /// The same on an object store.
    ObjectStore,
    /// Much log: segments fill, snapshots are made, and what they cover is purged.
    Log,
    /// A new folder each: the only member of a group votes once, when it first starts.
    FirstStart,
}

impl Family {
    const ALL: [Self; 4] = [Self::Folder, Self::ObjectStore, Self::Log, Self::FirstStart];

    fn of(step: &str) -> Self {
        match step {
            _ if step.starts_with("blobs::s3_") => Self::ObjectStore,
            _ if step.starts_with("metadata.vote.") => Self::FirstStart,
            _ if step.starts_with("metadata.") => Self::Log,
            _ => Self::Folder,
        }
    }

    /// After so many operations a step is given up as one that nothing reaches.
    fn operations_max(self) -> usize {
        match self {
            // Two rounds of the script.
            Self::Folder | Self::ObjectStore | Self::FirstStart => 50,
            // The log keeps 1,000 entries that a snapshot covers, and gives back whole segments of 8 MiB.
            Self::Log => 3_500,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_may_be_the_last_one() {
    let listed = tools::run(Command::new(holdfast::program().unwrap()).arg("steps")).unwrap();
    // Those of a move have a test of their own, `moves`.
    let is_of_a_move = |step: &&str| step.starts_with("registry::move::");
    let steps: Vec<&str> = listed.lines().filter(|step| !is_of_a_move(step)).collect();
    assert!(
        steps.len() > 20,
        "too few steps: is this a build with fail points?\n{listed}"
    );
    let tried = Family::ALL.map(|family| {
        let mine: Vec<&str> = steps
            .iter()
            .copied()
            .filter(|step| Family::of(step) == family)
            .collect();
        async move {
            crash_at_each(family, &mine)
                .await
                .with_context(|| format!("{family:?}"))
        }
    });
    let (mut passed, mut failed) = (0, Vec::new());
    for outcome in futures::future::join_all(tried).await {
        match outcome {
            Ok(count) => passed += count,
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert_eq!(passed, steps.len(), "a step was left out");
    println!("{passed} steps, each was the last one once");
}

/// Dies at each of the steps, one after the other; gives how many those were.
async fn crash_at_each(family: Family, steps: &[&str]) -> anyhow::Result<usize> {
    let mut trial = Trial::new(family)?;
    let mut unreached = Vec::new();
    for step in steps {
        let reached = trial
            .crash_at(step)
            .await
            .with_context(|| format!("at {step}"))?;
        if !reached {
            unreached.push(*step);
        }
        if family == Family::FirstStart {
            trial.finish().await.context("when all was done")?;
            trial = Trial::new(family)?;
        }
    }
    ensure!(
        unreached.is_empty(),
        "nothing in this test reaches {unreached:?}"
    );
    trial.finish().await.context("when all was done")?;
    Ok(steps.len())
}

/// A data folder with everything that was acknowledged about it, across the deaths of its servers.
struct Trial {
    family: Family,
    folder: tempfile::TempDir,
    garage: Option<GarageServer>,
    worker: Worker,
    /// What is to be done next.
    to_do: VecDeque<Operation>,
    /// How often the script was begun.
    rounds: u64,
}

impl Trial {
    fn new(family: Family) -> anyhow::Result<Self> {
        let garage = (family == Family::ObjectStore).then(GarageServer::start);
        Ok(Self {
            family,
            folder: tempfile::Builder::new().prefix("steps-").tempdir()?,
            garage: garage.transpose()?,
            worker: Worker::default(),
            to_do: VecDeque::new(),
            rounds: 0,
        })
    }

    /// Starts a server that ends at the step, works until it does, and looks at what a restart finds. False when the
    /// step was not reached.
    async fn crash_at(&mut self, step: &str) -> anyhow::Result<bool> {
        let reached = match self.start(Some(step)) {
            Ok(mut server) => self.run_until_dead(&mut server).await?,
            // The step is one of those that a start passes.
            Err(error) if format!("{error:#}").contains("SIGKILL") => true,
            Err(error) => return Err(error),
        };
        let server = self.start(None).context("after the crash")?;
        let client = server.client();
        if let Some(again) = self.worker.settle(&client).await? {
            self.to_do.push_front(again);
        }
        let verified = self.worker.ledger.verify(&client).await;
        verified.context("right after the crash")?;
        Ok(reached)
    }

    /// Finishes what was begun, does every kind of operation once more, and looks at everything.
    async fn finish(mut self) -> anyhow::Result<()> {
        self.to_do.extend(script(self.rounds));
        let server = self.start(None)?;
        let client = server.client();
        while let Some(operation) = self.to_do.pop_front() {
            let step = self.worker.run(&client, operation.clone()).await?;
            ensure!(
                step == Step::Acknowledged,
                "the server died in {operation:?}"
            );
        }
        self.worker.ledger.verify(&client).await
    }

    /// Whether the server died.
    async fn run_until_dead(&mut self, server: &mut HoldfastServer) -> anyhow::Result<bool> {
        let client = server.client();
        for _ in 0..self.family.operations_max() {
            let operation = self.next();
            if self.worker.run(&client, operation).await? == Step::Interrupted {
                let status = server.process().wait(DEATH_MAX)?;
                return killed(server, status);
            }
        }
        // What runs by itself: the sweep.
        match server.process().wait(SWEEP_MAX) {
            Ok(status) => killed(server, status),
            Err(_) => Ok(false),
        }
    }

    fn next(&mut self) -> Operation {
        loop {
            if let Some(operation) = self.to_do.pop_front() {
                return operation;
            }
            self.to_do = match self.family {
                Family::Folder | Family::ObjectStore | Family::FirstStart => {
                    script(self.rounds).into()
                }
                Family::Log => log_filler(self.rounds).into(),
            };
            self.rounds += 1;
        }
    }

    fn start(&self, step: Option<&str>) -> anyhow::Result<HoldfastServer> {
        let mut server = HoldfastServer::with()
            .data(self.folder.path().join("data"))
            .env("HOLDFAST_METADATA_SNAPSHOT_AFTER", "1MiB")
            .env("HOLDFAST_UPLOADS_CHECKPOINT_EVERY_PARTS", "1")
            .env("HOLDFAST_UPLOADS_PART_SIZE", "5MiB")
            .env("HOLDFAST_UPLOADS_SWEEP_INTERVAL", "1s");
        if let Some(garage) = &self.garage {
            server = server
                .env("HOLDFAST_STORAGE_KIND", "s3")
                .env("HOLDFAST_STORAGE_S3_ENDPOINT", &garage.endpoint)
                .env("HOLDFAST_STORAGE_S3_REGION", &garage.region)
                .env("HOLDFAST_STORAGE_S3_BUCKET", &garage.bucket)
                .env("HOLDFAST_STORAGE_S3_ACCESS_KEY_ID", &garage.access_key)
                .env("HOLDFAST_STORAGE_S3_SECRET_ACCESS_KEY", &garage.secret_key);
        }
        if let Some(step) = step {
            server = server.env("HOLDFAST_CRASH_AT", format!("{step}:{}", pass_of(step)));
        }
        server.start()
    }
}

/// The how manieth pass of a step kills. A start passes some of them a few times, and a push is to be hit.
fn pass_of(step: &str) -> u32 {
    let often = ["metadata.append.", "metadata.apply."];
    if often.iter().any(|start| step.starts_with(start)) {
        12
    } else {
        1
    }
}

/// That it ended as it should: by its own SIGKILL, and not by a panic.
fn killed(server: &mut HoldfastServer, status: std::process::ExitStatus) -> anyhow::Result<bool> {
    if !status.to_string().contains("SIGKILL") {
        bail!(
            "the server ended with {status}: {}",
            server.process().said()
        );
    }
    Ok(true)
}

fn push(content: Content) -> Operation {
    Operation::PushBlob {
        repository: REPOSITORY.into(),
        content,
    }
}

fn put(tag: &str, payload: String) -> Operation {
    Operation::PutManifest {
        repository: REPOSITORY.into(),
        tag: tag.into(),
        payload,
    }
}

/// Manifests just below the size that the log takes whole; 75 cause a snapshot and 600 fill a segment.
fn log_filler(round: u64) -> Vec<Operation> {
    let (config, layer) = (Content::new(1, 700), Content::new(2, 30_000));
    if round == 0 {
        return vec![push(config), push(layer)];
    }
    let payload = manifest(&config, &layer, &format!("{round} {}", "x".repeat(14_000)));
    vec![put(&format!("filler-{}", round % 20), payload)]
}

/// Every kind of operation, with blobs of several parts and manifests on both sides of the inline limit. The blobs are
/// other ones in each round, and the large ones go at its end.
fn script(round: u64) -> Vec<Operation> {
    let content = |number: u64, size| Content::new(8 * round + number, size);
    let (config, layer, loose) = (content(1, 700), content(2, 30_000), content(3, 999));
    // The second request on it stores three parts: a checkpoint comes once two are on their way.
    let (large, cancelled) = (content(4, 22 * MIB), content(5, 7 * MIB));
    let repository = REPOSITORY.to_owned();
    let small = manifest(&config, &layer, "small");
    let big = manifest(&config, &large, &"x".repeat(30_000));
    let digest_of = |payload: &str| harness::client::sha256(payload.as_bytes());
    let open = |content| Operation::Open {
        repository: REPOSITORY.into(),
        content,
    };
    let delete_manifest = |payload: &str| Operation::DeleteManifest {
        repository: REPOSITORY.into(),
        digest: digest_of(payload),
    };
    let delete_blob = |content: Content| Operation::DeleteBlob {
        repository: REPOSITORY.into(),
        digest: content.digest(),
    };
    vec![
        push(config),
        push(layer),
        push(loose),
        open(large),
        Operation::Write { to: 6 * MIB },
        Operation::Write { to: 21 * MIB },
        Operation::Close,
        put("small", small.clone()),
        put("other", small.clone()),
        put("big", big.clone()),
        put("moved", small.clone()),
        put("moved", big.clone()),
        Operation::Mount {
            from: repository.clone(),
            repository: "faults/mounted".into(),
            digest: layer.digest(),
        },
        open(cancelled),
        Operation::Write { to: 6 * MIB },
        Operation::Cancel,
        Operation::DeleteTag {
            repository,
            tag: "other".into(),
        },
        delete_manifest(&small),
        delete_manifest(&big),
        delete_blob(loose),
        delete_blob(large),
    ]
}
