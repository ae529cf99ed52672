//! HAProxy with the file that users get, `deploy/haproxy/haproxy.cfg`: nothing of it is changed but the addresses, by the
//! variables that the file itself offers.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::{Client, Process, ports, tools};

const START_MAX: Duration = Duration::from_secs(30);

/// Somebody may take a free port before HAProxy does.
const TRIES: usize = 3;

/// The nodes that the file names.
const NODES: usize = 3;

/// The lines that only root may carry out.
const NEED_ROOT: &[&str] = &["user ", "group ", "chroot "];

/// A running HAProxy. Ends when dropped.
pub struct Haproxy {
    address: String,
    process: Process,
    /// Held for its drop, after the process's.
    _folder: tempfile::TempDir,
}

impl Haproxy {
    /// Starts it on a free port in front of these nodes, each `HOST:PORT`. With three nodes the file is used to the letter;
    /// with any other number its rows are multiplied or left out, as its head tells users to do.
    pub fn start(nodes: &[&str]) -> anyhow::Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start(nodes) {
                Err(_) if tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    fn try_start(nodes: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("haproxy-").tempdir()?;
        let mut text = std::fs::read_to_string(shipped("haproxy/haproxy.cfg"))?;
        if nodes.len() != NODES {
            text = with_rows(&text, nodes.len());
        }
        if !rustix::process::geteuid().is_root() {
            text = without_root(&text);
        }
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text)?;
        let [port] = ports::free()?;
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(tools::find("haproxy")?);
        command.arg("-db").arg("-f").arg(&file);
        command.env("HOLDFAST_FRONT", &address);
        for (index, node) in nodes.iter().enumerate() {
            command.env(format!("HOLDFAST_NODE{}", index + 1), node);
        }
        let mut process = Process::start("haproxy", &mut command)?;
        process.wait_until("its port", START_MAX, || {
            TcpStream::connect(&address).is_ok()
        })?;
        Ok(Self {
            address,
            process,
            _folder: folder,
        })
    }

    /// `127.0.0.1:PORT`, where clients come in.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// Its process, for signals, its log and measurements.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn memory_peak_bytes(&self) -> anyhow::Result<u64> {
        self.process.memory_peak_bytes()
    }
}

/// A file below `deploy`, as it is shipped.
pub(crate) fn shipped(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy")).join(path)
}

fn without_root(text: &str) -> String {
    let kept = text.lines().filter(|line| {
        !NEED_ROOT
            .iter()
            .any(|start| line.trim_start().starts_with(start))
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// The file with rows for so many nodes, each a copy of the first node's.
fn with_rows(text: &str, nodes: usize) -> String {
    let mut edited = String::new();
    for line in text.lines() {
        if line.contains("HOLDFAST_NODE1") {
            for number in 1..=nodes {
                let row = line.replace("node1-", &format!("node{number}-"));
                let row = row.replace("192.0.2.1:", &format!("192.0.2.{number}:"));
                edited += &row.replace("NODE1", &format!("NODE{number}"));
                edited += "\n";
            }
        } else if !line.contains("HOLDFAST_NODE") {
            edited += line;
            edited += "\n";
        }
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_for_root_are_left_out() {
        let text = std::fs::read_to_string(shipped("haproxy/haproxy.cfg")).unwrap();
        let lines = |text: &str| text.lines().count();
        assert_eq!(lines(&without_root(&text)), lines(&text) - NEED_ROOT.len());
    }

    #[test]
    fn rows_are_as_many_as_nodes() {
        let text = std::fs::read_to_string(shipped("haproxy/haproxy.cfg")).unwrap();
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(sorted(&with_rows(&text, NODES)), sorted(&text));
        let five = with_rows(&text, 5);
        assert!(
            five.contains("server node5-healthz \"${HOLDFAST_NODE5}\" backup"),
            "{five}"
        );
        assert!(!with_rows(&text, 1).contains("node2"));
    }
}
