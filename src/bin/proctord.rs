//! The `proctord` binary.
fn main() {}
