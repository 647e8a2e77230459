//! The `proctorctl` binary.
fn main() {}
