//! Real Redis servers: alone, with a replica, watched by sentinels, and as a cluster.
//!
//! Each has an address of the loopback network of its own, so that it comes back where it was.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::{Process, ports, tools};

const START_MAX: Duration = Duration::from_secs(30);

/// Somebody may take a free port before Redis does.
const TRIES: usize = 3;

/// The name by which sentinels know their master.
pub const MASTER: &str = "holdfast-test";

/// A running Redis or sentinel. Ends, and takes its folder along, when dropped.
pub struct RedisServer {
    /// Where it listens.
    pub host: String,
    /// And on which port.
    pub port: u16,
    arguments: Vec<String>,
    tls: Option<Tls>,
    process: Process,
    /// Held for its drop, after the process's.
    folder: tempfile::TempDir,
}

/// Files of a server that speaks TLS.
#[derive(Clone)]
pub struct Tls {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl RedisServer {
    /// A Redis that keeps nothing on disk, with more settings, such as `["--requirepass", "x"]`.
    pub fn start(settings: &[&str]) -> anyhow::Result<RedisServer> {
        again(|| RedisServer::plain(settings, None))
    }

    /// One that speaks TLS only, with the files that are made for its host.
    pub fn start_with_tls(
        settings: &[&str],
        files: impl Fn(&str) -> Tls,
    ) -> anyhow::Result<RedisServer> {
        again(|| RedisServer::plain(settings, Some(&files)))
    }

    /// A replica of this one.
    pub fn replica(&self) -> anyhow::Result<RedisServer> {
        let port = self.port.to_string();
        let mut replica = RedisServer::start(&["--replicaof", &self.host, &port])?;
        replica.wait_to_say(&["INFO", "replication"], "master_link_status:up")?;
        Ok(replica)
    }

    /// A sentinel that watches this master, which is down for it after half a second.
    pub fn sentinel(&self, quorum: usize) -> anyhow::Result<RedisServer> {
        let (master, port) = (&self.host, self.port);
        again(|| {
            let host = ports::own_address().to_string();
            let [own] = ports::free_at(host.parse()?)?;
            let folder = folder()?;
            let path = folder.path().join("sentinel.conf");
            let config = format!(
                "port {own}\nbind {host}\ndir {}\nprotected-mode no\n\
                 sentinel announce-ip {host}\nsentinel monitor {MASTER} {master} {port} {quorum}\n\
                 sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n",
                folder.path().display()
            );
            std::fs::write(&path, config)?;
            let arguments = vec![path.display().to_string(), "--sentinel".to_owned()];
            RedisServer::spawned(host, own, arguments, None, folder)
        })
    }

    /// Masters of a cluster, which share all slots and have no replicas.
    pub fn cluster(masters: usize) -> anyhow::Result<Vec<RedisServer>> {
        let mut nodes = Vec::new();
        for _ in 0..masters {
            nodes.push(again(RedisServer::cluster_node)?);
        }
        for (number, node) in nodes.iter().enumerate() {
            let slots = |number: usize| 16_384 * number / masters;
            let (first, last) = (slots(number), slots(number + 1) - 1);
            node.say(&[
                "CLUSTER",
                "ADDSLOTSRANGE",
                &first.to_string(),
                &last.to_string(),
            ])?;
            node.say(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()])?;
        }
        for other in &nodes[1..] {
            let (port, bus) = (other.port.to_string(), (other.port + 1).to_string());
            nodes[0].say(&["CLUSTER", "MEET", &other.host, &port, &bus])?;
        }
        let known = format!("cluster_size:{masters}");
        for node in &mut nodes {
            node.wait_to_say(&["CLUSTER", "INFO"], "cluster_state:ok")?;
            node.wait_to_say(&["CLUSTER", "INFO"], &known)?;
        }
        Ok(nodes)
    }

