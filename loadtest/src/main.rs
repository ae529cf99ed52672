//! `holdfast-load`: load for a container registry, any registry, with each byte checked.
//!
//! Closed loop: each of `--concurrency` workers has one connection and sends its next request when the last one is
//! answered. It tells how many operations were done, how long they took, the longest gap in which none of a kind
//! was answered, and every failure. It ends by itself, after `--duration` or `--count`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use holdfast_load::client::{Target, TargetOptions};
use holdfast_load::image::Shape;
use holdfast_load::push::UploadPath;
use holdfast_load::run::Bounds;
use holdfast_load::{manifest, mixed, pull, push, tokens};

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
        /// Show the tokens of this file in turn, one a line, with each read.
        #[arg(long, value_name = "FILE")]
        tokens: Option<PathBuf>,
    },
    /// Ask for tokens by docker's token flow, each time a new one.
    Token {
        #[command(flatten)]
        common: Common,
        /// The service that they are for, as the registry's challenge names it.
        #[arg(long, default_value = "holdfast")]
        service: String,
        /// What they are good for; pulls of `--repository` if it is not given.
        #[arg(long)]
        scope: Option<String>,
        /// Where they go, one a line.
        #[arg(long, value_name = "FILE")]
        into: Option<PathBuf>,
    },
    /// Write and read without pause, and tell each time in which nothing was answered.
    ///
    /// For what is done to a cluster meanwhile. Ends after `--duration`, or at SIGTERM or Ctrl-C; then reads back
    /// everything that was acknowledged.
    Mixed {
        #[command(flatten)]
        reach: Reach,
        /// How many write, each with one connection and one tag.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        writers: u32,
        /// How many read, each with one connection.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        readers: u32,
        /// Bytes of a blob.
        #[arg(long, default_value_t = 4096)]
        blob_size: u64,
        /// Do not read back what was acknowledged after the run.
        #[arg(long)]
        no_read_back: bool,
    },
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    reach: Reach,
    /// How many workers, each with one connection.
    #[arg(long, short, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
    /// How many operations at most.
    #[arg(long, short = 'n')]
    count: Option<u64>,
    /// Makes the same content again; by default each run makes new content.
    #[arg(long)]
    seed: Option<u64>,
}

/// Where the registry is, and how long it is used.
#[derive(Args)]
struct Reach {
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
    /// How long to go on, unless `--count` ends it first.
    #[arg(long, short, default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// The longest that one request may take.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Common {
    fn bounds(&self) -> Bounds {
        Bounds {
            concurrency: self.concurrency,
            duration: self.reach.duration,
            count: self.count,
            quiet: self.reach.json,
        }
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(rand::random)
    }
}

impl Reach {
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
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(error) => {
            eprintln!("holdfast-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it, prints the report, and gives how much has failed.
async fn execute(command: Command) -> anyhow::Result<u64> {
    let (report, json) = match command {
        Command::Push {
            common,
            shape,
            upload,
            no_read_back,
        } => {
            let plan = push::Plan {
                target: common.reach.target()?,
                repository: common.reach.repository.clone(),
                shape,
                upload,
                seed: common.seed(),
                read_back: !no_read_back,
            };
            (push::run(plan, common.bounds()).await?, common.reach.json)
        }
        Command::Pull {
            common,
            shape,
            images,
        } => {
            let plan = pull::Plan {
                target: common.reach.target()?,
                repository: common.reach.repository.clone(),
                shape,
                images,
                seed: common.seed(),
            };
            (pull::run(plan, common.bounds()).await?, common.reach.json)
        }
        Command::Manifest {
            common,
            tags,
            tokens: shown,
        } => {
            let shown = shown.as_deref().map(tokens::read).transpose()?;
            let plan = manifest::Plan {
                target: common.reach.target()?,
                repository: common.reach.repository.clone(),
                tags,
                seed: common.seed(),
                tokens: shown.unwrap_or_default(),
            };
            (
                manifest::run(plan, common.bounds()).await?,
                common.reach.json,
            )
        }
        Command::Token {
            common,
            service,
            scope,
            into,
        } => {
            let repository = &common.reach.repository;
            let plan = tokens::Plan {
                target: common.reach.target()?,
                service,
                scope: scope.unwrap_or_else(|| format!("repository:{repository}:pull")),
                into,
            };
            (tokens::run(plan, common.bounds()).await?, common.reach.json)
        }
        Command::Mixed {
            reach,
            writers,
            readers,
            blob_size,
            no_read_back,
        } => {
            let plan = mixed::Plan {
                target: reach.target()?,
                repository: reach.repository.clone(),
                writers,
                readers,
                blob_size,
                duration: reach.duration,
                read_back: !no_read_back,
            };
            let report = mixed::run(plan).await?;
            match reach.json {
                // One line, for who started it and reads its output line by line.
                true => println!("{}", serde_json::to_string(&report)?),
                false => println!("{}", report.text()),
            }
            return Ok(report.failures());
        }
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    Ok(report.failures())
}
