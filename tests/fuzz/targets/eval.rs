//! `tests/fuzz/eval.rs` for libFuzzer.
#![no_main]

#[path = "../eval.rs"]
mod eval;
#[path = "../parts.rs"]
mod parts;

libfuzzer_sys::fuzz_target!(|input: &[u8]| eval::check(input));
