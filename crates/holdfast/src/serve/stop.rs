//! The signals that stop the node.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM: a supervisor, behind which a balancer may have to notice.
    BySupervisor,
    /// SIGINT: a person at a terminal.
    AtTerminal,
}

impl Asked {
    /// The signal's name.
    pub fn name(self) -> &'static str {
        match self {
            Asked::BySupervisor => "SIGTERM",
            Asked::AtTerminal => "SIGINT",
        }
    }
}

/// The signals from when this was made on; none is lost between two calls.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes the signals over from the operating system's default, which ends the process.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn install() -> Result<StopSignals, Failure> {
        let take = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(format!("signals cannot be received: {error}")))
        };
        Ok(StopSignals {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::BySupervisor,
            _ = self.interrupt.recv() => Asked::AtTerminal,
        }
    }
}
