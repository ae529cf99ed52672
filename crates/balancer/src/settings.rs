//! Every bound of the balancer, with its default.

use std::time::Duration;

/// How long things may take and how many there may be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often each node's health is asked for.
    pub check_interval: Duration,
    /// A node that takes longer to say how it is, is down.
    pub check_timeout: Duration,
    /// How long a connection to a node may take. A host that is gone does not refuse.
    pub connect_timeout: Duration,
    /// Bodies up to this length are received whole first and can be sent again.
    pub kept_bytes_max: usize,
    /// How long a client may take to send a body that is received whole.
    pub whole_body_timeout: Duration,
    /// Nodes answer manifests and openings of uploads within ten seconds, be it with a 503. One that takes so much longer
    /// is gone, and nothing has refused or ended the connection.
    pub brief_answer_timeout: Duration,
    /// How long a body may bring nothing, and a node may take to begin any other answer.
    pub quiet_timeout: Duration,
    /// How long a client may take to send the head of a request, and leave its connection idle before that.
    pub head_timeout: Duration,
    /// The most bytes of a head.
    pub head_bytes_max: usize,
    /// How many connections of clients are served at once. More wait in the system's queue.
    pub connections_max: usize,
    /// How many idle connections to a node are kept.
    pub idle_connections_max: usize,
    /// For how long they are kept: less than nodes do.
    pub idle_connection_age_max: Duration,
    /// How long requests in flight are waited for at the end.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            check_interval: Duration::from_millis(250),
            check_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_millis(500),
            kept_bytes_max: 128 * 1024,
            whole_body_timeout: Duration::from_secs(30),
            brief_answer_timeout: Duration::from_secs(15),
            quiet_timeout: Duration::from_secs(15 * 60),
            head_timeout: Duration::from_secs(120),
            head_bytes_max: 64 * 1024,
            connections_max: 1024,
            idle_connections_max: 64,
            idle_connection_age_max: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(2),
        }
    }
}
