//! P5, resumable anywhere: an offset that a client was told is never taken back, and no stored byte is read back to be
//! hashed but those of a tail, which is less than a part.

use metadata::ObjectKey;
use ports::ByteSpan;

use crate::census::Kind;
use crate::world::World;

/// An upload goes on at the offset that its client was told, or beyond it.
pub const OFFSET: &str = "P5 offset is kept";
/// What is read of an upload is a tail.
pub const READ_BACK: &str = "P5 nothing is read back";

/// The store is asked for bytes, by a pull or by an upload. `is_blob`: they are those of a blob that has its digest.
pub fn check_read(world: &World, key: &ObjectKey, span: ByteSpan, is_blob: bool) {
    if is_blob || key.as_str().contains("/manifest/") {
        return;
    }
    world.census.count(Kind::Invariant, READ_BACK);
    let is_tail = key.as_str().contains("/tail/");
    if !is_tail || span.len > u64::from(world.plan.settings.part_size) {
        world.breach(
            "P5",
            format!("{span} of {key}, which is no blob yet, are read back"),
        );
    }
}

/// A client asked where its upload stands, and was told before that `acknowledged` bytes are safe.
pub fn check_offset(world: &World, upload: &str, acknowledged: u64, offset: u64) {
    world.census.count(Kind::Invariant, OFFSET);
    if offset < acknowledged {
        world.breach(
            "P5",
            format!("upload {upload} stands at {offset}, and {acknowledged} were acknowledged"),
        );
    }
}
