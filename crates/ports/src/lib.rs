//! The outside world as traits: the metadata log, the blob store, sessions, shared counts, the clock and the source of ids.
//!
//! Each port has its errors, an in-memory fake, a wrapper that injects faults, and a conformance suite that every
//! implementation runs. Nothing here performs I/O, and no implementation is named here.

pub mod blob_store;
pub mod clock;
pub mod ids;
pub mod metadata_store;
pub mod session_store;
pub mod shared_counts;

pub use blob_store::{
    BlobFailure, BlobStore, ByteSpan, ByteStream, CompletedPart, ListedObject, ListedUpload,
    StagedBytes, Target,
};
pub use clock::{Clock, SystemClock};
pub use ids::{IdSource, RandomIds};
pub use metadata_store::{Answered, Health, MetadataFailure, MetadataStore};
pub use session_store::{
    Degraded, Session, SessionId, SessionKey, SessionKind, SessionLife, SessionStore,
};
pub use shared_counts::{
    AccountMark, AddressPrefix, LoginAttempt, LoginGate, LoginOutcome, LoginTicket, PullAnswer,
    PullGate, PullLimit, PullReport, PullSettlement, PullSource, SharedCounts, ThrottlePolicy,
};

/// The time by which an answer is wanted. Handed down from the request; no wait outlives it.
pub type Deadline = tokio::time::Instant;
