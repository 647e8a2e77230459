//! T26: links to Proctor's files and files without measure stop nothing and exhaust nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::waiting;
use crate::helper::{Daemon, read, text_of, until};

const DAG: &str = "schedule: 1 3 1 1 *\nsteps: [{name: a, command: echo one, output: SAID}]\n";

/// Gives files a second name in a directory of another user's, as the kernel lets everybody where `fs.protected_hardlinks`
/// is off.
fn link_all(daemon: &Daemon, files: &[PathBuf]) {
    let theirs = daemon.path("src/theirs");
    fs::create_dir_all(&theirs).unwrap();
    for (number, file) in files.iter().enumerate() {
        fs::hard_link(file, theirs.join(format!("{number}"))).unwrap();
        let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(file).unwrap());
        assert_eq!(links, 2, "{}", file.display());
    }
}

#[test]
fn t26_whoever_links_to_a_file_does_not_take_it_out_of_force() {
    let mut daemon = Daemon::start("");
    let dags = daemon.path("etc/proctor/dags");
    fs::create_dir_all(&dags).unwrap();
    fs::write(dags.join("linked.yaml"), DAG).unwrap();
    let own = daemon.json(&["install", &daemon.dag("own", DAG)]);
    until("both are in force", || {
        (daemon.json(&["dags"])["dags"].as_array().unwrap().len() == 2).then_some(())
    });
    let run = daemon.submit("lives", &waiting(&daemon, ":"));
    let shim = daemon.shim(&run);
    let journal = journal_of(&daemon, &run);
    let entry = until("the entry", || daemon.entries().pop());
    let mut files = vec![
        dags.join("linked.yaml"),
        daemon.path("etc/proctor/proctord.toml"),
        entry.clone(),
        journal,
    ];
    files.push(daemon.path("run/proctor/proctord.lock"));
    files.push(PathBuf::from(text_of(&own["file"])));
    link_all(&daemon, &files);
    // While it serves, and for the next one, which looks at everything anew.
    for restarts in [false, true] {
        if restarts {
            daemon.kill9();
            daemon.restart();
        }
        for name in ["linked", "own"] {
            let result = daemon.json(&["run", name]);
            assert_eq!(result["steps"][0]["variables"]["SAID"], "one", "{result:#}");
        }
        daemon.json(&["reload"]);
        assert_eq!(daemon.shim(&run), shim);
        assert!(entry.exists());
        let report = daemon.json(&["doctor"]);
        assert_eq!(report["ok"], true, "{report:#}");
        let dags = daemon.json(&["dags"]);
        for dag in dags["dags"].as_array().unwrap() {
            assert_eq!(dag["in_force"], true, "{dag:#}");
            assert!(dag["problems"].as_array().is_none_or(Vec::is_empty), "{dag:#}");
        }
    }
    // A change of the file by way of its other name is a change of the file.
    fs::write(daemon.path("src/theirs/0"), DAG.replace("one", "two")).unwrap();
    fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

fn journal_of(daemon: &Daemon, run: &str) -> PathBuf {
    let attempt = text_of(&daemon.status(run)["attempt_id"]).to_owned();
    let days = fs::read_dir(daemon.path("var/lib/proctor/attempts"))
        .unwrap()
        .flatten();
    let found = days
        .map(|day| day.path().join(&attempt).join("journal"))
        .find(|path| path.exists());
    found.unwrap()
}

/// The configuration as it is while somebody writes it, piece by piece, and when it is something else altogether.
#[test]
fn t26_a_reload_takes_the_whole_configuration_or_nothing_of_it() {
    let daemon = Daemon::start("[queue]\nmax_live_attempts = 1\n[proc]\nheartbeat_interval_sec = 1\n");
    let path = daemon.path("etc/proctor/proctord.toml");
    let in_force = || daemon.json(&["reload"])["changes"].to_string();
    assert!(in_force().contains("nothing has changed"));
    let whole = "[queue]\nmax_live_attempts = 7\n[proc]\nheartbeat_interval_sec = 2\nstale_after_sec = 30\n";
    let refused = |why: &str| {
        let out = daemon.ctl(&["reload"]);
        assert!(out.code() != 0, "{why}: {out:?}");
        daemon.expect_unharmed();
    };
    for (why, bytes) in [
        ("a part of a line", whole.as_bytes()[..40].to_vec()),
        ("half a value", whole.replace("= 2\n", "= ").into_bytes()),
        (
            "a wrong one behind good ones",
            format!("{whole}[nonsense]\n").into_bytes(),
        ),
        ("no text", vec![0xff; 1000]),
        ("too much", vec![b'#'; 40 * 1024 * 1024]),
    ] {
        fs::write(&path, bytes).unwrap();
        refused(why);
    }
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused("a FIFO");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("a directory");
    fs::remove_dir(&path).unwrap();
    // Nothing of all that was taken up: the change is from what was there in the beginning.
    fs::write(&path, whole).unwrap();
    let changes = in_force();
    for key in ["max_live_attempts", "heartbeat_interval_sec", "stale_after_sec"] {
        assert!(changes.contains(key), "{changes}");
    }
    assert!(in_force().contains("nothing has changed"));
    daemon.expect_clean();
}

/// Memory that a process ever had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = read(Path::new(&format!("/proc/{pid}/status")));
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn t26_files_without_measure_are_refused_and_cost_nothing() {
    let daemon = Daemon::start("");
    daemon.expect_unharmed();
    let before = peak(daemon.pid());
    let dags = daemon.path("etc/proctor/dags");
    fs::create_dir_all(&dags).unwrap();
    for number in 0..20 {
        let file = fs::File::create(dags.join(format!("huge{number}.yaml"))).unwrap();
        file.set_len(1 << 38).unwrap();
    }
    fs::write(dags.join("good.yaml"), DAG).unwrap();
    until("the others are refused", || {
        let dags = daemon.json(&["dags"]);
        (dags["dags"].as_array().unwrap().len() == 21).then_some(())
    });
    daemon.json(&["run", "good"]);
    let after = peak(daemon.pid());
    assert!(
        after < before + 64 * 1024,
        "{before} KiB before, {after} KiB after"
    );
    daemon.expect_unharmed();
    daemon.expect_clean();
}
