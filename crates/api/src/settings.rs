//! Limits and times of the HTTP server. Every queue and every wait of this crate has its bound here.

use std::time::Duration;

/// Limits and times. The defaults suit one node behind a balancer or alone.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections served at once. Further ones are told to come back (429), and beyond those nothing is accepted.
    pub connections_max: usize,
    /// Requests worked on at once. Further ones wait for `queue_wait`, then are told to come back (429).
    pub requests_max: usize,
    /// How long a request waits for its turn.
    pub queue_wait: Duration,
    /// How long a new connection may take until its first request is complete to the end of its headers.
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests. Longer than clients and balancers keep theirs.
    pub idle_timeout: Duration,
    /// How long a body may bring nothing.
    pub body_idle_timeout: Duration,
    /// How long the body of a manifest may take in all.
    pub manifest_timeout: Duration,
    /// How long a client may take nothing of a reply.
    pub write_timeout: Duration,
    /// How long a metadata call may be held through an election.
    pub hold: Duration,
    /// After a stop was asked for, how long new connections are still taken: the balancer's interval × fall.
    pub drain_delay: Duration,
    /// How long requests in flight may then take to finish.
    pub drain_deadline: Duration,
    /// Bytes of all headers of one request.
    pub header_bytes_max: usize,
    /// Bytes of manifests that are being received, all together.
    pub manifest_memory_max: usize,
    /// The longest page of a list.
    pub page_size_max: usize,
    /// Web origins whose scripts may write. Every origin's may read.
    pub cors_write_origins: Vec<String>,
    /// Clients are asked for chunks of at least so many bytes; 0 asks for nothing. Smaller ones are taken too.
    pub chunk_bytes_min: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connections_max: 4096,
            requests_max: 2048,
            queue_wait: Duration::from_secs(5),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            body_idle_timeout: Duration::from_secs(60),
            manifest_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(120),
            hold: Duration::from_secs(10),
            drain_delay: Duration::from_secs(5),
            drain_deadline: Duration::from_secs(600),
            header_bytes_max: 64 * 1024,
            manifest_memory_max: 64 * 1024 * 1024,
            page_size_max: 10_000,
            cors_write_origins: Vec::new(),
            chunk_bytes_min: 0,
        }
    }
}
