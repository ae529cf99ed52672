//! The balancer before nodes of plain sockets: what reaches a node, what reaches the client, and what neither can break.
//!
//! How it takes turns and repeats, and all else that it has in common with HAProxy, is in the suite `balancers`.

#![allow(clippy::unwrap_used, reason = "a panic of a test is its report")]

mod bad_clients;
mod bad_nodes;
mod messages;
mod stub;

use std::net::SocketAddr;
use std::time::Duration;

use balancer::{Balancer, Condition, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use stub::Stub;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A manifest, by its path.
const MANIFEST: &str = "/v2/library/app/manifests/v1";

/// An open upload, by its path.
const UPLOAD: &str = "/v2/library/app/blobs/uploads/0198";

/// A balancer that serves until the test ends.
struct Serving {
    balancer: Balancer,
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Serving {
    /// In front of these nodes, all of which it has found ready.
    async fn start(settings: Settings, nodes: &[&Stub]) -> Serving {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let balancer = Balancer::new(settings);
        for (number, node) in nodes.iter().enumerate() {
            let mut condition = balancer.put(&number.to_string(), node.address);
            let is_ready = condition.wait_for(|condition| *condition == Condition::Ready);
            tokio::time::timeout(PATIENCE, is_ready)
                .await
                .unwrap()
                .unwrap();
        }
        let stop = CancellationToken::new();
        let (served, stopped) = (balancer.clone(), stop.clone());
        let task = tokio::spawn(async move { served.serve(vec![listener], stopped).await });
        Serving {
            balancer,
            address,
            stop,
            task,
        }
    }

    /// A connection of a client.
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes on a connection of their own, and returns all that comes until its end.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The other side may have heard enough before the end.
        let _ = stream.write_all(bytes).await;
        read_all(&mut stream).await
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request that is the last on its connection.
fn last_request(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: registry.example:5000\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

/// The balancer's own error: OCI JSON, with the headers of a registry.
fn is_own_error(answer: &str, status: u16, code: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    let answer = answer.to_ascii_lowercase();
    assert!(
        answer.contains("content-type: application/json\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("docker-distribution-api-version: registry/2.0\r\n"),
        "{answer}"
    );
    let code = format!(r#"{{"errors":[{{"code":"{}""#, code.to_ascii_lowercase());
    assert!(answer.contains(&code), "{answer}");
    assert_eq!(answer.contains("retry-after: "), status > 500, "{answer}");
}
