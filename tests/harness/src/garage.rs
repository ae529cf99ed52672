//! An S3-compatible server: Garage, one node, one bucket, one key.

use std::net::TcpStream;
use std::path::Path;
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
    /// `HOST:PORT` of the S3 interface.
    address: String,
    /// Held for its drop, after the process's.
    folder: tempfile::TempDir,
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
        // Its own address, so that its ports are still free when it is started again.
        let host = ports::own_address();
        let [rpc, s3] = ports::free_at(host)?;
        let path = folder.path().display();
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let config = format!(
            "metadata_dir = \"{path}/meta\"\ndata_dir = \"{path}/data\"\ndb_engine = \"lmdb\"\n\
             replication_factor = 1\nrpc_bind_addr = \"{host}:{rpc}\"\nrpc_public_addr = \"{host}:{rpc}\"\n\
             rpc_secret = \"{secret}\"\n\
             [s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"{host}:{s3}\"\n"
        );
        std::fs::write(folder.path().join("garage.toml"), config)?;
        let access_key = format!("GK{}", hex::encode(rand::random::<[u8; 12]>()));
        let secret_key = hex::encode(rand::random::<[u8; 32]>());
        let bucket = "holdfast-test".to_owned();
        let address = format!("{host}:{s3}");
        let process = spawn(folder.path(), &address, [&access_key, &secret_key, &bucket])?;
        Ok(Self {
            endpoint: format!("http://{address}"),
            region: "garage".to_owned(),
            access_key,
            secret_key,
            bucket,
            process,
            address,
            folder,
        })
    }

    /// The environment that puts a Holdfast's blobs into it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let settings = [
            ("KIND", "s3"),
            ("S3_ENDPOINT", &self.endpoint),
            ("S3_REGION", &self.region),
            ("S3_BUCKET", &self.bucket),
            ("S3_PATH_STYLE", "true"),
            ("S3_ACCESS_KEY_ID", &self.access_key),
            ("S3_SECRET_ACCESS_KEY", &self.secret_key),
        ];
        let variable =
            |(name, value): (&str, &str)| (format!("HOLDFAST_STORAGE_{name}"), value.to_owned());
        settings.map(variable).into()
    }

    /// `kill -9`: from now on connections are refused.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with all that it had, at the same place.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let keys = [&self.access_key, &self.secret_key, &self.bucket];
        self.process = spawn(self.folder.path(), &self.address, keys)?;
        Ok(())
    }

    /// Its process, for signals: a store that is stopped or killed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Starts it and waits until its bucket is there. `keys` are the access key, the secret key and the bucket.
fn spawn(folder: &Path, address: &str, keys: [&String; 3]) -> anyhow::Result<Process> {
    let mut command = Command::new(tools::find("garage")?);
    command.arg("-c").arg(folder.join("garage.toml"));
    command.args(["server", "--single-node", "--default-bucket"]);
    let names = [
        "GARAGE_DEFAULT_ACCESS_KEY",
        "GARAGE_DEFAULT_SECRET_KEY",
        "GARAGE_DEFAULT_BUCKET",
    ];
    command
        .envs(names.into_iter().zip(keys))
        .env("RUST_LOG", "garage=info");
    let mut process = Process::start("garage", &mut command)?;
    // The layout, the key and the bucket are made before the S3 port opens.
    process.wait_until("the S3 port", START_MAX, || {
        TcpStream::connect(address).is_ok()
    })?;
    Ok(process)
}
