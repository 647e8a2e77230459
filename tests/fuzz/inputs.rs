//! The inputs: seeds, and what comes of them by a few cuts, repetitions and insertions.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use crate::rng::Rng;
use crate::{eval, load, params};

/// Signs and words that are put into an input.
const PIECES: [&[u8]; 30] = [
    b"$",
    b"${",
    b"}",
    b"`",
    b"\\",
    b"'",
    b"\"",
    b"\n",
    b"\n  ",
    b"- ",
    b": ",
    b"{",
    b"[",
    b"]",
    b",",
    b"#",
    b"&a ",
    b"*a ",
    b"<<: ",
    b"\xff",
    b"\xc3\xbc",
    b"\0",
    b"re:",
    b"<<E\n",
    b"$(",
    b")",
    b"0",
    b"-1",
    b"1e999",
    b"---\n",
];

fn files(dir: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok();
    text.map(|text| text.parse().expect("a number"))
}

/// Checks the seeds as they are, then changed ones.
fn all(seeds: &[Vec<u8>], check: fn(&[u8])) {
    let tell = |what: &str, input: &[u8]| {
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| check(input))) {
            eprintln!("{what}: {}", input.escape_ascii());
            resume_unwind(failure);
        }
    };
    for seed in seeds {
        tell("a seed", seed);
    }
    let rounds = match number("PROCTOR_FUZZ_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PROCTOR_FUZZ_ROUNDS").unwrap_or(1000),
    };
    for round in rounds {
        tell(
            &format!("PROCTOR_FUZZ_SEED={round}"),
            &changed(seeds, &mut Rng::new(round)),
        );
    }
}

/// One of the seeds with a few cuts, repetitions and insertions.
fn changed(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = seeds[rng.below(seeds.len())].clone();
    for _ in 0..1 + rng.below(4) {
        let from = rng.below(input.len() + 1);
        let to = (from + rng.below(12)).min(input.len());
        let put = match rng.below(3) {
            _ if rng.percent(25) => Vec::new(),
            0 => input[from..to].repeat(2),
            1 => {
                let other = &seeds[rng.below(seeds.len())];
                let at = rng.below(other.len() + 1);
                other[at..(at + rng.below(40)).min(other.len())].to_vec()
            }
            _ => PIECES[rng.below(PIECES.len())].to_vec(),
        };
        input.splice(from..to, put);
    }
    input
}

#[test]
fn dags() {
    let mut seeds = files("tests/fuzz/seeds/load");
    seeds.extend(files("etc/examples"));
    all(&seeds, load::check);
}

#[test]
fn parameters() {
    all(&files("tests/fuzz/seeds/params"), params::check);
}

#[test]
fn expressions() {
    all(&files("tests/fuzz/seeds/eval"), eval::check);
}
