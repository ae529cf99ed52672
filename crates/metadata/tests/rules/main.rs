//! The rules of the replicated state, by tables and by properties. Each entry that a test applies is also checked for
//! every invariant, for the number of rows that it touches, and, when it is refused, for having changed nothing.

//blobs
mod keys;
//lists
//manifest_deletions
//manifests
//model
//preconditions
//properties
//replies
//upload_ends
mod uploads;
mod world;
