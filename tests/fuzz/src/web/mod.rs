//! A registry in memory behind the real HTTP server, and connections to it that are not sockets.
//!
//! Time stands still but for timers: when nothing else can happen, the next one is due. So an input that makes the server wait
//! costs nothing, and a wait without an end is seen.

mod answers;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use api::InProcess;
use ports::IdSource;
use ports::blob_store::memory::MemoryBlobStore;
use ports::metadata_store::memory::MemoryMetadataStore;
use registry::{Parts, Registry};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::{Builder, Runtime};

pub use answers::{Answer, read_all, take_one};

/// What a connection holds on its way.
const PIPE_BYTES: usize = 256 * 1024;
/// Uploads have parts of so many bytes, so that small ones have several.
pub const PART_BYTES: u32 = 4096;
/// Simulated time after which a server that has not ended a connection never will.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Ids that every run gives in the same order.
#[derive(Debug, Default)]
struct CountedIds(std::sync::atomic::AtomicU64);

impl IdSource for CountedIds {
    fn fresh(&self) -> u128 {
        nth_id(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// The id that is given after so many others.
pub fn nth_id(count: u64) -> u128 {
    0x0123_4567_89ab_4def_8123_0000_0000_0000 + u128::from(count)
}

/// A registry.
pub struct World {
    runtime: Runtime,
    server: InProcess,
    /// Its log.
    pub log: MemoryMetadataStore,
    requests: Cell<u64>,
}

impl World {
    /// An empty one; `check` looks at its tables after each entry.
    pub fn new(check: fn(&metadata::MemoryTables)) -> World {
        let log = MemoryMetadataStore::with_check(check);
        let registry = Registry::new(Parts {
            metadata: Arc::new(log.clone()),
            blobs: Arc::new(MemoryBlobStore::new()),
            ids: Arc::new(CountedIds::default()),
            settings: registry::Settings {
                part_size: PART_BYTES,
                ..registry::Settings::default()
            },
        });
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        World {
            runtime: runtime.expect("a runtime without I/O needs nothing"),
            server: InProcess::new(registry, api::Settings::default()),
            log,
            requests: Cell::new(0),
        }
    }

    /// How many times bytes were sent to it.
    pub fn uses(&self) -> u64 {
        self.requests.get()
    }

    /// Sends bytes on a connection of their own, and gives all that comes back until the server ends it. If the client
    /// `leaves`, it says that it sends no more.
    pub fn send(&self, bytes: &[u8], leaves: bool) -> Vec<u8> {
        self.requests.set(self.requests.get() + 1);
        self.runtime.block_on(async {
            let (near, far) = tokio::io::duplex(PIPE_BYTES);
            let (_, answer) = tokio::join!(self.server.serve(far), client(near, bytes, leaves));
            answer
        })
    }

    /// A connection that stays open for one request after the other.
    pub fn connect(&self) -> Connection<'_> {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let server = self.server.clone();
        self.runtime.spawn(async move { server.serve(far).await });
        Connection {
            world: self,
            stream: near,
            read: Vec::new(),
        }
    }
}

async fn client(near: DuplexStream, bytes: &[u8], leaves: bool) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(near);
    let mut answer = Vec::new();
    let sending = async {
        // The server may end the connection before it has read everything.
        if writer.write_all(bytes).await.is_ok() && leaves {
            let _ = writer.shutdown().await;
        }
        std::future::pending::<()>().await;
    };
    let reading = tokio::time::timeout(FOR_EVER, reader.read_to_end(&mut answer));
    tokio::select! {
        read = reading => {
            let read = read.expect("the server ends a connection that says nothing more");
            read.expect("a pipe in memory does not fail");
        }
        () = sending => {}
    }
    answer
}

/// A connection for one request after the other.
pub struct Connection<'a> {
    world: &'a World,
    stream: DuplexStream,
    read: Vec<u8>,
}

impl Connection<'_> {
    /// Sends a whole request and gives its answer; `None` when the server has ended the connection before that.
    pub fn ask(&mut self, request: &[u8], is_head: bool) -> Option<Answer> {
        self.world.requests.set(self.world.requests.get() + 1);
        let (stream, read) = (&mut self.stream, &mut self.read);
        self.world.runtime.block_on(async {
            stream.write_all(request).await.ok()?;
            loop {
                if let Some((answer, len)) = take_one(read, is_head) {
                    read.drain(..len);
                    return Some(answer);
                }
                let more = stream.read_buf(read);
                let more = tokio::time::timeout(FOR_EVER, more).await;
                let more = more.expect("a request has an answer");
                if more.expect("a pipe in memory does not fail") == 0 {
                    return None;
                }
            }
        })
    }
}
