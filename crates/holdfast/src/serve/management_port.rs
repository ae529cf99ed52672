//! The management API as a node serves it.
//!
//! It is there from the start and harmless while access is not switched on: it then says so to everybody and does nothing.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use auth::{Doorkeeper, PasswordChecker};
use management::{Logins, Parts};
use registry::Registry;
use sessions::Sessions;

/// How long a password waits for its turn to be hashed.
const PASSWORD_WAIT_MAX: Duration = Duration::from_secs(5);

/// What checks and hashes passwords on this node: one for each processor at a time.
pub fn passwords() -> PasswordChecker {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    PasswordChecker::new(processors, PASSWORD_WAIT_MAX)
}

/// The routers that stand beside `/v2/`. People log in for a while if somebody makes sure who they are.
pub fn mounted(
    registry: &Registry,
    passwords: PasswordChecker,
    doorkeeper: Option<&Arc<Doorkeeper>>,
    sessions: &Sessions,
) -> api::Mounted {
    let logins = doorkeeper.map(|doorkeeper| Logins {
        doorkeeper: Arc::clone(doorkeeper),
        gate: sessions.login_gate(),
        store: sessions.store(),
    });
    let management = management::router(Parts {
        registry: registry.clone(),
        passwords,
        logins,
    });
    api::Mounted {
        management: Some(management),
        auth: None,
    }
}
