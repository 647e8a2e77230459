//! Names and numbers of signals, and keeping signals off a stretch of code.

use super::raw::signals as raw;
use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;

/// The standard signals by number (1 to 31) come from nix; the real-time ones are counted from their ends.
fn standard(number: i32) -> Option<&'static str> {
    nix::sys::signal::Signal::try_from(number)
        .ok()
        .map(nix::sys::signal::Signal::as_str)
}

/// Whether `number` is a signal of this system.
#[must_use]
pub fn is_valid(number: i32) -> bool {
    standard(number).is_some() || (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number)
}

/// The number of a signal given as `SIGTERM`, `TERM`, `SIGRTMIN+3`, `RTMAX-1` or `15`. Case matters.
#[must_use]
pub fn parse(text: &str) -> Option<i32> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|number| is_valid(*number));
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let offset = |rest: &str, sign: char| -> Option<i32> {
        if rest.is_empty() {
            return Some(0);
        }
        let digits = rest.strip_prefix(sign)?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let real_time = if let Some(rest) = name.strip_prefix("RTMIN") {
        libc::SIGRTMIN().checked_add(offset(rest, '+')?)
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        libc::SIGRTMAX().checked_sub(offset(rest, '-')?)
    } else {
        // Other names of the same numbers.
        let name = match name {
            "CLD" => "CHLD",
            "POLL" => "IO",
            "IOT" => "ABRT",
            other => other,
        };
        return (1..32)
            .find(|number| standard(*number).and_then(|known| known.strip_prefix("SIG")) == Some(name));
    };
    real_time.filter(|number| (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(number))
}

/// The name of a signal: `SIGTERM`, `SIGRTMIN+3`; `signal 33` for a number without one.
#[must_use]
pub fn name(number: i32) -> String {
    if let Some(known) = standard(number) {
        return known.to_owned();
    }
    let first = libc::SIGRTMIN();
    match number {
        number if number == first => "SIGRTMIN".to_owned(),
        number if number > first && number <= libc::SIGRTMAX() => format!("SIGRTMIN+{}", number - first),
        number => format!("signal {number}"),
    }
}

/// All signals of the calling thread blocked, until this is dropped.
#[derive(Debug)]
pub struct Blocked {
    before: SigSet,
    // The mask belongs to the thread that set it.
    stay: std::marker::PhantomData<*const ()>,
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // Setting a mask that was read from the kernel cannot fail.
        let _set = self.before.thread_set_mask();
    }
}

/// Blocks every signal for the calling thread.
///
/// # Errors
/// Not on Linux.
pub fn block_all() -> io::Result<Blocked> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    Ok(Blocked {
        before,
        stay: std::marker::PhantomData,
    })
}

/// Sets every disposition to the default and unblocks every signal, as a program expects at its start.
///
/// # Errors
/// Not on Linux.
pub fn reset() -> io::Result<()> {
    raw::default_dispositions();
    raw::empty_mask()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_for_every_signal() {
        for number in 1..=64 {
            if is_valid(number) {
                assert_eq!(parse(&name(number)), Some(number), "{}", name(number));
            } else {
                assert_eq!(parse(&number.to_string()), None);
            }
        }
    }

    #[test]
    fn accepts_the_usual_spellings_and_refuses_others() {
        assert_eq!(parse("TERM"), Some(15));
        assert_eq!(parse("SIGKILL"), Some(9));
        assert_eq!(parse("RTMAX-1"), Some(libc::SIGRTMAX() - 1));
        for bad in [
            "",
            "SIG",
            "term",
            "0",
            "65",
            "-9",
            "+9",
            "RTMIN-1",
            "RTMIN+99",
            "RTMIN+-1",
            "SIGSIGTERM",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
