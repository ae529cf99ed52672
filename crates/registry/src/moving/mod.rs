//! Moves every object of a node that is alone to another store, while pushes and pulls go on.
//!
//! Keys are the same in both stores, and no key is ever written with other bytes: copying an object twice is harmless, and
//! which objects are still to be copied is seen from the stores themselves. So there is nothing to remember of a move but that
//! it goes on; the log does that.
//!
//! Effects, in order:
//!
//! ```text
//! 1  a probe in the new store               it is another store than the old one
//! 2  the old store gets its marker          a later start tells it from any other
//! 3  entry MoveStorage                      from now on objects may be in either store
//! 4  the node opens both                    writes go to the new one, reads look into both
//! 5  objects are copied                     blobs with their digests first, then whatever the old store lists
//! 6  nothing more comes to the old one      see below; then its list is gone through once more
//! 7  the new store gets its marker
//! 8  entry SwitchStorage                    from now on every object that a row names is in the new store
//! 9  the node closes the old one            its bytes are left as they are
//! ```
//!
//! Where the node dies: before 3 nothing has happened but that two small objects are left. From 3 to 8 the next start finds the
//! move in the log, and goes on at 4; it refuses to start with another store than the one that has the marker, since objects
//! would be missing. After 8 it refuses to start with a store that lacks the new marker. Each step may be done again at any
//! time.
//!
//! A multipart upload cannot be moved: its parts cannot be read. One that was begun in the old store is finished there, and its
//! object is copied like any other; new ones begin in the new store. So what comes to the old store ends (6) once the writers
//! that began before 4 have ended, and no open upload of the log has a multipart upload there. Uploads that nobody has written to
//! for a while are ended, lest one that was abandoned keeps the move from its end: a sealed one is finished, any other cancelled.
//!
//! What is deleted meanwhile is deleted in both stores, and never while its copy is under way ([`busy_keys`]): no copy comes
//! after the deletion. Nothing is switched before every object was copied in its full size, and every blob whose copy began before
//! with the bytes of its digest: what cannot be read keeps the move waiting, and says so.
//!
//! Design: `docs/protocols.md`, rule 5.14.

mod busy_keys;
mod copy;
mod mover;
mod pass;
mod staged;
mod status;
mod store;

pub use mover::{MoveBegin, Mover, belongs_to};
pub use status::{MoveStatus, MoveWatch};
pub use store::MovableStore;
