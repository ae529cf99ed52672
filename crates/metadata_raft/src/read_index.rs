//! ReadIndex, shared: whoever waits when a confirmation begins is served by it.
//!
//! A confirmation that began before a read arrived says nothing about what was committed in between, so a read is
//! never served by one that is under way already (PROTOCOLS: "Reads").

use metadata::LogIndex;
use openraft::ReadPolicy;
use ports::{Deadline, MetadataFailure};
use tokio::sync::{mpsc, oneshot};

use crate::member::RaftHandle;

/// Reads that may wait at once.
const WAITING_MAX: usize = 16 * 1024;

type Waiter = oneshot::Sender<Result<LogIndex, MetadataFailure>>;

/// The entrance for reads.
pub(crate) struct ReadIndex {
    waiting: mpsc::Sender<Waiter>,
}

impl ReadIndex {
    /// Starts the task that confirms. It ends when the last entrance is dropped.
    pub(crate) fn start(raft: RaftHandle) -> (ReadIndex, tokio::task::JoinHandle<()>) {
        let (waiting, arrivals) = mpsc::channel(WAITING_MAX);
        (
            ReadIndex { waiting },
            tokio::spawn(confirm_for_ever(raft, arrivals)),
        )
    }

    /// The index that a state must have applied to answer a read that arrives now.
    pub(crate) async fn confirmed(&self, deadline: Deadline) -> Result<LogIndex, MetadataFailure> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.try_send(sender).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => unavailable("too many reads wait"),
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        match tokio::time::timeout_at(deadline, receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(stopped()),
            Err(_) => Err(unavailable(
                "no confirmation that nothing newer exists came before the deadline",
            )),
        }
    }
}

fn unavailable(reason: impl ToString) -> MetadataFailure {
    MetadataFailure::Unavailable {
        reason: reason.to_string(),
    }
}

fn stopped() -> MetadataFailure {
    MetadataFailure::Stopped {
        reason: "the metadata log is closed".to_owned(),
    }
}

async fn confirm_for_ever(raft: RaftHandle, mut arrivals: mpsc::Receiver<Waiter>) {
    let mut waiting = Vec::new();
    while arrivals.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        metrics::histogram!("holdfast_metadata_reads_per_confirmation")
            .record(waiting.len() as f64);
        let confirmed = match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Ok(LogIndex(linearizer.read_log_id().index())),
            Err(openraft::errors::RaftError::Fatal(fatal)) => Err(MetadataFailure::Stopped {
                reason: fatal.to_string(),
            }),
            Err(openraft::errors::RaftError::APIError(error)) => Err(unavailable(error)),
        };
        for waiter in waiting.drain(..) {
            // Who gave up waiting is not there any more.
            drop(waiter.send(confirmed.clone()));
        }
    }
}
