//! What the suites below `tests` stand on: servers that start on free ports in folders of their own and end when they are
//! dropped, a client of the registry's protocol, and images made on the spot.
//!
//! Fixtures must never use a port, a folder or a process that they did not get themselves: suites run beside anything.

pub mod bound;
pub mod client;
pub mod cluster;
pub mod disk;
pub mod docker_registry;
pub mod garage;
pub mod haproxy;
pub mod holdfast;
pub mod images;
pub mod links;
pub mod nginx;
pub mod poor_store;
pub mod ports;
pub mod process;
pub mod redis;
pub mod tools;

pub use client::{Client, Reply};
pub use cluster::Cluster;
pub use disk::Disk;
pub use docker_registry::DockerRegistry;
pub use garage::GarageServer;
pub use haproxy::Haproxy;
pub use holdfast::HoldfastServer;
pub use images::Images;
pub use links::Links;
pub use nginx::Nginx;
pub use poor_store::PoorStore;
pub use process::Process;
pub use redis::RedisServer;
