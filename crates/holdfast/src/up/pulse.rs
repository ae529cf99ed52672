//! A small client that never stops: while a node dies, it shows what people would have noticed.
//!
//! It reads a list and opens an upload that it cancels at once, each through the log, through the balancer, on connections
//! of their own. It leaves nothing behind.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often it asks.
const EVERY: Duration = Duration::from_millis(100);

/// A client's patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// For how long the slowest answer is shown.
const SLOWEST_SHOWN: Duration = Duration::from_secs(30);

/// The most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Where uploads are opened.
const UPLOADS: &str = "/v2/holdfast-up/pulse/blobs/uploads/";

/// What it has found so far. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    found: Arc<Mutex<Found>>,
}

/// What it has found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Found {
    /// Requests that were answered as they should be.
    pub answered: u64,
    /// Those that were not.
    pub failed: u64,
    /// The slowest of the last seconds, and when it was answered.
    pub slowest: Option<(Duration, Instant)>,
}

impl Pulse {
    /// What it has found so far.
    pub fn found(&self) -> Found {
        let mut found = *self.found.lock();
        found.slowest = found.slowest.filter(|(_, at)| at.elapsed() < SLOWEST_SHOWN);
        found
    }

    /// Beats until it is dropped.
    pub async fn beat(&self, address: SocketAddr) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.ask(address, "GET", "/v2/_catalog?n=1", "200").await;
            let opened = self.ask(address, "POST", UPLOADS, "202").await;
            let location = opened.as_deref().and_then(location);
            if let Some(location) = location {
                self.ask(address, "DELETE", location, "204").await;
            }
        }
    }

    /// Asks once, and returns the answer when it is the right one.
    async fn ask(
        &self,
        address: SocketAddr,
        method: &str,
        target: &str,
        status: &str,
    ) -> Option<String> {
        let begun = Instant::now();
        let answer = timeout(PATIENCE, answer(address, method, target)).await;
        let took = begun.elapsed();
        let answer = answer.ok().and_then(Result::ok);
        let right = answer.filter(|answer| answer.split(' ').nth(1) == Some(status));
        self.note(right.is_some(), took);
        right
    }

    fn note(&self, is_right: bool, took: Duration) {
        let mut found = self.found.lock();
        match is_right {
            true => found.answered += 1,
            false => found.failed += 1,
        }
        let is_slowest = found
            .slowest
            .is_none_or(|(slowest, at)| took >= slowest || at.elapsed() >= SLOWEST_SHOWN);
        if is_slowest {
            found.slowest = Some((took, Instant::now()));
        }
    }
}

async fn answer(address: SocketAddr, method: &str, target: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The path that an answer names.
fn location(answer: &str) -> Option<&str> {
    let mut lines = answer.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location")
            .then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_is_found_in_the_head_alone() {
        assert_eq!(
            location("HTTP/1.1 202 Accepted\r\nLocation: /v2/x?at=0\r\n\r\n"),
            Some("/v2/x?at=0")
        );
        assert_eq!(location("HTTP/1.1 202 Accepted\r\n\r\nlocation: /x"), None);
    }

    #[test]
    fn slowest_answer_is_kept() {
        let pulse = Pulse::default();
        for milliseconds in [3, 200, 5] {
            pulse.note(true, Duration::from_millis(milliseconds));
        }
        pulse.note(false, Duration::from_millis(1));
        let found = pulse.found();
        assert_eq!((found.answered, found.failed), (3, 1));
        assert_eq!(found.slowest.unwrap().0, Duration::from_millis(200));
    }
}
