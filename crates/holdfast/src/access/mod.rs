//! Access as whoever owns a member's machine rules over it: switched on at the first start, switched off, lost passwords mended.
//!
//! It asks nobody for a password: whoever may enter the data folder of a member has the whole log already. What it does is
//! audited as done by `system`. No password is ever written to the log of the program. PROTOCOLS, "Rights".

mod at_start;
mod command;
mod first_admin;
mod machine;
mod reset;

pub use at_start::{Switched, at_start, note_what_the_log_says};
pub use command::{AccessArguments, ResetArguments, reset, run, shown_once};
pub use machine::{MachineAccess, SettingsChange};
