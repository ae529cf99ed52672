//! What the suite of balancers stands on: nodes made of plain sockets that fail in every way in which a node can fail
//! between two bytes, exactly when they are told to, which a real node cannot be made to do.

mod exchange;
mod stub;

pub use stub::{Fault, Nodes, Seen};
