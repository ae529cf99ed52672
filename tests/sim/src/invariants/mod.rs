//! What must hold, one file for each promise. Most is checked in the step that could break it: when an entry is applied, when
//! the store is asked to do something, when a client is answered. What needs an end is checked after the heal.

pub mod p1;
pub mod p2;
pub mod p2_uploads;
pub mod p3;
pub mod p4;
pub mod p5;
pub mod p6;
pub mod p7;
pub mod p8;
pub mod p8_audit;
pub mod p8_tokens;

use metadata::ObjectKey;
use parking_lot::Mutex;
use ports::ByteSpan;

use crate::census::Kind;
use crate::clients::Permit;
use crate::log::{Applied, Content, Machine, command_name};
use crate::world::World;

/// Names of checks, as they are counted.
pub const ALL: &[&str] = &[
    p1::DECIDED,
    p1::KEPT,
    p1::KEPT_BY_MEMBERS,
    p2::TAGS,
    p2_uploads::UPLOADS,
    p3::NAMED,
    p3::DELETED,
    p3::PULLED,
    p4::SERVED,
    p5::OFFSET,
    p5::READ_BACK,
    p6::EQUAL,
    p6::TABLES,
    p7::BOUNDED,
    p7::ROWS,
    p8::PERMISSIONS,
    p8::REFUSED,
    p8_audit::RECORDED,
    p8_audit::CHAINED,
    p8_tokens::ENDED,
    p8_tokens::TAKEN,
    p8_tokens::NEWEST,
];

/// What is remembered to be compared with.
#[derive(Default)]
pub struct Watch {
    decided: Mutex<p1::Decided>,
    objects: Mutex<p3::Objects>,
    /// What clients were told.
    pub told: p1::Told,
    /// What clients did to tags, and saw.
    pub tags: p2::Histories,
    /// What clients did to uploads, and were told.
    pub uploads: p2_uploads::Uploads,
    /// How much there was of anything at once.
    pub marks: p7::Marks,
    /// What people were allowed and refused.
    pub permissions: p8::Permissions,
    /// What administrators changed, and were told.
    pub changes: p8_audit::Changes,
    /// What is known of the keys of tokens.
    pub tokens: p8_tokens::Tokens,
    /// Permissions that are tried once more in the end: by whose story, which, and with which proof.
    pub tried_again: Mutex<Vec<(u64, Permit, u64)>>,
}

impl Watch {
    /// A member has applied an entry.
    pub fn applied(&self, world: &World, node: u64, applied: &Applied, machine: &Machine) {
        if let Some(known) = self.decided.lock().check(world, node, applied) {
            p6::check_equal(world, known, node, applied);
            return;
        }
        if let Content::Command(entry) = &applied.entry.content {
            world
                .census
                .count(Kind::Command, command_name(&entry.command));
        }
        self.objects.lock().check(world, applied);
        p6::check_tables(world, applied.index, &machine.tables);
        self.marks.applied(world, applied);
        p8::check_refused(world, applied);
        p8_tokens::check_newest(world, applied, machine);
    }

    /// The store is asked for bytes.
    pub fn store_is_read(&self, world: &World, key: &ObjectKey, span: ByteSpan) {
        let is_blob = self.objects.lock().is_blob(key);
        p5::check_read(world, key, span, is_blob);
    }

    /// Objects are about to be deleted.
    pub fn objects_are_deleted(&self, world: &World, keys: &[ObjectKey]) {
        self.objects.lock().check_deletion(world, keys);
    }

    /// So many bytes are held on their way into the store.
    pub fn staged(&self, world: &World, bytes: u64) {
        self.marks.staged(world, bytes);
    }

    /// The last index that was decided.
    #[must_use]
    pub fn last_decided(&self) -> u64 {
        self.decided.lock().last()
    }
}
