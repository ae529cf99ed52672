//! How a node is: asked for every quarter of a second, on a connection of its own each time, as balancers do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::node::{Condition, Node};
use crate::settings::Settings;

/// What an answer that says yes begins with, behind the version.
const OK: &[u8] = b" 200";

/// How much of an answer is read: `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

/// How long the rest of it is waited for, and how much of it.
const REST_MAX: Duration = Duration::from_millis(50);
const REST_BYTES_MAX: u64 = 16 * 1024;

/// Asks until the node is gone.
pub(crate) async fn keep_checking(node: Arc<Node>, settings: Arc<Settings>) {
    let mut tick = interval(settings.check_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let checking = async {
        loop {
            tick.tick().await;
            node.found(condition(node.address, &settings).await);
            node.forget_old_connections(&settings);
        }
    };
    node.gone.run_until_cancelled(checking).await;
}

async fn condition(address: SocketAddr, settings: &Settings) -> Condition {
    for (path, condition) in [
        ("/readyz", Condition::Ready),
        ("/healthz", Condition::Healthy),
    ] {
        match timeout(settings.check_timeout, says_yes(address, path)).await {
            Ok(Ok(true)) => return condition,
            Ok(Ok(false)) => {}
            Ok(Err(_)) | Err(_) => return Condition::Down,
        }
    }
    Condition::Down
}

async fn says_yes(address: SocketAddr, path: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; STATUS_BYTES];
    stream.read_exact(&mut status).await?;
    // What is left is read away, so that the node sees a regular end; what it said counts without that.
    let mut rest = Vec::new();
    let _ = timeout(REST_MAX, stream.take(REST_BYTES_MAX).read_to_end(&mut rest)).await;
    Ok(status.starts_with(b"HTTP/1.") && status.ends_with(OK))
}
