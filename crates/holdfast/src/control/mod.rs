//! The control socket: what commands of this machine ask of the running node whose data folder they name.
//!
//! One line of JSON is asked and one is answered. Whoever may enter the data folder may ask: nobody else can reach the socket.

mod client;
mod message;
mod server;

pub use client::ask;
pub use message::Order;
pub use server::serve;
