//! An S3-compatible server: Garage, one node, one bucket, one key.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::{Process, ports, tools};

const START_MAX: Duration = Duration::from_secs(60);

/// Somebody may take a free port before Garage does.
const TRIES: usize = 3;

/// A running Garage with a bucket that its key may read, write and own. Ends, and takes its folder along, when dropped.
pub struct GarageServer {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// The region that its signatures name.
    pub region: String,
    /// The key's id.
    pub access_key: String,
    /// The key's secret.
    pub secret_key: String,
    /// The bucket.
    pub bucket: String,
    process: Process,
    /// Held for its drop, after the process's.
    _folder: tempfile::TempDir,
}

impl GarageServer {
    /// Starts it on free ports in a folder of its own, and waits until its bucket is there.
    pub fn start() -> anyhow::Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start() {
                Err(_) if tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    fn try_start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("garage-").tempdir()?;
        let [rpc, s3] = ports::free()?;
        let path = folder.path().display();
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let config = format!(
            "metadata_dir = \"{path}/meta\"\ndata_dir = \"{path}/data\"\ndb_engine = \"lmdb\"\n\
             replication_factor = 1\nrpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
             rpc_secret = \"{secret}\"\n\
             [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{s3}\"\n"
        );
        let file = folder.path().join("garage.toml");
        std::fs::write(&file, config)?;
        let access_key = format!("GK{}", hex::encode(rand::random::<[u8; 12]>()));
        let secret_key = hex::encode(rand::random::<[u8; 32]>());
        let bucket = "holdfast-test".to_owned();
        let mut command = Command::new(tools::find("garage")?);
        command
            .arg("-c")
            .arg(&file)
            .args(["server", "--single-node", "--default-bucket"]);
        command
            .env("GARAGE_DEFAULT_ACCESS_KEY", &access_key)
            .env("GARAGE_DEFAULT_SECRET_KEY", &secret_key);
        command
            .env("GARAGE_DEFAULT_BUCKET", &bucket)
            .env("RUST_LOG", "garage=info");
        let mut process = Process::start("garage", &mut command)?;
        // The layout, the key and the bucket are made before the S3 port opens.
        process.wait_until("the S3 port", START_MAX, || {
            TcpStream::connect(("127.0.0.1", s3)).is_ok()
        })?;
        Ok(Self {
            endpoint: format!("http://127.0.0.1:{s3}"),
            region: "garage".to_owned(),
            access_key,
            secret_key,
            bucket,
            process,
            _folder: folder,
        })
    }

    /// Its process, for signals: a store that is stopped or killed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
