//! What the crash tests share: operations, a ledger of what was acknowledged, and a worker that runs the one and keeps the
//! other through the death of its server.
//!
//! The rule: after a restart everything acknowledged is there byte for byte, and the one operation that was under way has
//! happened or has not. Design: `docs/architecture.md`, "Uploads", the table "the node dies … and then".

pub mod choice;
pub mod content;
pub mod crew;
pub mod ledger;
pub mod operation;
pub mod worker;

pub use content::Content;
pub use crew::Crew;
pub use ledger::Ledger;
pub use operation::Operation;
pub use worker::{Step, Worker};
