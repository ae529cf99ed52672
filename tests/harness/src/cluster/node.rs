//! One node of a cluster: a place with an address, a data folder, and a process that comes and goes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::links::{self, Processes};
use crate::{Links, Process, client, holdfast, ports};

/// So many bytes of what earlier processes said are kept.
const SAID_MAX: usize = 4 << 20;

/// The last lines of warnings that a failed test shows.
const WARNED_MAX: usize = 25;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It holds the log.
    Member,
    /// It asks the members.
    Gateway,
}

impl Role {
    /// As commands name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Gateway => "gateway",
        }
    }
}

/// A place, and the node at it if there is one.
pub struct Node {
    name: String,
    address: String,
    peer_address: String,
    /// Where it really listens for other nodes, and where it says which process it is, if links lead to it.
    linked: Option<(usize, String, Processes)>,
    program: PathBuf,
    folder: PathBuf,
    /// Variables that are files of its own.
    files: Vec<(String, String)>,
    /// Raised when a place is taken anew, so that a new node has a new folder.
    generation: u32,
    role: Option<Role>,
    process: Option<Process>,
    paused: bool,
    earlier: String,
}

impl Node {
    pub(super) fn at(
        place: usize,
        host: Ipv4Addr,
        folder: &Path,
        program: &Path,
    ) -> anyhow::Result<Self> {
        // Of an address of its own, so that the ports are still free at the next start.
        let [a, b, c, d] = host.octets();
        let last = u8::try_from((usize::from(d) + place) % 250 + 2)?;
        let host = Ipv4Addr::new(a, b, c, last);
        let [http, peer] = ports::free_at(host)?;
        Ok(Self {
            name: format!("node-{place}"),
            address: format!("{host}:{http}"),
            peer_address: format!("{host}:{peer}"),
            linked: None,
            program: program.to_owned(),
            folder: folder.join(format!("node-{place}")),
            files: Vec::new(),
            generation: 0,
            role: None,
            process: None,
            paused: false,
            earlier: String::new(),
        })
    }

    /// Has other nodes come through these links.
    pub(super) fn link(&mut self, place: usize, links: &Links) -> anyhow::Result<()> {
        let front: SocketAddr = self.peer_address.parse()?;
        let IpAddr::V4(host) = front.ip() else {
            bail!("{front} is no address of ours");
        };
        let [port] = ports::free_at(host)?;
        let back = SocketAddr::from((host, port));
        links.lead(place, front, back)?;
        self.linked = Some((place, back.to_string(), links.processes()));
        Ok(())
    }

    pub(super) fn set_files(&mut self, files: &[(String, String)]) {
        self.files = files.to_vec();
    }

