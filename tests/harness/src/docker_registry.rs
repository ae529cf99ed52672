//! Debian's `docker-registry`: the same fixtures against another implementation show whether a test or Holdfast is wrong.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::{Process, ports, tools};

const START_MAX: Duration = Duration::from_secs(30);

/// A running registry in a folder of its own.
pub struct DockerRegistry {
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// Its process, for measurements.
    pub process: Process,
    /// Held for its drop, after the process's.
    _folder: tempfile::TempDir,
}

impl DockerRegistry {
    /// Starts it on a free port.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("docker-registry-")
            .tempdir()?;
        let [port] = ports::free()?;
        let address = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{delete: {{enabled: true}}, cache: {{blobdescriptor: inmemory}}, \
             filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            folder.path().join("data").display()
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(tools::find("docker-registry")?);
        let mut process = Process::start("docker-registry", command.arg("serve").arg(&file))?;
        process.wait_until("its port", START_MAX, || {
            TcpStream::connect(&address).is_ok()
        })?;
        Ok(Self {
            address,
            process,
            _folder: folder,
        })
    }
}
