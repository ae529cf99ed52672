//! Faults on a whole cluster of real processes, while clients work without pause.
//!
//! Three members, two gateways, HAProxy and Garage on this machine; every fault is done and undone by the harness, and the
//! clients, the histories and the report are those of `holdfast-chaos`.

pub mod faults;
pub mod preloaded;
pub mod run;

pub use faults::Kind;
pub use run::{Length, run};
