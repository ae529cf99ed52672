//! Garbage, silence and slowness on the port between nodes, and connections that break: each caller is refused, in a line,
//! and nobody else notices.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cluster_suite::{Length, Load};
use faults::content::Dice;
use harness::Cluster;

/// More than a node may hold of callers that prove nothing.
const SILENT: usize = 300;

/// The longest that a caller may keep a connection without a proof.
const PROOF_MAX: Duration = Duration::from_secs(40);

/// Each cut is made good within milliseconds.
const CUT_MAX: Duration = Duration::from_secs(120);

/// The head of a TLS record that announces 16 KiB of handshake, of which nothing comes.
const TLS_HEAD: [u8; 5] = [22, 3, 1, 0x40, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_without_a_proof_are_refused() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).gateways(1).start()?;
    let load = Load::start(cluster.address(), 2, 2)?;
    let leader = cluster.leader()?;
    let before = term(&mut cluster, leader)?;
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
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                // A signal that a child has ended says nothing about the connection.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => anyhow::bail!("a silent caller is still connected: {error}"),
            }
        }
    }
    println!("{} silent callers were cut", silent.len());
    load.end()?.ensure_unnoticed()?;
    cluster.wait_in_order()?;
    ensure!(cluster.leader()? == leader, "the leader has changed");
    ensure!(
        term(&mut cluster, leader)? == before,
        "there was an election"
    );
    let said = cluster.said(leader);
    let refused = said
        .lines()
        .filter(|line| line.contains("was refused"))
        .count();
    ensure!(refused > 0, "nothing is told of it");
    cluster.passed();
    Ok(())
}

/// The term that a node is in: it rises with each election.
fn term(cluster: &mut Cluster, place: usize) -> anyhow::Result<f64> {
    cluster.node(place).metric("holdfast_metadata_term")
}

/// Connections between members break (`ss -K`, which wants root) while the leader lives: they are made again, and nobody
/// is elected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_change_no_term() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).start()?;
    let load = Load::start(cluster.address(), 2, 2)?;
    let leader = cluster.leader()?;
    let before = term(&mut cluster, leader)?;
    let wanted = Length::of_this_run().cut_connections;
    let mut cut = 0;
    let deadline = Instant::now() + CUT_MAX;
    while cut < wanted {
        ensure!(
            Instant::now() < deadline,
            "only {cut} connections could be cut"
        );
        for place in 0..3 {
            cut += cut_all_to(cluster.node(place).peer_address())?;
        }
        // They are made again as they are needed.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let report = load.end()?;
    println!("{cut} connections were cut: {}", report.line());
    report.ensure_unnoticed()?;
    cluster.wait_in_order()?;
    ensure!(cluster.leader()? == leader, "the leader has changed");
    let after = term(&mut cluster, leader)?;
    ensure!(
        after == before && before > 0.0,
        "term {before} became {after}"
    );
    cluster.passed();
    Ok(())
}

/// Cuts every connection to `HOST:PORT`; gives how many there were.
fn cut_all_to(address: &str) -> anyhow::Result<usize> {
    let (host, port) = address.split_once(':').context("HOST:PORT")?;
    let mut ss = Command::new("ss");
    ss.args([
        "-H",
        "-t",
        "-K",
        "state",
        "established",
        "dst",
        host,
        "dport",
        "=",
        port,
    ]);
    // It tells what it has cut on standard output, and of what ended by itself meanwhile on the other.
    let output = ss.output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().count())
}
