//! Signal dispositions, set for every signal number including those glibc keeps to itself.
#![expect(unsafe_code, reason = "rt_sigaction with the kernel's own structure")]

use std::io;

/// The highest signal number of Linux.
pub(crate) const LAST_SIGNAL: i32 = 64;

/// Sets every disposition to the default. Ignored signals survive `execve(2)`, so a job would inherit them.
///
/// Async-signal-safe: it makes system calls and nothing else.
pub(crate) fn default_dispositions() {
    // All zeroes is `SIG_DFL`, no flags, empty mask in every layout the kernel has for this structure.
    let default = [0u64; 5];
    for signal in 1..=LAST_SIGNAL {
        let old: *mut u64 = std::ptr::null_mut();
        // SAFETY: the kernel reads at most 32 bytes from `default` and writes nothing. SIGKILL and SIGSTOP
        // fail with EINVAL, which is right. No handler is installed, so no code can be run by this.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, 8usize) };
    }
}

/// Unblocks every signal for the calling thread, by the kernel's own call so that none is left out.
///
/// Async-signal-safe: one system call.
pub(crate) fn empty_mask() -> io::Result<()> {
    let mask = 0u64;
    let old: *mut u64 = std::ptr::null_mut();
    // SAFETY: the kernel reads the eight bytes of `mask`, as the last argument says, and writes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            old,
            8usize,
        )
    };
    super::check(result)?;
    Ok(())
}
