//! The API over a real registry whose log is in memory: every operation by everyone, and what each of them does.

mod audit;
mod fixture;
mod refusals;
mod resources;
mod rights;
mod sessions;
mod specification;
