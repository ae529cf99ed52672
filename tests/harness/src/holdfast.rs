//! The server under test: the built `holdfast`, with a data folder that outlives its kills.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::{Client, Process};

/// A debug build that replays a log may take this long to be ready.
const START_MAX: Duration = Duration::from_secs(60);

/// One node. Its data folder goes when it is dropped, unless the folder was given.
pub struct HoldfastServer {
    process: Process,
    address: String,
    is_tls: bool,
    settings: Settings,
    /// Held for its drop.
    _own_data: Option<tempfile::TempDir>,
}

/// How to start it: flags and environment, the same at each restart.
#[derive(Default, Clone)]
pub struct Settings {
    data: PathBuf,
    flags: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

/// Says how the server is to be started; `start` does it.
#[derive(Default)]
pub struct Builder {
    settings: Settings,
    data: Option<PathBuf>,
}

impl Builder {
    /// Adds a flag of `holdfast serve`.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.settings.flags.push(flag.into());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings.environment.push((name.into(), value.into()));
        self
    }

    /// Uses this data folder, and leaves it when dropped.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(mut self) -> anyhow::Result<HoldfastServer> {
        let own = match self.data {
            Some(folder) => {
                self.settings.data = folder;
                None
            }
            None => {
                let folder = tempfile::Builder::new().prefix("holdfast-").tempdir()?;
                self.settings.data = folder.path().join("data");
                Some(folder)
            }
        };
        let (process, is_tls, address) = spawn(&self.settings)?;
        let mut server = HoldfastServer {
            process,
            address,
            is_tls,
            settings: self.settings,
            _own_data: own,
        };
        server.wait_ready()?;
        Ok(server)
    }
}

impl HoldfastServer {
    /// One node with its defaults, on a free port.
    pub fn start() -> anyhow::Result<Self> {
        Builder::default().start()
    }

    /// One node with flags or environment of its own.
    pub fn with() -> Builder {
        Builder::default()
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.settings.data
    }

    /// Its process, for signals and measurements.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts again on the same data, killing what still runs. The port is another one, unless a flag fixes it.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        (self.process, self.is_tls, self.address) = spawn(&self.settings)?;
        self.wait_ready()
    }

    /// As [`Self::restart`], with another environment from now on.
    pub fn restart_with_env(&mut self, environment: &[(&str, &str)]) -> anyhow::Result<()> {
        self.settings.environment = environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        self.restart()
    }

    fn wait_ready(&mut self) -> anyhow::Result<()> {
        let address = self.address.clone();
        if self.is_tls {
            // The client here speaks no TLS. It listens from before it is ready.
            let url = format!("https://{address}/readyz");
            let mut ask = Command::new(crate::tools::find("curl")?);
            ask.args(["-sfk", &url]);
            let ready = || crate::tools::run(&mut ask).is_ok();
            return self
                .process
                .wait_until("/readyz to be 200", START_MAX, ready);
        }
        self.process
            .wait_until("GET /readyz to be 200", START_MAX, || {
                crate::client::status_of(&address, "/readyz").is_ok_and(|status| status == 200)
            })
    }
}

/// The process, whether it speaks TLS, and where.
fn spawn(settings: &Settings) -> anyhow::Result<(Process, bool, String)> {
    let mut command = Command::new(program()?);
    command.arg("serve").arg("--data").arg(&settings.data);
    if !settings
        .flags
        .iter()
        .any(|flag| flag.to_string_lossy().starts_with("--listen"))
    {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    without_settings(&mut command);
    command.args(&settings.flags).envs(
        settings
            .environment
            .iter()
            .map(|(name, value)| (name, value)),
    );
    let mut process = Process::start("holdfast", &mut command)?;
    let url = process.wait_for_line("listening on http", START_MAX)?;
    let (scheme, address) = url.split_once("://").context("it tells no address")?;
    let address = address.trim_end_matches('/').to_owned();
    Ok((process, scheme == "s", address))
}

/// Settings of whoever runs the tests must not reach the program under test.
pub(crate) fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDFAST_") {
            command.env_remove(name);
        }
    }
}

/// The program that does not know the next format of the log, which `HOLDFAST_EARLIER_FORMAT_BIN` names.
pub fn earlier_format_program() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("HOLDFAST_EARLIER_FORMAT_BIN");
    path.map(PathBuf::from).with_context(|| {
        "no program of the earlier format is named: run the tests by `cargo xtask test`".to_owned()
    })
}

/// The built program: what `HOLDFAST_BIN` names, or the one beside this test program.
pub fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("HOLDFAST_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let built = test
        .ancestors()
        .nth(2)
        .map(|folder| folder.join("holdfast"))
        .filter(|path| path.is_file());
    built.with_context(|| {
        "there is no built `holdfast`: run the tests by `cargo xtask test`".to_owned()
    })
}
