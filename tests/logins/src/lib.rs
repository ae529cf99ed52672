//! Logins that are checked by the servers that people run: the tests are in `tests/`, one file per server.
//!
//! Must never be needed by what ships.
