//! A node made of a plain socket: keeps the heads that it was sent, and behaves as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the node does with requests from now on, and with those that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Reads the body and answers 200.
    Answers,
    /// Says nothing at all, to checks of health neither, like a process that was stopped.
    Hangs,
    /// Is healthy, and answers nothing else.
    Waits,
    /// Answers 413 before it has read the body, and ends the connection as HTTP wants it.
    Refuses,
    /// Says what is no HTTP.
    Babbles,
}

/// The node. Ends when dropped.
pub struct Stub {
    pub address: SocketAddr,
    behaviour: watch::Sender<Behaviour>,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    heads: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// Connections that ended before their request had come whole.
    cut: watch::Sender<usize>,
}

impl Stub {
    pub async fn start() -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = watch::Sender::new(Behaviour::Answers);
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        let (told, shared) = (behaviour.subscribe(), Arc::clone(&seen));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, told.clone(), Arc::clone(&shared)));
            }
        });
        Stub {
            address,
            behaviour,
            seen,
            _tasks: tasks,
        }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    /// The heads of all requests but checks of health, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().unwrap().clone()
    }

    /// How many connections brought a request that was no check of health.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until a connection has ended within a request.
    pub async fn wait_for_cut(&self) {
        let mut cut = self.seen.cut.subscribe();
        cut.wait_for(|cut| *cut > 0).await.unwrap();
    }

    /// Waits until so many requests have come.
    pub async fn wait_for_heads(&self, count: usize) {
        while self.heads().len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

async fn serve(stream: TcpStream, mut behaviour: watch::Receiver<Behaviour>, seen: Arc<Seen>) {
    let mut stream = BufStream::new(stream);
    let mut is_first = true;
    while let Some(head) = read_head(&mut stream).await {
        let is_check = head.starts_with("get /readyz ") || head.starts_with("get /healthz ");
        if !is_check {
            seen.heads.lock().unwrap().push(head.clone());
            seen.connections
                .fetch_add(usize::from(is_first), Ordering::SeqCst);
            is_first = false;
        }
        let holds =
            |now: &Behaviour| *now != Behaviour::Hangs && (is_check || *now != Behaviour::Waits);
        let now = *behaviour.wait_for(holds).await.unwrap();
        if now == Behaviour::Babbles && !is_check {
            let _ = stream.write_all(b"what?\r\n\r\n").await;
            let _ = stream.flush().await;
            return;
        }
        let refuses = now == Behaviour::Refuses && !is_check;
        if !refuses && skip_body(&mut stream, &head).await.is_none() {
            seen.cut.send_modify(|cut| *cut += 1);
            return;
        }
        let answer: &[u8] = if refuses {
            b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!"
        } else {
            b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=9\r\nConnection: x-inner\r\nX-Inner: 1\r\nX-Outer: 2\r\nContent-Length: 2\r\n\r\nok"
        };
        let is_sent = stream.write_all(answer).await.is_ok() && stream.flush().await.is_ok();
        if refuses {
            // The end is said, and what still comes is read away.
            let _ = stream.shutdown().await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            return;
        }
        if !is_sent {
            return;
        }
    }
}

async fn read_head(stream: &mut BufStream<TcpStream>) -> Option<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
        if &head[before..] == "\r\n" {
            return Some(head.to_ascii_lowercase());
        }
    }
}

/// Reads the body of the given length away; nothing when the connection ends within it.
async fn skip_body(stream: &mut BufStream<TcpStream>, head: &str) -> Option<()> {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: u64 = length.map_or(0, |length| length.parse().unwrap());
    let mut body = stream.take(length);
    let read = tokio::io::copy(&mut body, &mut tokio::io::sink())
        .await
        .ok()?;
    (read == length).then_some(())
}
