//! `tests/fuzz/load.rs` for libFuzzer.
#![no_main]

#[path = "../load.rs"]
mod load;
#[path = "../parts.rs"]
mod parts;

libfuzzer_sys::fuzz_target!(|input: &[u8]| load::check(input));
