//! A kill at every named step of push, mount, delete, sweep and snapshot, as `holdfast steps` lists them: after the
//! restart everything acknowledged is there, and the interrupted work can be finished.
//!
//! A step that no operation here reaches fails the test: it would be a step without a test.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use faults::operation::manifest;
use faults::{Content, Operation, Step, Worker};
use futures::StreamExt as _;
use harness::{GarageServer, HoldfastServer, holdfast, tools};

/// How many steps are tried at once; each has its own server.
const AT_ONCE: usize = 3;

/// The sweep runs each second here.
const SWEEP_MAX: Duration = Duration::from_secs(10);

/// So many manifests fill several log segments and cause several snapshots.
const FILLERS: u64 = 700;

const REPOSITORY: &str = "faults/steps";

#[tokio::test(flavor = "multi_thread")]
async fn every_step_may_be_the_last_one() {
    let listed = tools::run(Command::new(holdfast::program().unwrap()).arg("steps")).unwrap();
    let steps: Vec<&str> = listed.lines().collect();
    assert!(
        steps.len() > 20,
        "too few steps: is this a build with fail points?\n{listed}"
    );
    let tried =
        futures::stream::iter(steps).map(|step| async move { (step, crash_at(step).await) });
    let tried: Vec<_> = tried.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<String> = tried
        .into_iter()
        .filter_map(|(step, outcome)| Some(format!("{step}: {:#}", outcome.err()?)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Starts a server that ends at the step, works until it does, starts it again and finishes the work.
async fn crash_at(step: &str) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("steps-").tempdir()?;
    let data = folder.path().join("data");
    let mut worker = Worker::default();
    let mut left = script();
    // Its steps are only passed with an object store behind the server.
    let garage = step
        .starts_with("blobs::s3")
        .then(GarageServer::start)
        .transpose()?;
    let garage = garage.as_ref();
    match start(&data, garage, Some(step)) {
        Ok(mut server) => {
            let ended = run_until_dead(&mut server, &mut worker, &mut left).await?;
            ensure!(ended, "nothing in this test reaches the step");
        }
        Err(error) if format!("{error:#}").contains("SIGKILL") => {}
        Err(error) => return Err(error),
    }
    let server = start(&data, garage, None).context("after the crash")?;
    let client = server.client();
    if let Some(again) = worker.settle(&client).await? {
        left.insert(0, again);
    }
    worker
        .ledger
        .verify(&client)
        .await
        .context("right after the crash")?;
    for operation in left {
        let step = worker
            .run(&client, operation.clone())
            .await
            .context("after the crash")?;
        ensure!(
            step == Step::Acknowledged,
            "the server died again in {operation:?}"
        );
    }
    worker
        .ledger
        .verify(&client)
        .await
        .context("when all was done")
}

fn start(
    data: &Path,
    garage: Option<&GarageServer>,
    step: Option<&str>,
) -> anyhow::Result<HoldfastServer> {
    let settings = [
        ("HOLDFAST_METADATA_SNAPSHOT_AFTER", "1MiB"),
        ("HOLDFAST_UPLOADS_CHECKPOINT_EVERY_PARTS", "1"),
        ("HOLDFAST_UPLOADS_PART_SIZE", "5MiB"),
        ("HOLDFAST_UPLOADS_SWEEP_INTERVAL", "1s"),
    ];
    let store = garage.map(|garage| {
        [
            ("HOLDFAST_STORAGE_KIND", "s3"),
            ("HOLDFAST_STORAGE_S3_ENDPOINT", &garage.endpoint),
            ("HOLDFAST_STORAGE_S3_REGION", &garage.region),
            ("HOLDFAST_STORAGE_S3_BUCKET", &garage.bucket),
            ("HOLDFAST_STORAGE_S3_ACCESS_KEY_ID", &garage.access_key),
            ("HOLDFAST_STORAGE_S3_SECRET_ACCESS_KEY", &garage.secret_key),
        ]
    });
    let step = step.map(|step| ("HOLDFAST_CRASH_AT", step));
    let set = |server: holdfast::Builder, (name, value): (&str, &str)| server.env(name, value);
    let all = settings
        .into_iter()
        .chain(store.into_iter().flatten())
        .chain(step);
    all.fold(HoldfastServer::with().data(data), set).start()
}

/// Whether the server died. What was acknowledged leaves `left`.
async fn run_until_dead(
    server: &mut HoldfastServer,
    worker: &mut Worker,
    left: &mut Vec<Operation>,
) -> anyhow::Result<bool> {
    let client = server.client();
    while !left.is_empty() {
        if worker.run(&client, left.remove(0)).await? == Step::Interrupted {
            return killed(server);
        }
    }
    // What runs by itself: the sweep.
    if server.process().wait(SWEEP_MAX).is_ok() {
        return killed(server);
    }
    // What needs much to be written: segments and snapshots.
    let (config, layer) = base();
    for number in 0..FILLERS {
        let payload = manifest(&config, &layer, &format!("{number} {}", "x".repeat(14_000)));
        let filler = Operation::PutManifest {
            repository: REPOSITORY.into(),
            tag: format!("filler-{number}"),
            payload,
        };
        if worker.run(&client, filler).await? == Step::Interrupted {
            return killed(server);
        }
    }
    Ok(server.process().wait(Duration::from_secs(5)).is_ok())
}

/// That it ended as it should: by its own SIGKILL, and not by a panic.
fn killed(server: &mut HoldfastServer) -> anyhow::Result<bool> {
    let status = server.process().wait(Duration::from_secs(20))?;
    if !status.to_string().contains("SIGKILL") {
        bail!(
            "the server ended with {status}: {}",
            server.process().said()
        );
    }
    Ok(true)
}

fn base() -> (Content, Content) {
    (Content::new(1, 700), Content::new(2, 30_000))
}

/// Every kind of operation, with blobs of several parts and manifests on both sides of the inline limit.
fn script() -> Vec<Operation> {
    let (config, layer) = base();
    let (large, cancelled, loose) = (
        Content::new(3, 52 << 20),
        Content::new(4, 13 << 20),
        Content::new(5, 999),
    );
    let repository = REPOSITORY.to_owned();
    let small = manifest(&config, &layer, "small");
    let big = manifest(&config, &large, &"x".repeat(30_000));
    let put = |tag: &str, payload: &str| Operation::PutManifest {
        repository: REPOSITORY.into(),
        tag: tag.into(),
        payload: payload.into(),
    };
    vec![
        Operation::PushBlob {
            repository: repository.clone(),
            content: config,
        },
        Operation::PushBlob {
            repository: repository.clone(),
            content: layer,
        },
        Operation::PushBlob {
            repository: repository.clone(),
            content: loose,
        },
        Operation::Open {
            repository: repository.clone(),
            content: large,
        },
        Operation::Write { to: 12 << 20 },
        Operation::Write { to: 51 << 20 },
        Operation::Close,
        put("small", &small),
        put("other", &small),
        put("big", &big),
        put("moved", &small),
        put("moved", &big),
        Operation::Mount {
            from: repository.clone(),
            repository: "faults/mounted".into(),
            digest: layer.digest(),
        },
        Operation::Open {
            repository: repository.clone(),
            content: cancelled,
        },
        Operation::Write { to: 12 << 20 },
        Operation::Cancel,
        Operation::DeleteTag {
            repository: repository.clone(),
            tag: "other".into(),
        },
        Operation::DeleteManifest {
            repository: repository.clone(),
            digest: harness::client::sha256(small.as_bytes()),
        },
        Operation::DeleteBlob {
            repository,
            digest: loose.digest(),
        },
    ]
}
