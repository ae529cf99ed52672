//! What `holdfast up` may be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::s3_place::S3Place;

/// The most members; more than seven make a group slower and no safer.
const MEMBERS_MAX: i64 = 7;

/// The most gateways, so that a slip of the finger does not fill the machine.
const GATEWAYS_MAX: i64 = 32;

/// What is started.
#[derive(Debug, Args)]
pub struct UpArguments {
    // Not a comment for rustdoc, which takes the second address for a link.
    #[arg(
        long,
        value_name = "ADDR:PORT",
        help = "An address that clients use; may be repeated [default: 127.0.0.1:5000 and [::1]:5000]"
    )]
    pub listen: Vec<SocketAddr>,
    /// Listens without TLS where other machines reach it
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Has rights asked for, from now on in every run; the first one makes the user `admin` and prints its password
    #[arg(long)]
    pub access: bool,
    /// Listens where other machines reach it while nobody's rights are asked for
    #[arg(long)]
    pub allow_open: bool,
    /// Has the nodes share login sessions and counts in this Redis: redis://HOST:PORT, or rediss:// with TLS
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// The folder of all nodes, their logs and their shared blobs; a second run goes on with it
    #[arg(long, value_name = "DIR", default_value = "holdfast-up")]
    pub data: PathBuf,
    /// How many members: they hold the metadata, and serve [default: 3, or as many as there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MEMBERS_MAX))]
    pub nodes: Option<u8>,
    /// How many gateways: they only serve [default: 0, or as many as there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=GATEWAYS_MAX))]
    pub gateways: Option<u8>,
    /// Keeps blobs in object storage: s3://BUCKET/PREFIX or http://HOST:PORT/BUCKET/PREFIX
    ///
    /// Keeps blobs in object storage instead of a folder: s3://BUCKET/PREFIX for AWS, http://HOST:PORT/BUCKET/PREFIX or
    /// https://… for another service, with ?region=REGION where it is needed. Credentials come from where they always do,
    /// such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; HOLDFAST_STORAGE_S3_… variables set the rest.
    #[arg(long, value_name = "URL")]
    pub s3: Option<S3Place>,
    /// Prints a line of JSON for each process that is ready, ends, or is started again
    ///
    /// Prints a line of JSON for each process that is ready, ends, or is started again. Takes the lines `start NAME` and
    /// `kill NAME` from standard input.
    #[arg(long)]
    pub json: bool,
}
