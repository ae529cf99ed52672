//! Fuzzers of everything that parses, and of sequences of requests with a model that knows the answers (promise P8).
//!
//! Each parser is a [`Target`]: where its inputs come from, and what must hold of each. The engine changes good inputs, keeps
//! what brings it somewhere new, and wants of every input that nothing panics, that time and memory stay within bounds, and
//! that what was read is printed as what reads the same. What a seed does it does again. What is found is made as small as it
//! gets and becomes a file of the corpus, which every later run begins with. Must never write outside of the corpus and `target`.

mod batch;
// The program's own module: a program is no library. Its tests are run where it is at home.
#[cfg(not(test))]
#[allow(dead_code, unused_imports, reason = "the program uses all of it")]
#[path = "../../../crates/holdfast/src/config/mod.rs"]
mod config;
pub mod corpus;
mod dice;
mod engine;
mod memory;
mod minimise;
mod mutate;
mod panics;
mod requests;
mod table;
mod target;
mod targets;
mod watch;
mod web;

pub use batch::{Budget, Report, run};
pub use engine::{Finding, try_input};
pub use panics::listen as listen_for_panics;
pub use table::{table, tell};
pub use target::{Shape, Target, Verdict};
pub use targets::all;
