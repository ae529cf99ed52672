//! The service over the real state machine, in memory: what is given to whom, what is refused, and what is never told.

mod abuse;
mod browser;
mod flow;
mod house;
mod refresh;
