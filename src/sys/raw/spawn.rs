//! Making a child process and running a program in it.
//!
//! The child may share the parent's memory (`CLONE_VM | CLONE_VFORK`, as `posix_spawn` of glibc does), so it
//! must not allocate, lock, panic or return. Everything it needs lies prepared in [`Plan`]; it makes system
//! calls and nothing else. This is sound because the calling thread is stopped until the child has executed
//! the program or ended; the child runs on a stack of its own; it has its own descriptor table and its own
//! signal dispositions; and every signal is blocked in the caller, so no handler of the parent can run in
//! the shared memory. `errno` is the only thing of the parent it changes, and the caller reads that never.
#![expect(unsafe_code, reason = "clone3 and what runs between it and execve")]

use super::{check, signals};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// `CLONE_INTO_CGROUP`. The constant of the libc crate is a `c_int` in which this bit does not fit.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Bytes of stack for a child that shares the parent's memory; its call depth is small and fixed.
#[cfg(target_arch = "x86_64")]
const STACK: usize = 64 * 1024;

/// What the child reports, as its stage, right before it executes the program.
pub(crate) const READY: i32 = -1;

/// The steps of the child that can fail, in the order they happen; the number goes over the error pipe.
pub(crate) const STAGES: [&str; 8] = [
    "stdio",
    "close descriptors",
    "setsid",
    "setpgid",
    "cgroup",
    "chdir",
    "signal mask",
    "exec",
];

/// `struct clone_args` of `linux/sched.h` (version 2, Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// All that the child does, resolved to numbers and pointers. The lifetime keeps what they point to.
pub(crate) struct Plan<'a> {
    program: *const libc::c_char,
    program_fd: RawFd,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    stdio: [RawFd; 3],
    cwd_fd: RawFd,
    cwd_path: *const libc::c_char,
    cgroup_procs: RawFd,
    new_session: bool,
    process_group: libc::pid_t,
    report: RawFd,
    owner: PhantomData<&'a ()>,
}

/// A null-terminated array of C strings, kept together with the strings.
pub(crate) struct StringArray<'a> {
    pointers: Vec<*const libc::c_char>,
    owner: PhantomData<&'a std::ffi::CStr>,
}

impl<'a> StringArray<'a> {
    /// The array form of `strings` that `execve(2)` wants.
    pub(crate) fn new(strings: &'a [std::ffi::CString]) -> Self {
        let pointers = strings
            .iter()
            .map(|text| text.as_ptr())
            .chain([ptr::null()])
            .collect();
        Self {
            pointers,
            owner: PhantomData,
        }
    }
}

/// The parts of a [`Plan`], by name. Every descriptor must be 3 or above, so that none is overwritten.
pub(crate) struct PlanParts<'a> {
    pub(crate) program: &'a std::ffi::CStr,
    pub(crate) program_fd: Option<BorrowedFd<'a>>,
    pub(crate) argv: &'a StringArray<'a>,
    pub(crate) envp: &'a StringArray<'a>,
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    pub(crate) cwd_fd: Option<BorrowedFd<'a>>,
    pub(crate) cwd_path: Option<&'a std::ffi::CStr>,
    pub(crate) new_session: bool,
    pub(crate) process_group: Option<libc::pid_t>,
    pub(crate) report: BorrowedFd<'a>,
}

impl<'a> Plan<'a> {
    /// Resolves the parts to what the child can use without any work.
    pub(crate) fn new(parts: &PlanParts<'a>) -> Self {
        let raw = |fd: Option<BorrowedFd<'a>>| fd.map_or(-1, |fd| fd.as_raw_fd());
        Self {
            program: parts.program.as_ptr(),
            program_fd: raw(parts.program_fd),
            argv: parts.argv.pointers.as_ptr(),
            envp: parts.envp.pointers.as_ptr(),
            stdio: parts.stdio.map(|fd| fd.as_raw_fd()),
            cwd_fd: raw(parts.cwd_fd),
            cwd_path: parts.cwd_path.map_or(ptr::null(), std::ffi::CStr::as_ptr),
            cgroup_procs: -1,
            new_session: parts.new_session,
            process_group: parts.process_group.unwrap_or(-1),
            report: parts.report.as_raw_fd(),
            owner: PhantomData,
        }
    }

