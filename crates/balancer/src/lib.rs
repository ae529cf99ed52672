//! A small HTTP/1.1 balancer for a trial on one machine; production has HAProxy or nginx, with the files in `deploy`.
//!
//! Each request goes to the next node in turn, never to the same one because the last did. Bodies stream both ways and
//! have no limit. What a node has lost before it began to answer is sent to another one, when sending it twice does no
//! harm. It never keeps more of a request than [`Settings::kept_bytes_max`], never waits without a deadline, and never
//! answers an error that is not OCI JSON, because docker gives up at once on one.
//! PROTOCOLS, "The balancer's part".

mod answer_body;
mod check;
mod connection;
mod forward;
mod headers;
mod node;
mod nodes;
mod problem;
mod repeat;
mod request_body;
mod server;
mod settings;
mod transport;

pub use node::{Condition, NodeReport};
pub use server::{Balancer, Counts};
pub use settings::Settings;
