//! holdfast.

fn main() {}
