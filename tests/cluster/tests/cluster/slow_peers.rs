//! A thousand callers on the port between nodes that say nothing, stop within their first message, or say a byte a second, and
//! come back when they are cut: memory stays bounded, and nodes that start again are let in beside them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cluster_suite::Load;
use harness::Cluster;

const CALLERS: usize = 1000;

/// The head of a TLS record that announces 16 KiB of handshake.
const TLS_HEAD: [u8; 5] = [22, 3, 1, 0x40, 0];

/// One byte each of them.
const DRIP: Duration = Duration::from_secs(1);

/// More than a thousand callers may cost, beside what a load costs meanwhile.
const MEMORY_MAX: u64 = 128 << 20;

/// A debug build that starts beside all that, and catches up.
const BACK_MAX: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_slow_callers_keep_nobody_out() -> anyhow::Result<()> {
    let mut cluster = Cluster::with().members(3).start()?;
    let load = Load::start(cluster.address(), 2, 2)?;
    let leader = cluster.leader()?;
    let follower = cluster.follower()?;
    let before = memory(&mut cluster, leader)?;
    let address = cluster.node(leader).peer_address().to_owned();
    let callers = Callers::start(address);
    cluster.wait_for("the callers to be there", || callers.come() >= CALLERS)?;
    // All its connections to the leader are made anew, and the leader's to it.
    cluster.kill(follower);
    let began = Instant::now();
    cluster.restart(follower)?;
    cluster.wait_in_order()?;
    println!("a member was back after {:?}", began.elapsed());
    ensure!(began.elapsed() < BACK_MAX, "{:?}", began.elapsed());
    ensure!(cluster.leader()? == leader, "the leader has changed");
    let came = callers.end()?;
    let after = memory(&mut cluster, leader)?;
    println!(
        "{came} callers came; {} MiB became {} MiB",
        before >> 20,
        after >> 20
    );
    ensure!(after < before + MEMORY_MAX, "{before} bytes became {after}");
    let report = load.end()?;
    println!("{}", report.line());
    report.ensure_harmless()?;
    let said = cluster.said(leader);
    let refused = said
        .lines()
        .filter(|line| line.contains("was refused"))
        .count();
    // The same complaint is told every ten seconds.
    ensure!((1..20).contains(&refused), "{refused} lines tell of it");
    cluster.passed();
    Ok(())
}

/// The most memory that a node ever had.
fn memory(cluster: &mut Cluster, place: usize) -> anyhow::Result<u64> {
    let process = cluster.node(place).process();
    process.context("it does not run")?.memory_peak_bytes()
}

/// Who calls, until told to end.
struct Callers {
    ended: Arc<AtomicBool>,
    come: Arc<AtomicUsize>,
    calling: JoinHandle<anyhow::Result<()>>,
}

impl Callers {
    fn start(address: String) -> Self {
        let (ended, come) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (is_over, count) = (Arc::clone(&ended), Arc::clone(&come));
        let calling = std::thread::spawn(move || call(&address, &is_over, &count));
        Self {
            ended,
            come,
            calling,
        }
    }

    /// How many have come so far.
    fn come(&self) -> usize {
        self.come.load(Ordering::Relaxed)
    }

    fn end(self) -> anyhow::Result<usize> {
        self.ended.store(true, Ordering::Relaxed);
        let ended = self.calling.join();
        ended.map_err(|_| anyhow::anyhow!("the callers panicked"))??;
        Ok(self.come.load(Ordering::Relaxed))
    }
}

fn call(address: &str, ended: &AtomicBool, come: &AtomicUsize) -> anyhow::Result<()> {
    let mut callers: Vec<Option<TcpStream>> = (0..CALLERS).map(|_| None).collect();
    while !ended.load(Ordering::Relaxed) {
        for (number, caller) in callers.iter_mut().enumerate() {
            if caller.as_ref().is_none_or(is_cut) {
                *caller = Some(come_in(address, number)?);
                come.fetch_add(1, Ordering::Relaxed);
            } else if let Some(mut caller) = caller.as_ref().filter(|_| number % 3 == 2) {
                // It may have been cut just now.
                let _ = caller.write(&[0]);
            }
        }
        std::thread::sleep(DRIP);
    }
    Ok(())
}

fn come_in(address: &str, number: usize) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    if !number.is_multiple_of(3) {
        stream.write_all(&TLS_HEAD)?;
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Whether the node has ended the connection.
fn is_cut(mut stream: &TcpStream) -> bool {
    let mut rest = [0; 100];
    match stream.read(&mut rest) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}
