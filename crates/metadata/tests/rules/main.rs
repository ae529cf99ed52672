//! The rules of the replicated state, by tables and by properties. Each entry that a test applies is also checked for
//! every invariant, for the number of rows that it touches, and, when it is refused, for having changed nothing.

mod blobs;
mod keys;
mod lists;
mod manifest_deletions;
mod manifests;
mod model;
mod preconditions;
mod properties;
mod replies;
mod sparse_images;
mod upload_ends;
mod uploads;
mod world;
