//! P7, bounded: what is under way between members has a bound, whatever happens.

/// Bytes between members: a few windows for each of the connections between five of them.
pub const UNDER_WAY_BYTES_MAX: usize = 24 * 1024 * 1024;
