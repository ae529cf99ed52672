//! `holdfast-chaos`: clients without pause, faults by schedule, and proof at the end, for anybody's cluster.
//!
//! It ends with 1 if a promise broke, and with 2 if it could not find out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use holdfast_load::chaos::{Chaos, Plan, Schedule};
use holdfast_load::client::{Target, TargetOptions};

/// Clients of a cluster without pause, faults by schedule, and proof at the end that nothing was lost.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// The balancer: `http://HOST:PORT` or `https://HOST:PORT`
    #[arg(long)]
    url: url::Url,
    /// A node by itself, for pulls through every node; may be repeated
    #[arg(long = "node", value_name = "URL")]
    nodes: Vec<url::Url>,
    /// What is done to the cluster, and how (TOML); without it nothing is
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// How long
    #[arg(long, short, default_value = "10m", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Where `report.html` and `report.json` are written
    #[arg(long, value_name = "FOLDER", default_value = "holdfast-chaos")]
    report: PathBuf,
    /// A command of another program that is run again and again, such as a push and a pull by docker; may be repeated
    #[arg(long = "also", value_name = "COMMAND")]
    programs: Vec<String>,
    /// The longest time without an answer that is no breach
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    gap_max: Duration,
    /// Repeats the choices of a run
    #[arg(long)]
    seed: Option<u64>,
    /// Trust this certificate authority (PEM) beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Log in with `NAME:PASSWORD`; better from the environment than from the command line
    #[arg(
        long,
        env = "HOLDFAST_LOAD_USER",
        hide_env_values = true,
        value_name = "NAME:PASSWORD"
    )]
    user: Option<String>,
    /// Repositories are made below this name, in one for each run
    #[arg(long, default_value = "chaos")]
    repository: String,
    /// How many push images
    #[arg(long, default_value_t = 4)]
    pushers: u32,
    /// How many pull images
    #[arg(long, default_value_t = 4)]
    pullers: u32,
    /// How many push, read, swap and delete tags
    #[arg(long, default_value_t = 8)]
    taggers: u32,
    /// On how many tags at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    tags: u32,
    /// How many write uploads piece by piece, over all nodes
    #[arg(long, default_value_t = 4)]
    uploaders: u32,
    /// The longest that one request may take
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("holdfast-chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every promise was kept.
async fn run(cli: Cli) -> anyhow::Result<bool> {
    let target = |url: &url::Url| {
        let options = TargetOptions {
            url,
            ca_file: cli.ca_file.as_deref(),
            user: cli.user.as_deref(),
            timeout: cli.timeout,
        };
        anyhow::Ok(Arc::new(Target::new(options)?))
    };
    let node = |url: &url::Url| anyhow::Ok((url.to_string(), target(url)?));
    let schedule = match &cli.faults {
        None => None,
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            Some(Schedule::parse(&text).with_context(|| file.display().to_string())?)
        }
    };
    let seed = cli.seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}: `--seed {seed}` repeats the choices of this run");
    let chaos = Chaos::start(Plan {
        front: target(&cli.url)?,
        nodes: cli.nodes.iter().map(node).collect::<anyhow::Result<_>>()?,
        repository: format!("{}/run-{:08x}", cli.repository, rand::random::<u32>()),
        pushers: cli.pushers,
        pullers: cli.pullers,
        taggers: cli.taggers,
        tags: cli.tags,
        uploaders: cli.uploaders,
        programs: cli.programs.clone(),
        seed,
        gap_max: cli.gap_max,
    })
    .await?;
    let until = Instant::now() + cli.duration;
    let done = match &schedule {
        Some(schedule) => schedule.carry_out(&chaos.timeline(), seed, until).await,
        None => Ok(()),
    };
    if done.is_ok() {
        tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
    }
    eprintln!("the clients end; everything acknowledged is pulled, and every history checked");
    let report = chaos.end().await?;
    report.write(&cli.report)?;
    print!("{}", report.text());
    println!(
        "the whole of it: {}",
        cli.report.join("report.html").display()
    );
    done.context("the schedule could not be carried out")?;
    Ok(report.is_good())
}