    fn cluster_node() -> anyhow::Result<RedisServer> {
        let host = ports::own_address().to_string();
        let [port] = ports::free_at(host.parse()?)?;
        let bus = (port + 1).to_string();
        let settings = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
            "--cluster-port",
            &bus,
            "--cluster-announce-ip",
            &host,
        ];
        let folder = folder()?;
        let arguments = plain_arguments(&host, port, folder.path(), &settings, None);
        RedisServer::spawned(host, port, arguments, None, folder)
    }

    fn plain(
        settings: &[&str],
        files: Option<&dyn Fn(&str) -> Tls>,
    ) -> anyhow::Result<RedisServer> {
        let host = ports::own_address().to_string();
        let tls = files.map(|files| files(&host));
        let [port] = ports::free_at(host.parse()?)?;
        let folder = folder()?;
        let arguments = plain_arguments(&host, port, folder.path(), settings, tls.as_ref());
        RedisServer::spawned(host, port, arguments, tls, folder)
    }

    fn spawned(
        host: String,
        port: u16,
        arguments: Vec<String>,
        tls: Option<Tls>,
        folder: tempfile::TempDir,
    ) -> anyhow::Result<RedisServer> {
        let process = spawn(&host, port, &arguments)?;
        Ok(RedisServer {
            host,
            port,
            arguments,
            tls,
            process,
            folder,
        })
    }

    /// `redis://HOST:PORT`, or `rediss://` with TLS.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// What `redis-cli` prints for a command.
    pub fn say(&self, command: &[&str]) -> anyhow::Result<String> {
        let mut cli = Command::new(tools::find("redis-cli")?);
        cli.args(["-e", "-h", &self.host, "-p", &self.port.to_string()]);
        if let Some(tls) = &self.tls {
            cli.arg("--tls").arg("--cacert").arg(&tls.authority);
        }
        tools::run(cli.args(command))
    }

    /// Asks the same again until the answer has `what` in it.
    pub fn wait_to_say(&mut self, command: &[&str], what: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        loop {
            // It may answer with an error until it has come so far.
            let said = match self.say(command) {
                Ok(said) => said,
                Err(error) => format!("{error:#}"),
            };
            if said.contains(what) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{command:?} does not come to say {what}, but:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`: from now on connections are refused.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same place.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.process = spawn(&self.host, self.port, &self.arguments)?;
        Ok(())
    }

    /// Its process, for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn again<T>(mut start: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut tries = 1;
    loop {
        match start() {
            Err(_) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn folder() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("redis-").tempdir()?)
}

fn plain_arguments(
    host: &str,
    port: u16,
    folder: &Path,
    settings: &[&str],
    tls: Option<&Tls>,
) -> Vec<String> {
    let folder = folder.display().to_string();
    let port = port.to_string();
    let mut arguments: Vec<String> = [
        "--bind",
        host,
        "--dir",
        &folder,
        "--save",
        "",
        "--appendonly",
        "no",
        "--protected-mode",
        "no",
        "--replica-announce-ip",
        host,
        "--repl-diskless-sync-delay",
        "0",
    ]
    .map(str::to_owned)
    .into();
    match tls {
        None => arguments.extend(["--port".to_owned(), port]),
        Some(tls) => {
            let shown = |path: &Path| path.display().to_string();
            arguments.extend(["--port", "0", "--tls-auth-clients", "no"].map(str::to_owned));
            arguments.extend(["--tls-port".to_owned(), port]);
            arguments.extend(["--tls-ca-cert-file".to_owned(), shown(&tls.authority)]);
            arguments.extend(["--tls-cert-file".to_owned(), shown(&tls.certificate)]);
            arguments.extend(["--tls-key-file".to_owned(), shown(&tls.key)]);
        }
    }
    arguments.extend(settings.iter().copied().map(str::to_owned));
    arguments
}

fn spawn(host: &str, port: u16, arguments: &[String]) -> anyhow::Result<Process> {
    let mut command = Command::new(tools::find("redis-server")?);
    let mut process = Process::start("redis", command.args(arguments))?;
    process.wait_until("its port", START_MAX, || {
        TcpStream::connect((host, port)).is_ok()
    })?;
    Ok(process)
}
