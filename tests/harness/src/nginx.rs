//! nginx with the file that users get, `deploy/nginx/nginx.conf`: the addresses are replaced as a user would, and temporary
//! files go to a folder of the test.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::haproxy::shipped;
use crate::{Client, Process, ports, tools};

const START_MAX: Duration = Duration::from_secs(30);

/// Somebody may take a free port before nginx does.
const TRIES: usize = 3;

/// Where the file says that clients come in.
const LISTEN: &str = "listen 0.0.0.0:80;";

/// The addresses of nodes in the file are those that are kept for documentation (RFC 5737).
const NODE: &str = "server 192.0.2.";

/// A running nginx: a master and its workers. Ends when dropped.
pub struct Nginx {
    address: String,
    process: Process,
    /// Held for its drop, after the process's.
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts it on a free port in front of these nodes, each `HOST:PORT`.
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
        let folder = tempfile::Builder::new().prefix("nginx-").tempdir()?;
        // The workers, who are not root, keep their temporary files below it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let [port] = ports::free()?;
        let address = format!("127.0.0.1:{port}");
        let text = std::fs::read_to_string(shipped("nginx/nginx.conf"))?;
        let path = folder.path().display().to_string();
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, edited(&text, &address, nodes, &path)?)?;
        let mut command = Command::new(tools::find("nginx")?);
        command.arg("-c").arg(&file).args(["-e", "stderr"]);
        command
            .arg("-g")
            .arg(format!("daemon off; pid {path}/nginx.pid;"));
        let mut process = Process::start("nginx", &mut command)?;
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

    /// Its master, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The most memory that any one of its processes ever had resident, in bytes.
    pub fn memory_peak_bytes(&self) -> anyhow::Result<u64> {
        let master = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        let mut peak = self.process.memory_peak_bytes()?;
        for child in children.split_whitespace() {
            let status = std::fs::read_to_string(format!("/proc/{child}/status"))?;
            let bytes = crate::process::peak_in(&status).context("a worker has no VmHWM")?;
            peak = peak.max(bytes);
        }
        Ok(peak)
    }
}

/// The shipped file with these addresses. Fails when the file has no place for them: it would not be the one under test.
fn edited(text: &str, listen: &str, nodes: &[&str], folder: &str) -> anyhow::Result<String> {
    let (mut edited, mut rows, mut listens) = (String::new(), 0, 0);
    for line in text.lines() {
        let code = line.trim_start();
        if code == LISTEN {
            listens += 1;
            writeln!(edited, "listen {listen};")?;
        } else if code.starts_with(NODE) {
            let (_, how) = code
                .split_once(":5000 ")
                .context("a row of the shipped file is `server ADDRESS:5000 …;`")?;
            if let Some(node) = nodes.get(rows) {
                writeln!(edited, "server {node} {how}")?;
            }
            rows += 1;
        } else {
            writeln!(edited, "{line}")?;
        }
        if code == "http {" {
            for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
                writeln!(edited, "{kind}_temp_path {folder}/{kind};")?;
            }
        }
    }
    ensure!(
        listens == 1 && rows >= nodes.len(),
        "deploy/nginx/nginx.conf has {listens} lines `{LISTEN}` and {rows} nodes"
    );
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_replaced_and_nothing_else() {
        let text = std::fs::read_to_string(shipped("nginx/nginx.conf")).unwrap();
        let edited = edited(&text, "127.0.0.1:1", &["127.0.0.1:2", "127.0.0.1:3"], "/x").unwrap();
        assert!(!edited.contains("192.0.2."), "{edited}");
        let new: Vec<&str> = edited
            .lines()
            .filter(|line| !text.lines().any(|old| old == *line) && !line.contains("_temp_path"))
            .collect();
        assert_eq!(
            new,
            [
                "server 127.0.0.1:2 max_fails=20 fail_timeout=1s;",
                "server 127.0.0.1:3 max_fails=20 fail_timeout=1s;",
                "listen 127.0.0.1:1;",
            ]
        );
    }
}
