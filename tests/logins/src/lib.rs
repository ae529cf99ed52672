//! Logins that are checked by the servers that people run: the tests are in `tests/`, one module per server, and one with a node that asks them.
//!
//! Must never be needed by what ships.