    /// Lets the child join a cgroup by writing to this `cgroup.procs`, for kernels that refuse `clone3`.
    pub(crate) fn join(&mut self, procs: BorrowedFd<'a>) {
        self.cgroup_procs = procs.as_raw_fd();
    }
}

/// Starts the plan with `clone3(2)`, inside `cgroup` from its first instruction. The caller has blocked all
/// signals of this thread. Returns once the child has executed the program or ended.
pub(crate) fn clone3(plan: &Plan<'_>, cgroup: Option<BorrowedFd<'_>>) -> io::Result<(libc::pid_t, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    let mut flags = (libc::CLONE_PIDFD | libc::CLONE_VFORK).unsigned_abs().into();
    if cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let mut args = CloneArgs {
        flags,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        cgroup: cgroup.map_or(0, |fd| u64::from(fd.as_raw_fd().unsigned_abs())),
        ..CloneArgs::default()
    };
    let pid = check(enter(&mut args, plan))?;
    finish(pid, pidfd)
}

/// Starts the plan with the old `clone(2)` and memory of its own, where a filter refuses `clone3`.
pub(crate) fn clone_legacy(plan: &Plan<'_>) -> io::Result<(libc::pid_t, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    let flags = libc::c_long::from(libc::CLONE_PIDFD | libc::CLONE_VFORK | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and without a stack this is `fork`: the child continues on a copy of this
    // very stack. The third argument is where the parent gets the pidfd, on every architecture.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, &raw mut pidfd, 0usize, 0usize) };
    if pid == 0 {
        child(ptr::from_ref(plan));
    }
    finish(check(pid)?, pidfd)
}

fn finish(pid: libc::c_long, pidfd: RawFd) -> io::Result<(libc::pid_t, OwnedFd)> {
    // SAFETY: the clone succeeded with CLONE_PIDFD, so the kernel stored a new descriptor here.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((pid, pidfd))
}

#[cfg(target_arch = "x86_64")]
fn enter(args: &mut CloneArgs, plan: &Plan<'_>) -> libc::c_long {
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    args.flags |= u64::from(libc::CLONE_VM.unsigned_abs());
    args.stack = stack.as_mut_ptr().expose_provenance() as u64;
    args.stack_size = STACK as u64;
    let mut result = libc::SYS_clone3;
    // SAFETY: in the parent the instruction only returns a number (rcx and r11 are declared changed). The
    // child starts after `syscall` with the 16-byte aligned top of `stack` as its stack pointer, calls
    // `child`, which never returns, and so never touches the parent's frame. See the module's text for why
    // sharing memory is sound. `stack`, `args` and `plan` live until the child has left this memory.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, {plan}",
            "call {child}",
            "ud2",
            "2:",
            plan = in(reg) ptr::from_ref(plan),
            child = in(reg) child as extern "C" fn(*const Plan<'_>) -> !,
            inlateout("rax") result,
            in("rdi") ptr::from_ref(args),
            in("rsi") size_of::<CloneArgs>(),
            out("rcx") _,
            out("r11") _,
        );
    }
    drop(stack);
    if result < 0 {
        nix::errno::Errno::set_raw(i32::try_from(-result).unwrap_or(libc::EINVAL));
        return -1;
    }
    result
}

#[cfg(not(target_arch = "x86_64"))]
fn enter(args: &mut CloneArgs, plan: &Plan<'_>) -> libc::c_long {
    // SAFETY: without CLONE_VM and without a stack this is `fork`: the child continues on a copy of this
    // very stack, and `args` is live for the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, ptr::from_mut(args), size_of::<CloneArgs>()) };
    if pid == 0 {
        child(ptr::from_ref(plan));
    }
    pid
}

