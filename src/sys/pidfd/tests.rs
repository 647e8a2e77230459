//! Tests of pidfds: exits, signals, information.

use super::*;
use crate::sys::testing::{Shell, await_exit};

#[test]
fn tells_running_exited_and_reaped_apart() {
    let mut shell = Shell::run("read x; exit 3");
    let process = &shell.child.pidfd;
    assert!(!process.is_exited().unwrap());
    assert_eq!(process.wait_peek().unwrap(), None);
    assert_eq!(process.reap().unwrap(), None);
    assert_eq!(process.info().unwrap().pid, Some(shell.child.pid));
    shell.input = None;
    await_exit(process);
    assert!(process.is_exited().unwrap());
    assert!(!process.is_reaped().unwrap());
    assert_eq!(process.wait_peek().unwrap(), Some(WaitStatus::Code(3)));
    assert_eq!(
        process.wait_peek().unwrap(),
        Some(WaitStatus::Code(3)),
        "peeking must not reap"
    );
    assert_eq!(process.reap().unwrap(), Some(WaitStatus::Code(3)));
    assert!(process.is_reaped().unwrap());
    assert!(is_not_child(&process.reap().unwrap_err()));
    assert_eq!(
        process.send_signal(0).unwrap_err().raw_os_error(),
        Some(libc::ESRCH)
    );
    assert_eq!(PidFd::open(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn a_death_by_any_signal_is_told_with_its_number() {
    // Real-time signals have no name in most libraries, and must not lose their status.
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGRTMIN() + 3] {
        let shell = Shell::run("read x");
        shell.child.pidfd.send_signal(signal).unwrap();
        await_exit(&shell.child.pidfd);
        let expected = WaitStatus::Signal { signal, core: false };
        assert_eq!(shell.child.pidfd.wait_peek().unwrap(), Some(expected));
        assert_eq!(shell.child.pidfd.reap().unwrap(), Some(expected));
    }
}

#[test]
fn the_status_of_a_stranger_reaped_elsewhere_is_known() {
    let mut shell = Shell::run("exec 3<&0; sh -c 'read x; exit 7' <&3 & echo $!; wait");
    let stranger = PidFd::open(shell.line().parse().unwrap()).unwrap();
    if stranger.info_mask().is_none() {
        println!("skipped: the kernel has no PIDFD_GET_INFO");
        shell.close_input();
        shell.child.pidfd.wait().unwrap();
        return;
    }
    assert!(is_not_child(&stranger.wait_peek().unwrap_err()));
    assert_eq!(stranger.info().unwrap().exit, None);
    assert_eq!(stranger.zombie_status(), None);
    shell.close_input();
    shell.child.pidfd.wait().unwrap();
    assert!(stranger.is_reaped().unwrap());
    assert_eq!(stranger.zombie_status(), None);
    let info = stranger.info().unwrap();
    assert_eq!(info.pid, None);
    assert_eq!(info.exit, Some(WaitStatus::Code(7)));
    assert!(!info.coredump);
}

#[test]
fn reads_status_words() {
    assert_eq!(WaitStatus::from_raw(0x0700), WaitStatus::Code(7));
    assert_eq!(
        WaitStatus::from_raw(9),
        WaitStatus::Signal {
            signal: 9,
            core: false
        }
    );
    assert_eq!(
        WaitStatus::from_raw(0x8b),
        WaitStatus::Signal {
            signal: 11,
            core: true
        }
    );
    assert!(WaitStatus::from_raw(0).is_success());
}
