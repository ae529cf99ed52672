//! metadata_raft.
