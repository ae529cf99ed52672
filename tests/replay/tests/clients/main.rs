//! The requests of clients that Debian does not package, or whose packages do not send them, replayed one by one.
//!
//! A module stands for a family of clients; a test for what that family needs of a registry.
#![expect(clippy::unwrap_used, reason = "a test that finds no value has failed")]

mod artifacts;
mod browsers;
mod buildkit;
mod containerd;
mod crane;
mod docker;
mod lazy_pullers;
mod orchestrators;
mod rate_limits;
mod resumers;
mod tokens;

use replay::{descriptor, image, media, registry};
