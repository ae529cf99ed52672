//! The way to the log's writer: a queue, and the thread that serves it. In a simulation a task serves it.

use std::io;
use std::sync::mpsc::{Sender, channel};

use super::writer::{Request, Writer};

pub(super) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the metadata log is closed")
}

/// See the module. Clones lead to the same writer, which ends when the last one is gone.
#[derive(Clone)]
pub(super) struct Requests {
    queue: Sender<Request>,
    #[cfg(feature = "simulation")]
    arrived: std::sync::Arc<tokio::sync::Notify>,
}

impl Requests {
    /// Starts the writer.
    pub(super) fn to(writer: Writer) -> io::Result<Requests> {
        let (queue, receiver) = channel();
        let requests = Requests {
            queue,
            #[cfg(feature = "simulation")]
            arrived: std::sync::Arc::default(),
        };
        #[cfg(feature = "simulation")]
        if crate::simulation::is_on() {
            let arrived = std::sync::Arc::clone(&requests.arrived);
            drop(tokio::spawn(writer.run_as_task(receiver, arrived)));
            return Ok(requests);
        }
        std::thread::Builder::new()
            .name("metadata-log".to_owned())
            .spawn(move || writer.run(&receiver))?;
        Ok(requests)
    }

    pub(super) fn send(&self, request: Request) -> io::Result<()> {
        self.queue.send(request).map_err(|_| closed())?;
        #[cfg(feature = "simulation")]
        self.arrived.notify_one();
        Ok(())
    }
}
