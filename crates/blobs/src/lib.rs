//! blobs.
