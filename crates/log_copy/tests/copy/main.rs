//! What is copied is what a restore gives, whatever fails on the way and wherever the copying dies.

mod faults;
mod refused;
mod restored;
mod world;
