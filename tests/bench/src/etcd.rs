//! etcd of three members, as Debian packages it, and what its own check of performance says.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::{Process, ports};

const START_MAX: Duration = Duration::from_secs(30);

const MEMBERS: usize = 3;

/// Three running members.
pub struct Etcd {
    endpoints: String,
    _members: Vec<Process>,
}

impl Etcd {
    /// Starts them with folders below this one, and waits until they are one cluster.
    pub fn start(folder: &Path) -> anyhow::Result<Etcd> {
        let ports: [u16; 2 * MEMBERS] = ports::free()?;
        let (client, peer) = ports.split_at(MEMBERS);
        let url = |port: &u16| format!("http://127.0.0.1:{port}");
        let cluster: Vec<String> = peer
            .iter()
            .enumerate()
            .map(|(number, port)| format!("m{number}={}", url(port)))
            .collect();
        let cluster = cluster.join(",");
        let mut members = Vec::new();
        for number in 0..MEMBERS {
            let mut command = Command::new("etcd");
            command.args(["--name", &format!("m{number}"), "--data-dir"]);
            command.arg(folder.join(format!("etcd-{number}")));
            for flag in ["--listen-client-urls", "--advertise-client-urls"] {
                command.args([flag, &url(&client[number])]);
            }
            for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
                command.args([flag, &url(&peer[number])]);
            }
            command.args(["--initial-cluster", &cluster]);
            command.args(["--initial-cluster-state", "new", "--log-level", "error"]);
            let member = Process::start_silent("etcd", &mut command);
            members.push(member.context("is the package etcd-server installed?")?);
        }
        let endpoints: Vec<String> = client.iter().map(url).collect();
        let endpoints = endpoints.join(",");
        members[0].wait_until("its cluster", START_MAX, || {
            let mut health = etcdctl(&endpoints, &["endpoint", "health"]);
            health.output().is_ok_and(|output| output.status.success())
        })?;
        Ok(Etcd {
            endpoints,
            _members: members,
        })
    }

    /// The writes a second of `etcdctl check perf --load=xl`, which takes a minute.
    pub fn writes_per_second(&self) -> anyhow::Result<f64> {
        // It fails where the rate is below the one that it calls large; the figure is what is wanted of it.
        let output = etcdctl(&self.endpoints, &["check", "perf", "--load=xl"]).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        writes_in(&said)
            .with_context(|| format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn etcdctl(endpoints: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("etcdctl");
    command
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", endpoints]);
    command.args(arguments);
    command
}

/// The number before `writes/s`.
fn writes_in(said: &str) -> anyhow::Result<f64> {
    let before = said.split("writes/s").next().unwrap_or_default();
    ensure!(before.len() < said.len(), "etcdctl tells no writes/s");
    let number = before.split_whitespace().last().unwrap_or_default();
    number.parse().with_context(|| format!("{number:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_read_whether_it_passes_or_not() {
        let said = " 60 / 60 Booooom! 100.00%1m0s\nFAIL: Throughput too low: 5241 writes/s\nPASS: Slowest request took 0.3s\n";
        assert_eq!(writes_in(said).unwrap(), 5241.0);
        assert_eq!(
            writes_in("PASS: Throughput is 14987 writes/s").unwrap(),
            14987.0
        );
        assert!(writes_in("Error: context deadline exceeded").is_err());
    }
}
