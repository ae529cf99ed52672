//! What the suite of `holdfast up` stands on: the program with its lines of JSON, and what they say about processes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use harness::{Client, bound};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// The longest that anything here takes on a busy machine with a debug build.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One line.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// `ready`, `ended`, `started`, `refused`.
    pub event: String,
    /// The process.
    #[serde(default)]
    pub name: String,
    /// `member`, `gateway`, `balancer`.
    #[serde(default)]
    pub role: String,
    /// Its id.
    #[serde(default)]
    pub pid: u32,
    /// Where it serves.
    #[serde(default)]
    pub address: String,
    /// How it ended.
    #[serde(default)]
    pub how: String,
    /// Why a wish was refused.
    #[serde(default)]
    pub message: String,
}

/// A cluster that was started by `holdfast up --json`.
pub struct Up {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
    /// All that it has said.
    seen: Vec<Line>,
}

/// `holdfast up` with these arguments, on this folder and a free port, without settings of whoever runs the tests.
pub fn command(data: &Path, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(harness::holdfast::program()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDFAST_") {
            command.env_remove(name);
        }
    }
    command.args([OsStr::new("up"), OsStr::new("--data"), data.as_os_str()]);
    if !arguments.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(arguments);
    Ok(command)
}

impl Up {
    /// Starts it and waits until all are ready.
    pub fn start(data: &Path, arguments: &[&str]) -> anyhow::Result<Up> {
        let mut up = Up::spawn(&command(data, &[&["--json"], arguments].concat())?)?;
        up.wait_for("ready", "balancer")?;
        Ok(up)
    }

    /// Starts it.
    pub fn spawn(command: &Command) -> anyhow::Result<Up> {
        let mut bound = bound::bound(command);
        bound
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = bound::spawn(bound)?;
        Ok(Up {
            input: child.stdin.take(),
            lines: lines_of(child.stdout.take()),
            errors: lines_of(child.stderr.take()),
            child,
            seen: Vec::new(),
        })
    }

    /// Its own process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All lines so far.
    pub fn seen(&mut self) -> anyhow::Result<&[Line]> {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.push(parse(&line)?);
        }
        Ok(&self.seen)
    }

    /// Waits until the next line of this kind about this process.
    pub fn wait_for(&mut self, event: &str, name: &str) -> anyhow::Result<Line> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => parse(&line)?,
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "no `{event}` of {name} within {PATIENCE:?}; it said {:?}",
                        self.seen
                    )
                }
                Err(RecvTimeoutError::Disconnected) => bail!(
                    "it ended before `{event}` of {name}; it said {:?} and {:?}",
                    self.seen,
                    self.errors.iter().collect::<Vec<_>>()
                ),
            };
            self.seen.push(line.clone());
            if line.event == event && line.name == name {
                return Ok(line);
            }
        }
    }

    /// The last that is known about each process: the balancer and all nodes.
    pub fn processes(&mut self) -> anyhow::Result<BTreeMap<String, Line>> {
        let ready = self.seen()?.iter().filter(|line| line.event == "ready");
        Ok(ready
            .map(|line| (line.name.clone(), line.clone()))
            .collect())
    }

    /// The last that is known about a process.
    pub fn process(&mut self, name: &str) -> anyhow::Result<Line> {
        let known = self.processes()?.remove(name);
        known.with_context(|| format!("nothing was said about {name}"))
    }

    /// A client of a process that is ready.
    pub fn client(&mut self, name: &str) -> anyhow::Result<Client> {
        Ok(Client::new(&self.process(name)?.address))
    }

    /// `kill -9` of a node, from outside; returns when it was noticed.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<Line> {
        signal(self.process(name)?.pid, Signal::KILL)?;
        self.wait_for("ended", name)
    }

    /// Writes a line to its standard input.
    pub fn wish(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("its input was closed")?;
        writeln!(input, "{line}")?;
        Ok(())
    }

    /// Starts a node again, and waits until it is ready.
    pub fn start_again(&mut self, name: &str) -> anyhow::Result<Line> {
        self.wish(&format!("start {name}"))?;
        self.wait_for("ready", name)
    }

    /// Waits for its end; returns it with what it said on standard error.
    pub fn wait(&mut self) -> anyhow::Result<(ExitStatus, String)> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                bail!("it did not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let errors: Vec<String> = self.errors.iter().collect();
        Ok((status, errors.join("\n")))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended; its nodes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let pipe = pipe.expect("all pipes were asked for");
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

fn parse(line: &str) -> anyhow::Result<Line> {
    serde_json::from_str(line).with_context(|| format!("a line that is no JSON: {line}"))
}

/// Sends a signal to a process that is known to run.
pub fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.context("an impossible process id")?, signal)?;
    Ok(())
}

/// Whether there is such a process, and it is a node of ours. One that waits to be reaped is none.
pub fn is_node(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split('\0').nth(1) == Some("serve"))
}

/// Waits until none of these processes is left.
pub fn wait_until_gone(pids: &[u32]) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| is_node(*pid)) {
        if Instant::now() > deadline {
            bail!("some of {pids:?} are still there");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
