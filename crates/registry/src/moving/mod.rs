//! Moves every object to another store, while pushes and pulls go on; the part of one node, and that of the node that leads.
//!
//! Keys are the same in both stores, and no key is ever written with other bytes: copying an object twice is harmless, and
//! which objects are still to be copied is seen from the stores themselves. So there is nothing to remember of a move but which
//! step it is at; the log does that, and no step is taken before every node has taken the one before it.
//!
//! Effects, in order:
//!
//! ```text
//! 1  a probe in the new store               it is another store than the old one
//! 2  the old store gets its marker          a later start tells it from any other
//! 3  entry MoveStorage                      every node opens the new store beside the old one: reads look into both, a part goes
//!                                           to its multipart upload in either, and what is new goes to the old one
//! 4  entries ConfirmStorage                 each node, once nobody there writes who knows the old one only
//! 5  entry FillStorage                      every node writes what is new to the new store
//! 6  entries ConfirmStorage                 each node, once nobody there writes who knows the step before only
//! 7  objects are copied                     blobs with their digests first, then whatever the old store lists
//! 8  nothing more comes to the old one      see below; then its list is gone through once more
//! 9  the new store gets its markers, the old one says where the blobs went
//! 10 entry SwitchStorage                    from now on every object that a row names is in the new store
//! 11 each node closes the old one           its bytes are left as they are
//! ```
//!
//! Where a node dies: before 3 nothing has happened but that two small objects are left. From 3 to 10 the next start finds the
//! move in the log, and goes on at the step that it is at; whoever leads works at 5 and 7 to 10. A node does not start with a store
//! that lacks the marker that the log asks for. Each step may be done again at any time, and by two nodes at once, one of which was
//! paused and believes that it leads.
//!
//! Where a node is paused: before 4 or 6 the move waits for it, or until it is removed. After 6 it has both stores open and writes to the
//! new one, so that it misses nothing when it wakes after the switch.
//!
//! A multipart upload cannot be moved: its parts cannot be read. One that was begun in the old store is finished there, and its
//! object is copied like any other; new ones begin in the new store. So what comes to the old store ends (8) once every node has
//! taken step 6, and no open upload of the log has a multipart upload there. Uploads that nobody has written to
//! for a while are ended, lest one that was abandoned keeps the move from its end: a sealed one is finished, any other cancelled.
//! The log's copy stays in the old store until the switch, and goes on in the new one after what was copied of it.
//!
//! What is deleted meanwhile is deleted in both stores, and never while its copy is under way ([`busy_keys`]): no copy of this node
//! comes after the deletion. One of a node that was paused in the middle of it and leads no more can leave an object that nobody names.
//! Nothing is switched before every object was copied in its full size, and every blob whose copy began before
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

pub use mover::{Marks, MoveBegin, Mover, marks};
pub use status::{MoveStatus, MoveWatch};
pub use store::{MovableStore, Standing};
