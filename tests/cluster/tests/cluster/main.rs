//! Whole clusters of real processes behind HAProxy, with Garage behind them: nodes die, hang, come, go and lie, the object
//! store goes away, and no client notices more than the design says.
//!
//! A module holds one kind of trouble. Each test has a cluster of its own.

mod bad_peers;
mod clocks;
mod crashed_manifests;
mod cut_off;
mod full_disks;
mod future_messages;
mod growth;
mod killed_nodes;
mod lost_members;
mod lost_store;
mod moved_blobs;
mod pauses;
mod poor_store;
mod refused_joins;
mod rights;
mod rotated_authority;
mod shared_uploads;
mod slow_peers;
mod upgrade;
mod woken;
mod wrong_disks;
