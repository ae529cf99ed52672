//! Redis: alone, behind Sentinel, or as a Cluster.
//!
//! Connections are made in the background only. A call finds one or fails at once; it never makes one, and never waits longer
//! than its deadline. Two steps that must be one are a script on one key, so that they work in a Cluster too.

mod breaker;
mod connection;
mod keeper;
mod settings;
mod store;

pub use settings::{Password, RedisError, RedisLogin, RedisPlace, RedisSettings};
pub use store::RedisStore;
