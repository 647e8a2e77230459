//! T1: users who swap what lies in their directories while Proctor writes, cleans up and removes there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proctor::sys::creds::User;

use super::{State, as_user, state_of};
use crate::helper::{Daemon, Running, text_of, until};
use crate::users::{ctl_as, two_users};

/// Directories and files of root's, none of which anything may touch.
struct Canary {
    dir: PathBuf,
    before: Vec<(PathBuf, State)>,
}

impl Canary {
    fn new(daemon: &Daemon) -> Self {
        let dir = daemon.path("canary");
        fs::create_dir_all(dir.join("deep/er")).unwrap();
        for (name, mode) in [
            ("shadow", 0o600),
            ("open", 0o644),
            ("deep/empty", 0o644),
            ("deep/er/script", 0o755),
        ] {
            let text = if name == "deep/empty" { "" } else { "precious\n" };
            fs::write(dir.join(name), text).unwrap();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let all = [
            "",
            "shadow",
            "open",
            "deep",
            "deep/empty",
            "deep/er",
            "deep/er/script",
        ];
        let before = all
            .map(|name| dir.join(name))
            .map(|path| (path.clone(), state_of(&path)));
        Self {
            dir,
            before: before.to_vec(),
        }
    }

    fn expect_untouched(&self) {
        for (path, before) in &self.before {
            assert_eq!(state_of(path), *before, "{}", path.display());
        }
    }
}

/// Directories of attempts' logs, and scratch directories.
fn own_directories(root: &Path) -> Vec<PathBuf> {
    let below = |dir: PathBuf| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let days = below(root.join("var/lib/proctor/attempts"));
    let attempts = days.into_iter().flat_map(below);
    let logs = attempts.map(|attempt| attempt.join("logs"));
    logs.chain(below(root.join("var/lib/proctor/work"))).collect()
}

/// Swaps, as a user, whatever lies in his directories for other things, until it is told to stop. Counts what it did, and
/// what it could do to parts of the path above, which is nothing.
fn swap(root: &Path, canary: &Path, done: &AtomicBool, swaps: &AtomicU64, above: &AtomicU64) {
    let aims = ["", "shadow", "open", "deep", "deep/empty", "deep/er"].map(|name| canary.join(name));
    let mode = nix::sys::stat::Mode::S_IRWXU;
    let mut turn = 0;
    while !done.load(Ordering::Relaxed) {
        for dir in own_directories(root) {
            let mut names: Vec<PathBuf> = fs::read_dir(&dir)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            // Names that come soon.
            names.extend(
                ["script-1", "0001-a.out", "0001-a.err", "empty", "journal"].map(|name| dir.join(name)),
            );
            for name in names {
                turn += 1;
                let aim = &aims[turn % aims.len()];
                let spare = dir.join(".spare");
                drop(fs::remove_file(&spare));
                let made = match turn % 5 {
                    0 | 1 => symlink(aim, &spare),
                    2 => fs::hard_link(aim, &spare).or_else(|_| fs::write(&spare, "")),
                    3 => nix::unistd::mkfifo(&spare, mode).map_err(Into::into),
                    _ => fs::create_dir(&spare),
                };
                // In one step, and back again in some turns, so that each look can find something else.
                let swapped = made.and_then(|()| {
                    if name.is_dir() && !name.is_symlink() {
                        drop(fs::remove_dir_all(&name));
                    }
                    fs::rename(&spare, &name)
                });
                swaps.fetch_add(u64::from(swapped.is_ok()), Ordering::Relaxed);
                if turn % 3 == 0 {
                    drop(fs::remove_file(&name).or_else(|_| fs::remove_dir_all(&name)));
                }
            }
            // The directory itself, the one above, and the one above that.
            for part in dir.ancestors().take(3) {
                let moved = fs::rename(part, part.with_extension("moved"))
                    .or_else(|_| fs::remove_file(part))
                    .or_else(|_| symlink(canary, part.join(".mine")));
                let own = part == dir;
                above.fetch_add(u64::from(moved.is_ok() && !own), Ordering::Relaxed);
                drop(fs::remove_file(part.join(".mine")));
            }
        }
    }
}

fn house(config: &str) -> Daemon {
    let daemon = Daemon::start(&format!("[control]\nsocket_mode = \"0666\"\n{config}"));
    fs::set_permissions(daemon.root(), fs::Permissions::from_mode(0o755)).unwrap();
    daemon
}

fn run_as(user: &User, daemon: &Daemon, words: &[&str]) -> crate::helper::Out {
    let mut command = ctl_as(user, daemon.root());
    command.args(words);
    Running::start(command).finish()
}

/// Tells the swapping to end, also if the test fails.
struct Ends<'d>(&'d AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn t01_nothing_of_others_is_touched_while_a_user_swaps_what_is_in_his_directories() {
    const RUNS: usize = 40;
    let Some((one, _)) = two_users() else { return };
    let daemon = house("[retention]\nruns = 1\n");
    let canary = Canary::new(&daemon);
    let file = daemon.dag(
        "swapped",
        // Who puts a pipe in the place of their own script has it wait for a writer.
        "working_dir: /\ntimeout_sec: 10\ntype: graph\nsteps:\n  - {name: a, command: echo out; echo err >&2}\n  \
         - {name: b, script: 'echo script'}\n  - {name: empty, command: \"true\", depends: [a]}\n",
    );
    let (done, swaps, above) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ends = Ends(&done);
        scope.spawn(|| as_user(&one, || swap(daemon.root(), &canary.dir, &done, &swaps, &above)));
        let mut count = 0;
        while count < RUNS || swaps.load(Ordering::Relaxed) < 2_000 {
            count += 1;
            // How a run ends that loses its own logs is its user's business; that it ends is not.
            let out = run_as(&one, &daemon, &["--json", "run", &file]);
            let status = out.json()["status"].clone();
            assert!(["succeeded", "failed"].contains(&text_of(&status)), "{out:?}");
            if count % 8 == 0 {
                run_as(
                    &one,
                    &daemon,
                    &["cleanup", "swapped", "--keep-runs", "0", "--yes"],
                );
            }
            if count > 50 * RUNS {
                break;
            }
        }
    });
    assert!(
        swaps.load(Ordering::Relaxed) > 500,
        "{swaps:?} swaps prove nothing"
    );
    assert_eq!(
        above.load(Ordering::Relaxed),
        0,
        "a directory that is not the user's was changed"
    );
    canary.expect_untouched();
    daemon.expect_unharmed();
    let report = daemon.json(&["doctor"]);
    assert_eq!(report["ok"], true, "{report:#}");
    daemon.expect_clean();
}

