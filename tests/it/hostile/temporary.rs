//! T27: nothing is made where everybody may make files.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;

use super::apart;
use crate::helper::{Daemon, is_root, skip};

/// Directories in which everybody may make files.
const COMMON: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run/lock"];

/// Everything that is in them, but for what leads to the programs under test, which may lie there themselves.
fn litter(programs: &Path) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = COMMON.iter().map(PathBuf::from).collect();
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if !programs.starts_with(&path) {
                found.push(path);
            } else if path != programs {
                open.push(path);
            }
        }
    }
    found
}

/// Gives this thread empty directories in the place of those, with only the programs under test in them if they lie there.
fn empty_all(programs: &Path) {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let held = fs::File::open(programs).unwrap();
    for dir in COMMON.into_iter().filter(|dir| Path::new(dir).is_dir()) {
        mount(
            Some("none"),
            dir,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("mode=1777"),
        )
        .unwrap();
    }
    if !programs.is_dir() {
        fs::create_dir_all(programs).unwrap();
        let from = format!("/proc/thread-self/fd/{}", held.as_raw_fd());
        mount(Some(from.as_str()), programs, none, MsFlags::MS_BIND, none).unwrap();
    }
}

#[test]
fn t27_nothing_is_put_where_everybody_may_write() {
    if !is_root() {
        return skip("only root can have a /tmp of its own");
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let programs = place.parent().unwrap();
    assert!(Path::new(env!("CARGO_BIN_EXE_proctord")).starts_with(programs));
    let done = apart(CloneFlags::CLONE_NEWNS, || {
        empty_all(programs);
        assert_eq!(litter(programs), [] as [PathBuf; 0]);
        let mut daemon = Daemon::prepare_in(place, "[hooks.failed]\ncommand = [\"/bin/true\"]\n");
        daemon.restart();
        exercise(&mut daemon);
        assert_eq!(litter(programs), [] as [PathBuf; 0]);
        // What looks can find: a job's own file shows.
        let run = daemon.submit("litters", "steps: [{name: a, command: 'mktemp /tmp/XXXXXX'}]");
        daemon.wait_success(&run);
        assert_eq!(litter(programs).len(), 1);
        daemon.expect_clean();
    });
    if let Err(errno) = done {
        skip(&format!("no namespaces can be made here: {errno}"));
    }
}

/// Uses whatever could want a temporary file.
fn exercise(daemon: &mut Daemon) {
    let text = "type: graph\nschedule: 1 3 1 1 *\nenv: [{A: '`echo b`'}]\nparams: [{P: 1}]\nsteps:\n  \
                - {name: a, script: 'echo $A $P', output: OUT}\n  \
                - {name: b, command: 'echo err >&2; false', depends: [a]}\n";
    let file = daemon.dag("uses", text);
    daemon.json(&["install", &file]);
    daemon.ctl(&["run", "uses"]);
    let mut edit = daemon.command(&["edit", "uses"]);
    edit.env("EDITOR", "sed -i s/b/c/").env("HOME", daemon.root());
    edit.env_remove("TMPDIR").env_remove("XDG_RUNTIME_DIR");
    crate::helper::Running::start(edit).finish().expect_code(0);
    daemon.ctl(&["retry", "uses"]);
    for words in [
        &["status", "uses"][..],
        &["history"],
        &["logs", "uses"],
        &["why", "uses"],
        &["doctor", "--repair"],
        &["validate", &file],
        &["dry-run", &file],
        &["graph", &file],
        &["cleanup", "--keep-runs", "1", "--yes"],
    ] {
        daemon.ctl(words);
    }
    // A daemon that starts again sorts what is in its store.
    daemon.kill9();
    daemon.restart();
    daemon.expect_unharmed();
}
