//! What the tests of whole clusters share: a load that runs beside a test, and how long the test is to be.
//!
//! The rule of every test here: what a client was told has happened, and no request fails that the design says must not.

pub mod length;
pub mod load;

pub use length::Length;
pub use load::{Load, Report};
