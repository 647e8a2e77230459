//! A tree of 200 runs in three levels, and deaths at random in it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::helper::{Daemon, Rng, pause, read, until};
use proctor::sys::pidfd::PidFd;

/// Ten runs of the middle, each with nineteen leaves: 200 below the root. A leaf notes that it began and that it ended.
fn tree(daemon: &Daemon) -> String {
    let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "steps:\n  - call: middle\n    parallel: {{items: [{}], max_concurrent: 4}}\n---\nname: middle\nparams: [{{M: \"\"}}]\n\
         steps:\n  - call: leaf\n    parallel: {{items: [{}], max_concurrent: 6}}\n    params: \"L=$M-$ITEM\"\n---\nname: leaf\n\
         params: [{{L: \"\"}}]\nsteps:\n  - echo begun $L >> {out}\n  - sleep 0.05; echo ended $L >> {out}\n",
        list(10),
        list(19),
        out = daemon.path("out").display()
    )
}

/// Counts the statuses of all runs below one, and checks that they agree with those of their callers.
fn count(run: &Value, counts: &mut BTreeMap<String, usize>) {
    for step in run["steps"].as_array().unwrap() {
        for child in step["children"].as_array().unwrap() {
            let status = child["status"].as_str().unwrap();
            *counts.entry(status.to_owned()).or_default() += 1;
            assert_ne!(status, "running", "{child:#}");
            if run["status"] == "succeeded" {
                assert_eq!(status, "succeeded", "{child:#}");
            }
            count(child, counts);
        }
    }
}

/// Kills the supervisor of some live run with SIGKILL.
fn kill_one(daemon: &Daemon, rng: &mut Rng) {
    let ps = daemon.json(&["ps"]);
    let pids: Vec<u64> = ps["runs"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|run| run["pid"].as_u64())
        .collect();
    if pids.is_empty() {
        return;
    }
    let at = usize::try_from(rng.below(pids.len() as u64)).unwrap();
    if let Ok(shim) = PidFd::open(u32::try_from(pids[at]).unwrap()) {
        // It may have ended by itself.
        drop(shim.send_signal(libc::SIGKILL));
    }
}

#[test]
fn whoever_dies_the_tree_ends_in_one_consistent_state_and_a_retry_finishes_it() {
    let mut rng = Rng::new();
    let mut daemon = Daemon::start("");
    let text = tree(&daemon);
    let run = daemon.submit("root", &text);
    for round in 0..6 {
        pause(200 + rng.below(900));
        if round % 3 == 2 {
            daemon.kill9();
            pause(rng.below(300));
            daemon.restart();
        } else {
            kill_one(&daemon, &mut rng);
        }
    }
    for _ in 0..20 {
        let result = daemon.wait_end(&run);
        let settled = until("the end of the whole tree", || {
            let live = daemon.json(&["ps"]);
            live["runs"]
                .as_array()
                .unwrap()
                .is_empty()
                .then(|| daemon.status(&run))
        });
        let mut counts = BTreeMap::new();
        count(&settled, &mut counts);
        eprintln!("{}: {counts:?}", result["status"]);
        if result["status"] == "succeeded" {
            assert_eq!(counts["succeeded"], 200, "{counts:?}");
            break;
        }
        daemon.json(&["retry", "--detach", &run]);
    }
    let result = daemon.status(&run);
    assert_eq!(result["status"], "succeeded", "{}", daemon.log());
    // Every leaf came to its end, and none after it had succeeded once.
    let out = read(&daemon.path("out"));
    let mut ended: BTreeMap<&str, usize> = BTreeMap::new();
    for leaf in out.lines().filter_map(|line| line.strip_prefix("ended ")) {
        *ended.entry(leaf).or_default() += 1;
    }
    assert_eq!(ended.len(), 190);
    let twice = ended.values().filter(|count| **count > 1).count();
    assert!(
        twice <= 8,
        "only what was killed between its last line and its record ran twice: {ended:?}"
    );
    daemon.expect_clean();
}
