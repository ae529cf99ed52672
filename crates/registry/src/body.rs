//! The bytes that a client sends, as they come. Never collected.

use std::fmt;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

/// A request's body.
pub struct Body {
    /// The bytes as they come. After an error nothing more is taken.
    pub stream: BoxStream<'static, Result<Bytes, BodyFailure>>,
    /// How many bytes there will be, if the client said so.
    pub length: Option<u64>,
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Body {
        Body {
            stream: stream::empty().boxed(),
            length: Some(0),
        }
    }

    /// These bytes, and their number declared.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Body {
        let length = u64::try_from(bytes.len()).ok();
        Body {
            stream: stream::iter([Ok(bytes)]).boxed(),
            length,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Why a body ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyFailure {
    /// The connection ended, or what came on it was not HTTP.
    #[error("the connection ended within the body: {reason}")]
    Disconnected {
        /// For the log.
        reason: String,
    },
    /// The client sent nothing for too long.
    #[error("the body stalled")]
    TimedOut,
    /// This node stops, and the body has had the time that is left for what is in flight.
    #[error("the body outlasted the time that a stop leaves")]
    Stopping,
}
