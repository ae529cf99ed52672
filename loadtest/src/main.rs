//! `holdfast-load`: load for a container registry, any registry, with each byte checked.
//!
//! Closed loop: each of `--concurrency` workers has one connection and sends its next request when the last one is
//! answered. It tells how many operations were done, how long they took, the longest gap in which none of a kind
//! was answered, and every failure. It ends by itself, after `--duration` or `--count`.

mod client;
mod image;
mod layer;
mod manifest;
mod pull;
mod push;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use client::{Target, TargetOptions};
use image::Shape;
use push::UploadPath;
use run::Bounds;

/// Load for a container registry: closed loop, each byte checked.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Push images that nobody has pushed before, then read every one back.
    Push {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        shape: Shape,
        /// The requests that bring a blob.
        #[arg(long, value_enum, default_value_t = UploadPath::Docker)]
        upload: UploadPath,
        /// Do not read the images back after the run.
        #[arg(long)]
        no_read_back: bool,
    },
    /// Push some images, then pull them again and again: manifest, config and layers.
    Pull {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        shape: Shape,
        /// How many images to pull from.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        images: u32,
    },
    /// Push many tags, then read manifests by tag, in random order.
    Manifest {
        #[command(flatten)]
        common: Common,
        /// How many tags to read from.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        tags: u32,
    },
}

#[derive(Args)]
struct Common {
    /// Where the registry is: `http://HOST:PORT` or `https://HOST:PORT`.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: url::Url,
    /// Trust this certificate authority (PEM) beside the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Log in with `NAME:PASSWORD`; better from the environment than from the command line.
    #[arg(
        long,
        env = "HOLDFAST_LOAD_USER",
        hide_env_values = true,
        value_name = "NAME:PASSWORD"
    )]
    user: Option<String>,
    /// Repositories are made below this name.
    #[arg(long, default_value = "load")]
    repository: String,
    /// How many workers, each with one connection.
    #[arg(long, short, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
    /// How long to go on, unless `--count` ends it first.
    #[arg(long, short, default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How many operations at most.
    #[arg(long, short = 'n')]
    count: Option<u64>,
    /// The longest that one request may take.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Makes the same content again; by default each run makes new content.
    #[arg(long)]
    seed: Option<u64>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Common {
    fn bounds(&self) -> Bounds {
        Bounds {
            concurrency: self.concurrency,
            duration: self.duration,
            count: self.count,
            quiet: self.json,
        }
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(rand::random)
    }

    fn target(&self) -> anyhow::Result<Arc<Target>> {
        Ok(Arc::new(Target::new(TargetOptions {
            url: &self.url,
            ca_file: self.ca_file.as_deref(),
            user: self.user.as_deref(),
            timeout: self.timeout,
        })?))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match execute(Cli::parse().command).await {
        Ok(report) if report.failures() == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(error) => {
            eprintln!("holdfast-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> anyhow::Result<report::Report> {
    let (report, json) = match command {
        Command::Push {
            common,
            shape,
            upload,
            no_read_back,
        } => {
            let plan = push::Plan {
                target: common.target()?,
                repository: common.repository.clone(),
                shape,
                upload,
                seed: common.seed(),
                read_back: !no_read_back,
            };
            (push::run(plan, common.bounds()).await?, common.json)
        }
        Command::Pull {
            common,
            shape,
            images,
        } => {
            let plan = pull::Plan {
                target: common.target()?,
                repository: common.repository.clone(),
                shape,
                images,
                seed: common.seed(),
            };
            (pull::run(plan, common.bounds()).await?, common.json)
        }
        Command::Manifest { common, tags } => {
            let plan = manifest::Plan {
                target: common.target()?,
                repository: common.repository.clone(),
                tags,
                seed: common.seed(),
            };
            (manifest::run(plan, common.bounds()).await?, common.json)
        }
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    Ok(report)
}
