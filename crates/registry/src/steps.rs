//! The named steps of push, mount and delete: where a node may die, and what must be harmless then.
//!
//! With the cargo feature `failpoints` each is a fail point of its name, so that a test can kill the node exactly
//! there; without it they cost nothing. A step stands before or after one effect on the log or the store
//! (`docs/architecture.md`, the table "the node dies … and then").

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// Every step of this crate.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

steps! {
    /// An upload is about to be opened.
    OPEN_BEFORE_ENTRY = "registry::open::before_entry";
    /// The upload is in the log; the client does not know yet.
    OPEN_AFTER_ENTRY = "registry::open::after_entry";
    /// A writer is about to take its epoch.
    WRITE_BEFORE_EPOCH = "registry::write::before_epoch";
    /// The epoch is committed; nothing is written yet.
    WRITE_AFTER_EPOCH = "registry::write::after_epoch";
    /// A multipart upload is about to be begun in the store.
    WRITE_BEFORE_MULTIPART = "registry::write::before_multipart";
    /// It was begun; the log does not know of it yet.
    WRITE_AFTER_MULTIPART = "registry::write::after_multipart";
    /// A part is about to be stored.
    WRITE_BEFORE_PART = "registry::write::before_part";
    /// A part is durable; no entry names it yet.
    WRITE_AFTER_PART = "registry::write::after_part";
    /// Parts are durable and a checkpoint is about to name them.
    WRITE_BEFORE_CHECKPOINT = "registry::write::before_checkpoint";
    /// The checkpoint is committed.
    WRITE_AFTER_CHECKPOINT = "registry::write::after_checkpoint";
    /// The tail is about to be stored as an object.
    WRITE_BEFORE_TAIL = "registry::write::before_tail";
    /// The tail is durable; no entry names it yet.
    WRITE_AFTER_TAIL = "registry::write::after_tail";
    /// The offset is about to be acknowledged.
    WRITE_BEFORE_ACKNOWLEDGE = "registry::write::before_acknowledge";
    /// The 202's entry is committed; the client does not know yet.
    WRITE_AFTER_ACKNOWLEDGE = "registry::write::after_acknowledge";
    /// The list of parts is about to be fixed.
    CLOSE_BEFORE_SEAL = "registry::close::before_seal";
    /// The list is fixed; the object is not complete.
    CLOSE_AFTER_SEAL = "registry::close::after_seal";
    /// The object is complete; no digest names it yet.
    CLOSE_AFTER_COMPLETE = "registry::close::after_complete";
    /// The digest is about to be recorded.
    CLOSE_BEFORE_FINISH = "registry::close::before_finish";
    /// The digest is recorded; the client does not know yet.
    CLOSE_AFTER_FINISH = "registry::close::after_finish";
    /// An upload is about to be cancelled.
    CANCEL_BEFORE_ENTRY = "registry::cancel::before_entry";
    /// It is cancelled; its objects are still there.
    CANCEL_AFTER_ENTRY = "registry::cancel::after_entry";
    /// The object of a large manifest is about to be stored.
    MANIFEST_BEFORE_OBJECT = "registry::manifest::before_object";
    /// It is durable; no entry names it yet.
    MANIFEST_AFTER_OBJECT = "registry::manifest::after_object";
    /// A manifest is about to be recorded.
    MANIFEST_BEFORE_ENTRY = "registry::manifest::before_entry";
    /// It is recorded; the client does not know yet.
    MANIFEST_AFTER_ENTRY = "registry::manifest::after_entry";
    /// A mount is about to be recorded.
    MOUNT_BEFORE_ENTRY = "registry::mount::before_entry";
    /// It is recorded; the client does not know yet.
    MOUNT_AFTER_ENTRY = "registry::mount::after_entry";
    /// A tag is about to go.
    DELETE_TAG_BEFORE_ENTRY = "registry::delete_tag::before_entry";
    /// It is gone; the client does not know yet.
    DELETE_TAG_AFTER_ENTRY = "registry::delete_tag::after_entry";
    /// A manifest's link is about to go.
    DELETE_MANIFEST_BEFORE_ENTRY = "registry::delete_manifest::before_entry";
    /// It, or a share of its tags, is gone.
    DELETE_MANIFEST_AFTER_ENTRY = "registry::delete_manifest::after_entry";
    /// A blob's link is about to go.
    DELETE_BLOB_BEFORE_ENTRY = "registry::delete_blob::before_entry";
    /// It is gone; the client does not know yet.
    DELETE_BLOB_AFTER_ENTRY = "registry::delete_blob::after_entry";
    /// The store is marked, and the move is about to be recorded.
    MOVE_BEFORE_BEGIN = "registry::move::before_begin";
    /// The move is recorded; nothing is in the new store yet.
    MOVE_AFTER_BEGIN = "registry::move::after_begin";
    /// Every node has both stores open.
    MOVE_BEFORE_FILL = "registry::move::before_fill";
    /// The log has it that what is new goes to the new store; this node does not know yet.
    MOVE_AFTER_FILL = "registry::move::after_fill";
    /// A copy is about to be made.
    MOVE_BEFORE_COPY = "registry::move::before_copy";
    /// An object is in both stores.
    MOVE_AFTER_COPY = "registry::move::after_copy";
    /// Everything is in the new store, which is not marked yet.
    MOVE_BEFORE_MARKER = "registry::move::before_marker";
    /// The new store is marked, and the switch is about to be recorded.
    MOVE_BEFORE_SWITCH = "registry::move::before_switch";
    /// The switch is recorded; this node still uses both stores.
    MOVE_AFTER_SWITCH = "registry::move::after_switch";
    /// Objects whose time has come are about to be removed.
    SWEEP_BEFORE_DELETE = "registry::sweep::before_delete";
    /// They are gone; the queue still has them.
    SWEEP_AFTER_DELETE = "registry::sweep::after_delete";
    /// They left the queue.
    SWEEP_AFTER_ENTRY = "registry::sweep::after_entry";
}

/// Stands at a step.
pub(crate) fn reach(step: &'static str) {
    let _ = step;
    fail::fail_point!(step);
}
