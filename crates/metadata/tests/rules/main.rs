//! The rules of the replicated state, by tables and by properties. Each entry that a test applies is also checked for
//! every invariant, for the number of rows that it touches, and, when it is refused, for having changed nothing.

mod access_changes;
mod access_decisions;
mod access_histories;
mod access_world;
mod audit;
mod authorities;
mod blobs;
mod formats;
mod founding;
mod join_tokens;
mod keys;
mod lists;
mod manifest_deletions;
mod manifests;
mod model;
mod node_histories;
mod nodes;
mod preconditions;
mod properties;
mod replies;
mod roster;
mod sparse_images;
mod storage;
mod succession;
mod upkeep;
mod upload_ends;
mod uploads;
mod world;
