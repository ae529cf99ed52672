//! P4, available: when the faults have ended, every member serves again within a bound.

/// From the end of the faults until every member takes part and can confirm a read, in milliseconds.
pub const SERVES_AGAIN_MS_MAX: u64 = 8_000;
/// And until all have applied the same.
pub const AGREES_MS_MAX: u64 = 5_000;
