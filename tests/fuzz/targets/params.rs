//! `tests/fuzz/params.rs` for libFuzzer.
#![no_main]

#[path = "../params.rs"]
mod params;
#[path = "../parts.rs"]
mod parts;

libfuzzer_sys::fuzz_target!(|input: &[u8]| params::check(input));
