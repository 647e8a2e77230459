//! A full disk: what runs goes on and ends properly once there is space, and nothing new is started meanwhile.

use std::io::Write;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags};

use crate::helper::{Daemon, is_root, read, skip, until};

/// A small file system of its own, gone with this value.
struct Tmpfs(std::path::PathBuf);

impl Tmpfs {
    fn mount(path: &Path, size: &str) -> nix::Result<Self> {
        nix::mount::mount(
            Some("proctor-it"),
            path,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(format!("size={size}").as_str()),
        )?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

/// Fills a file system to the last byte.
fn fill(dir: &Path) {
    let mut file = std::fs::File::create(dir.join("ballast")).unwrap();
    for size in [64 * 1024, 4096, 1] {
        let piece = vec![0u8; size];
        while file.write_all(&piece).is_ok() {}
    }
}

#[test]
fn on_a_full_disk_attempts_run_on_and_nothing_new_is_started_until_there_is_space() {
    if !is_root() {
        return skip("only root can mount a small file system");
    }
    let config = "[queue]\nmax_active_runs = 0\n";
    let mut daemon = Daemon::prepare(config);
    let state = daemon.path("var/lib/proctor");
    std::fs::create_dir_all(&state).unwrap();
    let small = match Tmpfs::mount(&state, "3m") {
        Ok(small) => small,
        Err(error) => return skip(&format!("no file system can be mounted here: {error}")),
    };
    daemon.restart();
    let text = format!(
        "steps:\n  - name: a\n    command: while [ ! -e {go} ]; do sleep 0.05; done; echo a >> {out}\n  \
         - name: b\n    command: echo b >> {out}\n",
        go = daemon.path("go").display(),
        out = daemon.path("out").display()
    );
    let run = daemon.submit("runs", &text);
    daemon.shim(&run);
    daemon.ctl(&["queue", "pause", "later"]).expect_code(0);
    let queued = daemon.submit("queued", "queue: later\nsteps: [{name: a, command: \"true\"}]");
    until("the first step", || {
        (daemon.status(&run)["steps"][0]["status"] == "running").then_some(())
    });
    fill(&state);
    // The step ends while not a byte can be written.
    std::fs::write(daemon.path("go"), "").unwrap();
    until("the first step's end", || {
        (read(&daemon.path("out")).contains('a')).then_some(())
    });
    let file = daemon.dag("new", "steps: [{name: a, command: \"true\"}]");
    let refused = daemon.ctl(&["run", &file]).expect_code(69);
    assert!(
        refused.stderr.contains("full") || refused.stderr.contains("space"),
        "{refused:?}"
    );
    // What cannot be stored has not happened, and is not shown either.
    daemon.ctl(&["stop", &queued]).expect_code(69);
    let status = daemon.status(&queued);
    assert_eq!(status["status"], "queued", "{status:#}");
    // It still answers, and tells what is the matter.
    let report = daemon.ctl(&["--json", "doctor"]).expect_code(1).json();
    assert_eq!(report["ok"], false, "{report:#}");
    let status = daemon.status(&run)["status"].clone();
    assert!(status == "running" || status == "succeeded", "{status}");
    std::fs::remove_file(state.join("ballast")).unwrap();
    daemon.wait_success(&run);
    daemon.ctl(&["stop", &queued]).expect_code(0);
    assert_eq!(read(&daemon.path("out")), "a\nb\n");
    daemon.expect_unharmed();
    daemon.expect_clean();
    daemon.stop();
    drop(small);
}