/// The child: does the plan and, if a step fails, says which and why, and ends.
extern "C" fn child(plan: *const Plan<'_>) -> ! {
    // SAFETY: the parent keeps the plan alive until this process has executed the program or ended.
    let plan = unsafe { &*plan };
    let Err((stage, errno)) = carry_out(plan);
    report(plan, stage, errno);
    // SAFETY: ends this process without running anything of the parent's (exit handlers, destructors).
    unsafe { libc::_exit(127) }
}

/// Writes one record to the error pipe.
fn report(plan: &Plan<'_>, stage: i32, errno: i32) {
    let record = [stage, errno];
    // SAFETY: eight live bytes. A pipe takes so little at once, or the reader is gone.
    unsafe { libc::write(plan.report, record.as_ptr().cast(), size_of_val(&record)) };
}

/// Fails with the stage's number and errno when `result` is negative.
fn step(stage: i32, result: libc::c_long) -> Result<(), (i32, i32)> {
    if result < 0 {
        Err((stage, nix::errno::Errno::last_raw()))
    } else {
        Ok(())
    }
}

/// Closes the descriptors from `first` to `last`, or has them close when the program starts.
fn close_range(first: libc::c_uint, last: libc::c_uint, flags: libc::c_uint) -> libc::c_long {
    // SAFETY: numbers only; the child's table is its own, and nothing in it is used after it was closed.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }
}

fn carry_out(plan: &Plan<'_>) -> Result<std::convert::Infallible, (i32, i32)> {
    for (target, source) in (0i32..).zip(plan.stdio) {
        // SAFETY: two numbers; the child's table is its own, and the plan's descriptors are all above 2.
        step(0, unsafe { libc::dup2(source, target) }.into())?;
    }
    // Everything from 3 on closes when the program starts, whoever opened it.
    step(1, close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC))?;
    if plan.new_session {
        // SAFETY: no arguments.
        step(2, unsafe { libc::setsid() }.into())?;
    }
    if plan.process_group >= 0 {
        // SAFETY: numbers only.
        step(3, unsafe { libc::setpgid(0, plan.process_group) }.into())?;
    }
    if plan.cgroup_procs >= 0 {
        let zero = c"0".as_ptr().cast();
        // SAFETY: one static byte; "0" means the writer itself.
        let joined = unsafe { libc::write(plan.cgroup_procs, zero, 1) };
        step(4, joined as libc::c_long)?;
    }
    if plan.cwd_fd >= 0 {
        // SAFETY: a number.
        step(5, unsafe { libc::fchdir(plan.cwd_fd) }.into())?;
    }
    if !plan.cwd_path.is_null() {
        if plan.program_fd < 0 {
            // A path may name a descriptor (`/proc/self/fd/N`), and none of the parent's is to be where the program starts.
            let report = plan.report.unsigned_abs();
            if report > 3 {
                step(1, close_range(3, report - 1, 0))?;
            }
            step(1, close_range(report.saturating_add(1), libc::c_uint::MAX, 0))?;
        }
        // SAFETY: a C string that the plan's owner keeps.
        step(5, unsafe { libc::chdir(plan.cwd_path) }.into())?;
    }
    signals::default_dispositions();
    if signals::empty_mask().is_err() {
        return Err((6, nix::errno::Errno::last_raw()));
    }
    report(plan, READY, 0);
    if plan.program_fd >= 0 {
        let empty = c"".as_ptr();
        // SAFETY: C strings and null-terminated arrays that the plan's owner keeps.
        let result = unsafe {
            libc::syscall(
                libc::SYS_execveat,
                plan.program_fd,
                empty,
                plan.argv,
                plan.envp,
                libc::AT_EMPTY_PATH,
            )
        };
        step(7, result)?;
    } else {
        // SAFETY: as above.
        let result = unsafe { libc::execve(plan.program, plan.argv, plan.envp) };
        step(7, result.into())?;
    }
    Err((7, libc::EINVAL))
}
