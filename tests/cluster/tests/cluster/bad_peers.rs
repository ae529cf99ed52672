//! Garbage, silence and slowness on the port between nodes: each caller is refused, in a line, and nobody else notices.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::ensure;
use cluster_suite::Load;
use faults::content::Dice;
use harness::Cluster;

/// More than a node may hold of callers that prove nothing.
const SILENT: usize = 300;

/// The longest that a caller may keep a connection without a proof.
const PROOF_MAX: Duration = Duration::from_secs(40);

/// The head of a TLS record that announces 16 KiB of handshake, of which nothing comes.
const TLS_HEAD: [u8; 5] = [22, 3, 1, 0x40, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_without_a_proof_are_refused() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).start()?;
    let load = Load::start(cluster.address(), 2, 2)?;
    let before = terms(&cluster);
    let leader = cluster.leader()?;
    let address = cluster.node(leader).peer_address().to_owned();
    let mut dice = Dice::new(7);
    let silent: Vec<TcpStream> = (0..SILENT)
        .map_while(|number| {
            let stream = TcpStream::connect(&address).ok()?;
            match number % 3 {
                0 => {}
                1 => (&stream).write_all(&TLS_HEAD).ok()?,
                _ => (&stream).write_all(b"PRI * HTTP/2.0\r\n").ok()?,
            }
            Some(stream)
        })
        .collect();
    for _ in 0..100 {
        let garbage: Vec<u8> = (0..64).flat_map(|_| dice.next().to_le_bytes()).collect();
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // It may be cut before all is said.
        let _ = stream.write_all(&garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        ensure!(
            answer.len() < 1000,
            "garbage was answered with {} bytes",
            answer.len()
        );
    }
    // Those who say nothing are cut, so that they do not add up.
    let deadline = Instant::now() + PROOF_MAX;
    for stream in &silent {
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut rest = [0; 1000];
        loop {
            let read = (&*stream).read(&mut rest);
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => anyhow::bail!("a silent caller is still connected: {error}"),
            }
        }
    }
    println!("{} silent callers were cut", silent.len());
    load.end()?.ensure_unnoticed()?;
    cluster.wait_in_order()?;
    ensure!(cluster.leader()? == leader, "the leader has changed");
    ensure!(terms(&cluster) == before, "there was an election");
    let said = cluster.said(leader);
    let refused = said
        .lines()
        .filter(|line| line.contains("was refused"))
        .count();
    ensure!(refused > 0, "nothing is told of it");
    cluster.passed();
    Ok(())
}

/// The elections that the running nodes know of.
fn terms(cluster: &Cluster) -> String {
    cluster.command(&["status", "--json"]).map_or_else(
        |error| error.to_string(),
        |said| {
            let value: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
            value["term"].to_string()
        },
    )
}
