//! A node answers from the moment that it says where it listens, and stops as it was asked to.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{Running, read_all, serve};

const METRICS_PAGE: &str = include_str!("../../../../docs/reference/metrics.md");

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    read_all(stream)
}

#[test]
fn it_serves_once_it_has_said_where() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(&mut serve(folder.path(), &["--listen", "127.0.0.1:0"]));
    let listening: Vec<&str> = running
        .greeting
        .iter()
        .filter_map(|line| line.strip_prefix("listening on http://"))
        .collect();
    assert_eq!(listening.len(), 2, "{:?}", running.greeting);
    for address in listening {
        assert!(get(address, "/v2/").starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 200 "));
    }
    let metrics = get(&running.address, "/metrics");
    assert!(metrics.contains("holdfast_http_requests_total"));
    let mut shown = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split_once(' '));
    let is_explained =
        |(name, kind): (&str, &str)| METRICS_PAGE.contains(&format!("\n| `{name}` | {kind} | "));
    assert_eq!(shown.find(|metric| !is_explained(*metric)), None);
    for wanted in [
        "holdfast_metadata_can_confirm 1",
        "holdfast_metadata_is_leader 1",
        "holdfast_metadata_voters 1",
        "holdfast_metadata_reads_total{answer=\"confirmed\"}",
        "holdfast_metadata_fsync_seconds_bucket",
    ] {
        assert!(metrics.contains(wanted), "no {wanted} in {metrics}");
    }
    let data = format!("data in {}, ", folder.path().display());
    assert!(
        running.greeting.iter().any(|line| line.starts_with(&data)),
        "{:?}",
        running.greeting
    );
}

#[test]
fn a_supervisor_stops_it_after_the_drain_delay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(&mut serve(
        folder.path(),
        &["--set", "server.drain_delay=1s"],
    ));
    let asked = Instant::now();
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), Some(0));
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[test]
fn at_a_terminal_it_stops_without_the_drain_delay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(&mut serve(
        folder.path(),
        &["--set", "server.drain_delay=10m"],
    ));
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(0));
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(&mut serve(
        folder.path(),
        &["--set", "server.drain_delay=10m"],
    ));
    running.signal(Signal::TERM);
    while !get(&running.address, "/readyz").starts_with("HTTP/1.1 503 ") {}
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), Some(1));
}

#[test]
fn a_request_in_flight_is_finished() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = Running::start(&mut serve(
        folder.path(),
        &["--set", "server.drain_delay=0s"],
    ));
    let mut push = TcpStream::connect(&running.address).expect("it listens");
    let digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let head = format!(
        "POST /v2/a/b/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    );
    push.write_all(head.as_bytes()).expect("it reads");
    let mut interim = [0; 25];
    std::io::Read::read_exact(&mut push, &mut interim).expect("it asks for the body");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    running.signal(Signal::TERM);
    // Once it refuses connections, the drain has begun.
    while TcpStream::connect(&running.address).is_ok() {}
    push.write_all(b"hello").expect("it still reads");
    let reply = read_all(push);
    assert!(reply.starts_with("HTTP/1.1 201 "), "{reply}");
    assert_eq!(running.wait().code(), Some(0));
}

#[test]
fn it_ends_at_once_with_the_program_that_holds_its_standard_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = serve(
        folder.path(),
        &["--end-with-stdin", "--set", "server.drain_delay=10m"],
    );
    let mut running = Running::start(command.stdin(Stdio::piped()));
    assert!(get(&running.address, "/readyz").starts_with("HTTP/1.1 200 "));
    drop(running.child.stdin.take());
    assert_eq!(running.wait().signal(), Some(9));
}
