//! What `holdfast-load` and `holdfast-chaos` share: a client of any registry that checks each byte, and what is done with it.
//!
//! It knows the registry's protocol and nothing of Holdfast, so that any registry can be measured and broken with it.

pub mod chaos;
pub mod client;
pub mod image;
pub mod layer;
pub mod manifest;
pub mod mixed;
pub mod pull;
pub mod push;
pub mod report;
pub mod run;
pub mod tokens;
pub mod watch;
