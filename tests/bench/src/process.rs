//! Processes that a benchmark starts, and what they cost.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use harness::Process;

/// The unit of times in `/proc/PID/stat`: Linux shows 100 to programs, whatever it uses itself (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A server that ends with this value.
pub struct Server {
    process: Process,
    /// Where it listens on the loopback.
    pub port: u16,
}

impl Server {
    /// Starts a server and waits until its port takes connections.
    pub fn start(name: &str, mut command: Command, port: u16) -> anyhow::Result<Server> {
        let mut process = Process::start_silent(name, &mut command)?;
        process.wait_until("its port", START_TIMEOUT, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })?;
        Ok(Server { process, port })
    }

    /// Seconds of processor that it has used so far, in its own code and in the kernel.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        Ok(self.process.cpu_time()?.as_secs_f64())
    }

    /// The most memory that it has had in use, in MiB.
    pub fn peak_memory_mib(&self) -> anyhow::Result<f64> {
        Ok(self.process.memory_peak_bytes()? as f64 / 1_048_576.0)
    }
}

/// Runs a command to its end, wants success, and gives its output.
pub fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}

/// The processor seconds that a command uses, from its start to its end.
pub fn cost(command: &mut Command) -> anyhow::Result<f64> {
    let before = children_cpu_seconds()?;
    run(command)?;
    Ok(children_cpu_seconds()? - before)
}

/// Processor seconds of this process's children that have ended and were waited for.
fn children_cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat
        .rsplit_once(')')
        .context("a process's stat has a name")?
        .1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // Fields 16 and 17 of proc(5), counted from the state, which is field 3.
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|text| text.parse::<f64>().ok())
            .context("a process's stat has times")
    };
    Ok((ticks(13)? + ticks(14)?) / TICKS_PER_SECOND)
}
