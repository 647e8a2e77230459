//! What the machine can do at best, measured in the same run: the yardstick of all other figures.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::report::Samples;
use crate::{Res, micros};

/// How many at a time make the parallel floor.
const THREADS: usize = 2;

/// The floors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floors {
    /// Microseconds for one spawn, exec and wait of a trivial static program; the median.
    pub(crate) serial: f64,
    /// The same for /bin/true, which is linked dynamically as most programs are.
    pub(crate) dynamic: f64,
    /// How many of these two threads do a second.
    pub(crate) parallel: f64,
    /// Microseconds for an append of a short line and fdatasync; the median.
    pub(crate) append: f64,
}

impl Floors {
    /// Measures in this directory.
    pub(crate) fn measure(dir: &Path, count: usize) -> Res<Self> {
        let program = trivial(dir)?;
        let serial = |program: &Path| {
            let samples = (0..count).map(|_| spawn(program)).collect::<Res<Vec<_>>>()?;
            Res::Ok(Samples::new(samples).median())
        };
        Ok(Self {
            serial: serial(&program)?,
            dynamic: serial(Path::new("/bin/true"))?,
            parallel: parallel(&program, count)?,
            append: append(dir, count)?,
        })
    }

    /// What two measurements come to, one before and one after what they are compared with.
    pub(crate) fn mean(self, other: Self) -> Self {
        let mean = |a: f64, b: f64| f64::midpoint(a, b);
        Self {
            serial: mean(self.serial, other.serial),
            dynamic: mean(self.dynamic, other.dynamic),
            parallel: mean(self.parallel, other.parallel),
            append: mean(self.append, other.append),
        }
    }
}

fn spawn(program: &Path) -> Res<f64> {
    let begin = Instant::now();
    // Without redirections the standard library uses posix_spawn(3), the cheapest way there is.
    let status = Command::new(program)
        .env_clear()
        .stdin(Stdio::inherit())
        .status()?;
    if !status.success() {
        return Err(format!("{} ended with {status}", program.display()).into());
    }
    Ok(micros(begin))
}

fn parallel(program: &Path, count: usize) -> Res<f64> {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    (0..count).try_for_each(|_| spawn(program).map(drop).map_err(|e| e.to_string()))
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    Ok(crate::count(count * THREADS) / begin.elapsed().as_secs_f64())
}

fn append(dir: &Path, count: usize) -> Res<f64> {
    let mut file = File::create(dir.join("append"))?;
    let line = [b'x'; 128];
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        file.write_all(&line)?;
        file.sync_data()?;
        samples.push(micros(begin));
    }
    Ok(Samples::new(samples).median())
}

/// A program that only exits, written by hand: nothing is linked, relocated or looked up when it starts.
fn trivial(dir: &Path) -> Res<PathBuf> {
    let Some((machine, code)) = exit_code() else {
        return Ok(PathBuf::from("/bin/true"));
    };
    // One 64-byte ELF header and one 56-byte program header; the code follows them.
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + u64::try_from(code.len())?;
    let mut image = Vec::from(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2_u16, machine] {
        image.extend(half.to_le_bytes());
    }
    image.extend(1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        image.extend(word.to_le_bytes());
    }
    image.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        image.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    for word in [1_u32, 5] {
        image.extend(word.to_le_bytes());
    }
    for word in [0, BASE, BASE, size, size, 0x1_0000] {
        image.extend(word.to_le_bytes());
    }
    image.extend(code);
    let path = dir.join("trivial");
    fs::write(&path, image)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// ELF's number of this machine, and `exit(0)` in its code.
fn exit_code() -> Option<(u16, &'static [u8])> {
    if cfg!(target_arch = "x86_64") {
        // mov eax, 60; xor edi, edi; syscall
        Some((62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]))
    } else if cfg!(target_arch = "aarch64") {
        // mov x8, #93; mov x0, #0; svc #0
        Some((
            183,
            &[
                0xa8, 0x0b, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
            ],
        ))
    } else {
        None
    }
}
