//! T10 to T12: process numbers that mean another process by now.

use std::fs;
use std::sync::{Mutex, PoisonError};

use proctor::sys::identity::{ProcessIdentity, SameProcess};
use proctor::sys::pidfd::PidFd;

use super::{Bystander, ask_to_stop, waiting};
use crate::helper::{Daemon, alive, environ_has, signal, skip, text_of, until};

/// The kernel looks for the next free process number behind this one.
const LAST: &str = "/proc/sys/kernel/ns_last_pid";
/// Other processes are started meanwhile, so the wanted number is not always the one that comes.
const TRIES: u32 = 3000;

/// Whether numbers can be chosen here.
fn can_choose() -> bool {
    let last = fs::read_to_string(LAST);
    let can = last.is_ok_and(|last| fs::write(LAST, last.trim()).is_ok());
    if !can {
        skip("process numbers cannot be chosen here (root and CONFIG_CHECKPOINT_RESTORE)");
    }
    can
}

/// A process that has a number which another one had.
fn with_number(pid: u32) -> Option<Bystander> {
    // Two tests that choose at the same time would take each other's numbers away.
    static CHOOSING: Mutex<()> = Mutex::new(());
    let _guard = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
    (0..TRIES).find_map(|_| {
        fs::write(LAST, (pid - 1).to_string()).unwrap();
        let process = Bystander::new();
        (process.pid() == pid).then_some(process)
    })
}

#[test]
fn t10_what_is_read_of_a_process_is_not_that_of_another_one_with_its_number() {
    if !can_choose() {
        return;
    }
    let first = Bystander::with(|command| {
        command.env("MARK", "first");
    });
    let (pid, held) = (first.pid(), PidFd::open(first.pid()).unwrap());
    let marks = [String::from("MARK=first")];
    // Until its program is in place it is still the one that started it.
    until("its environment", || environ_has(pid, "MARK=first").then_some(()));
    assert!(held.was_given(&marks));
    assert!(!held.was_given(&[String::from("MARK=firs")]));
    assert!(held.program().unwrap().ends_with("sleep") || held.program().unwrap().is_absolute());
    assert_eq!(held.users(), Some([proctor::sys::creds::effective_uid(); 3]));
    drop(first);
    let Some(second) = with_number(pid) else {
        return skip("the number did not come again");
    };
    until("its program", || {
        PidFd::open(second.pid())
            .unwrap()
            .program()
            .is_some()
            .then_some(())
    });
    assert_eq!((held.program(), held.users()), (None, None));
    assert!(!held.was_given(&[]), "not even nothing is known of it");
    assert!(ProcessIdentity::read(&held, pid).is_err());
    assert!(held.send_signal(libc::SIGKILL).is_err());
    assert!(alive(second.pid()));
}

#[test]
fn t11_a_process_with_the_number_and_start_time_of_another_is_not_taken_for_it() {
    if !can_choose() {
        return;
    }
    let mut first = Bystander::new();
    // Start times are counted in hundredths of a second: a quick succession has the same.
    for _ in 0..300 {
        let recorded = first.identity();
        drop(first);
        let Some(second) = with_number(recorded.pid) else {
            return skip("the number did not come again");
        };
        let seen = second.identity();
        if seen.start_ticks != recorded.start_ticks {
            first = second;
            continue;
        }
        let fd = PidFd::open(second.pid()).unwrap();
        if recorded.pidfs_inode.is_some() {
            assert_eq!(recorded.compare(&fd), SameProcess::Different);
        }
        // A record of an older kernel's: number and start time agree, and decide nothing.
        let old = ProcessIdentity {
            pidfs_inode: None,
            cgroup_id: None,
            ..recorded.clone()
        };
        assert_eq!(old.compare(&fd), SameProcess::Uncertain);
        let elsewhere = ProcessIdentity {
            cgroup_id: recorded.cgroup_id.map(|id| id + 1),
            ..old
        };
        assert_ne!(elsewhere.compare(&fd), SameProcess::Same);
        return;
    }
    skip("no two processes were started within a hundredth of a second");
}

#[test]
fn t12_a_process_that_got_the_number_of_a_dead_supervisor_lives_on() {
    if !can_choose() {
        return;
    }
    for config in ["", "[cgroup]\nenabled = false\n"] {
        let mut daemon = Daemon::start(config);
        let run = daemon.submit("recycled", &waiting(&daemon, ":"));
        let shim = daemon.shim(&run);
        daemon.kill9();
        signal(shim, libc::SIGKILL);
        until("the number is free", || {
            (!fs::exists(format!("/proc/{shim}")).unwrap()).then_some(())
        });
        let Some(victim) = with_number(shim) else {
            return skip("the number did not come again");
        };
        daemon.restart();
        ask_to_stop(&daemon, &run);
        let end = daemon.wait_end(&run);
        assert!(text_of(&end["error"]).starts_with("lost: supervisor "), "{end:#}");
        daemon.expect_unharmed();
        victim.expect_alive(&daemon);
        daemon.expect_clean();
    }
}

/// The same when the end is in the store already, and only the clean-up is left.
#[test]
fn t12_nor_is_it_ended_by_the_clean_up_of_an_ended_attempt() {
    if !can_choose() {
        return;
    }
    let mut daemon = Daemon::start("");
    let run = daemon.submit("recycled", &waiting(&daemon, ":"));
    let shim = daemon.shim(&run);
    let entry = until("the entry", || daemon.entries().pop());
    let kept = fs::read(&entry).unwrap();
    fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
    daemon.kill9();
    let Some(victim) = with_number(shim) else {
        return skip("the number did not come again");
    };
    // As if the daemon had died before it took the entry away.
    fs::create_dir_all(entry.parent().unwrap()).unwrap();
    fs::write(&entry, kept).unwrap();
    daemon.restart();
    daemon.expect_unharmed();
    victim.expect_alive(&daemon);
    daemon.expect_clean();
}
