//! What must hold, one promise a file: after every step, and at the end.

pub mod p1;
pub mod p2;
pub mod p4;
pub mod p6;
pub mod p7;
pub mod time;