    /// A file of its own, beside its folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.with_extension(name)
    }

    /// Where its data folders are, one after the other.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What tests call it: `node-` and its place.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `HOST:PORT` for clients.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `HOST:PORT` for other nodes.
    pub fn peer_address(&self) -> &str {
        &self.peer_address
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join(self.generation.to_string())
    }

    /// What it is, if there is one.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Whether it runs and is not paused.
    pub fn runs(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    /// Its process's id.
    pub fn pid(&self) -> Option<u32> {
        Some(self.process.as_ref()?.id())
    }

    /// Its process, for measurements.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// How many requests it has answered since it started.
    pub fn requests(&self) -> anyhow::Result<u64> {
        Ok(self.metric("holdfast_http_requests_total")? as u64)
    }

    /// What it measures of itself: the sum of all samples of this name.
    pub fn metric(&self, name: &str) -> anyhow::Result<f64> {
        super::asked::metric(&self.address, name)
    }

    /// The program to run, from the next start on.
    pub fn use_program(&mut self, program: &Path) {
        self.program = program.to_owned();
    }

    /// `serve` with its addresses and its folder, and what else is given.
    fn serve(&mut self, more: &[&str], environment: &[(String, String)]) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "{} runs", self.name);
        std::fs::create_dir_all(&self.folder)?;
        let mut command = Command::new(&self.program);
        command.args(["serve", "--listen", &self.address]);
        command.args(["--peer-address", &self.peer_address, "--data"]);
        command.arg(self.data()).args(more);
        holdfast::without_settings(&mut command);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.envs(self.files.iter().map(|(name, it)| (name, self.file(it))));
        if let Some((_, listen, _)) = &self.linked {
            command.env("HOLDFAST_CLUSTER_PEER_LISTEN", listen);
        }
        self.paused = false;
        let process = Process::start(&self.name, &mut command)?;
        if let Some((place, _, processes)) = &self.linked {
            links::note(processes, *place, process.id());
        }
        self.process = Some(process);
        Ok(())
    }

    pub(super) fn found(&mut self, environment: &[(String, String)]) -> anyhow::Result<()> {
        self.role = Some(Role::Member);
        self.serve(&[], environment)
    }

    pub(super) fn join(
        &mut self,
        role: Role,
        seed: &str,
        token: &str,
        environment: &[(String, String)],
    ) -> anyhow::Result<()> {
        self.role = Some(role);
        self.serve(&["--join", seed, "--token", token], environment)
    }

    /// Starts it again with this environment, and does not wait for it.
    pub fn start_again(&mut self, environment: &[(String, String)]) -> anyhow::Result<()> {
        self.kill();
        self.serve(&[], environment)
    }

    /// `cluster init` beside it: the join token and the recovery key.
    pub(super) fn init(&self) -> anyhow::Result<serde_json::Value> {
        let said = self.command(&["init", "--peer-address", &self.peer_address, "--json"])?;
        serde_json::from_str(&said).with_context(|| format!("odd answer: {said}"))
    }

    /// Runs `holdfast cluster …` beside it.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        super::asked::command(&self.program, &self.data(), arguments)
    }

    /// Starts `holdfast …` beside it, with its data folder.
    pub fn start_command(&self, arguments: &[&str]) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data").arg(self.data());
        holdfast::without_settings(&mut command);
        Process::start("holdfast", &mut command)
    }

    pub(super) fn wait_ready(&mut self, within: Duration) -> anyhow::Result<()> {
        let address = self.address.clone();
        let process = self.process.as_mut().context("it does not run")?;
        let waited = process.wait_until("GET /readyz to be 200", within, || {
            client::status_of(&address, "/readyz").is_ok_and(|status| status == 200)
        });
        waited.with_context(|| self.tells())
    }

    /// What it tells of itself that may say why it is not ready.
    fn tells(&self) -> String {
        let answer =
            |path| client::text_of(&self.address, path).unwrap_or_else(|e| format!("{e:#}"));
        let of_the_log =
            |line: &&str| line.starts_with("holdfast_metadata_") && !line.contains("_bucket{");
        let metrics = answer("/metrics");
        let metrics: Vec<&str> = metrics.lines().filter(of_the_log).collect();
        format!(
            "/readyz: {}\n{}",
            answer("/readyz?verbose"),
            metrics.join("\n")
        )
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.keep(&process);
        }
    }

    /// SIGTERM without waiting.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.process
            .as_mut()
            .context("it does not run")?
            .terminate()
    }

    /// SIGSTOP.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.paused = true;
        self.process.as_mut().context("it does not run")?.pause()
    }

    /// SIGCONT.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.paused = false;
        self.process.as_mut().context("it does not run")?.resume()
    }

    pub(super) fn stop(&mut self, within: Duration) -> anyhow::Result<()> {
        self.terminate()?;
        let status = self.wait_end(within)?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    /// Waits until its process has ended by itself.
    pub fn wait_end(&mut self, within: Duration) -> anyhow::Result<std::process::ExitStatus> {
        let mut process = self.process.take().context("it does not run")?;
        let status = process.wait(within);
        process.kill();
        self.keep(&process);
        status
    }

    /// Waits for the end of a removed node; its place is free then.
    pub(super) fn vacate(&mut self, within: Duration) -> anyhow::Result<()> {
        self.wait_end(within)?;
        self.role = None;
        self.generation += 1;
        Ok(())
    }

    fn keep(&mut self, process: &Process) {
        self.earlier += &process.said();
        self.earlier += "\n--- its process ended ---\n";
        let mut start = self.earlier.len().saturating_sub(SAID_MAX);
        while !self.earlier.is_char_boundary(start) {
            start += 1;
        }
        self.earlier.drain(..start);
    }

    /// Everything that it has said in all its lives.
    pub fn said(&self) -> String {
        let now = self.process.as_ref().map(Process::said).unwrap_or_default();
        format!("{}{now}", self.earlier)
    }

    /// Its latest warnings and errors.
    pub(super) fn warned(&self) -> String {
        let said = self.said();
        let bad = |line: &&str| {
            ["WARN", "ERROR", "panicked", "ended"]
                .iter()
                .any(|word| line.contains(word))
        };
        let lines: Vec<&str> = said.lines().filter(bad).collect();
        lines[lines.len().saturating_sub(WARNED_MAX)..].join("\n")
    }
}