#[test]
fn t01b_what_a_run_left_goes_with_the_links_in_it_and_not_with_what_they_lead_to() {
    let Some((one, _)) = two_users() else { return };
    let daemon = house("[retention]\nenabled = false\n");
    let canary = Canary::new(&daemon);
    let canary_dir = canary.dir.display();
    let file = daemon.dag(
        "links",
        &format!(
            "working_dir: /\nsteps:\n  - name: a\n    script: |\n      \
             for dir in \"$DAG_RUN_WORK_DIR\" \"$(dirname \"$DAG_RUN_LOG_FILE\")\"; do\n        \
             cd \"$dir\"; mkdir -p d/e/f; ln -s {canary_dir} dir; ln -s {canary_dir}/shadow file; \
             ln -s .. up; ln -s / d/root; ln -s {canary_dir}/deep d/e/f/deep; mkfifo d/fifo\n        \
             ln {canary_dir}/open hard 2>/dev/null || :\n        chmod 0 d/e\n      done\n"
        ),
    );
    let out = run_as(&one, &daemon, &["--json", "run", &file])
        .expect_code(0)
        .json();
    assert_eq!(out["status"], "succeeded", "{out:#}");
    let left = own_directories(daemon.root());
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(
        left.iter()
            .all(|dir| dir.join("dir").is_symlink() && dir.join("d").is_dir())
    );
    let clean_up = ["--json", "cleanup", "links", "--keep-runs", "0", "--yes"];
    until("what its supervisor left is away, and it can go", || {
        let done = run_as(&one, &daemon, &clean_up).expect_code(0).json();
        (done["runs"] == 1).then_some(())
    });
    until("all of it is gone", || {
        own_directories(daemon.root()).is_empty().then_some(())
    });
    canary.expect_untouched();
    daemon.expect_clean();
}

#[test]
fn t01c_what_a_step_writes_goes_nowhere_that_its_user_may_not_write() {
    let Some((one, _)) = two_users() else { return };
    let daemon = house("");
    let canary = Canary::new(&daemon);
    let places = ["shadow", "open", "new", "deep/er/script"].map(|name| canary.dir.join(name));
    for (number, place) in places.iter().enumerate() {
        // By its own name, and by a link in a directory of the user's.
        let text = format!(
            "working_dir: /\nsteps:\n  - name: link\n    command: ln -s {place} $DAG_RUN_WORK_DIR/link; echo made\n  \
             - name: direct\n    command: echo evil\n    stdout: {place}\n    continue_on: failed\n  \
             - name: linked\n    command: echo evil\n    stdout: ${{DAG_RUN_WORK_DIR}}/link\n",
            place = place.display()
        );
        let file = daemon.dag(&format!("writes{number}"), &text);
        let result = run_as(&one, &daemon, &["--json", "run", &file]).json();
        for step in [1, 2] {
            let step = &result["steps"][step];
            assert_eq!(step["status"], "failed", "{step:#}");
            let error = text_of(&step["error"]);
            assert!(
                error.contains("cannot write") && error.contains("ermission"),
                "{error}"
            );
        }
    }
    canary.expect_untouched();
    assert!(!canary.dir.join("new").exists());
    // Its logs are the user's own, in a directory of his own below one that is not.
    let logs = own_directories(daemon.root())
        .into_iter()
        .find(|dir| dir.ends_with("logs"))
        .unwrap();
    let owner = |path: &Path| fs::metadata(path).unwrap().uid();
    assert_eq!((owner(&logs), owner(logs.parent().unwrap())), (one.uid, 0));
    for log in fs::read_dir(&logs).unwrap().flatten() {
        assert_eq!(owner(&log.path()), one.uid, "{}", log.path().display());
    }
    daemon.expect_clean();
}
