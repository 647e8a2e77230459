//! DAGs that call other DAGs: each call is a run of its own, and the tree of runs lives and dies together.

use serde_json::Value;

use crate::helper::{Daemon, lines, read, until};

/// The sub-runs of a step.
pub(crate) fn children(result: &Value, step: usize) -> &Vec<Value> {
    result["steps"][step]["children"].as_array().unwrap()
}

/// `DAG:ID` of a run in an answer.
fn name(run: &Value) -> String {
    format!(
        "{}:{}",
        run["dag"].as_str().unwrap(),
        run["run_id"].as_str().unwrap()
    )
}

/// Waits until the step has that many sub-runs with that status, and says which.
pub(crate) fn wait_children(daemon: &Daemon, run: &str, status: &str, count: usize) -> Vec<String> {
    until(&format!("{count} sub-runs that are {status}"), || {
        let result = daemon.status(run);
        let found: Vec<String> = children(&result, 0)
            .iter()
            .filter(|child| child["status"] == status)
            .map(name)
            .collect();
        (found.len() >= count).then_some(found)
    })
}

/// A step that says that it runs and waits until it may end.
pub(crate) fn gated(daemon: &Daemon, begun: &str, go: &str) -> String {
    format!(
        "echo $$ >> {}; while [ ! -e {} ]; do sleep 0.02; done",
        daemon.path(begun).display(),
        daemon.path(go).display()
    )
}

#[test]
fn a_called_dag_is_a_run_of_its_own_with_its_own_supervisor_and_entry() {
    let daemon = Daemon::start("");
    let text = format!(
        "steps:\n  - name: ask\n    call: child\n    params: A=1\n    output: OUT\n  - echo ${{OUT.outputs.SAID}}\n\
         ---\nname: child\nparams: [{{A: \"0\"}}]\nsteps:\n  - command: {}\n  - command: echo said $A\n    output: SAID\n",
        gated(&daemon, "begun", "go")
    );
    let run = daemon.submit("parent", &text);
    daemon.wait_file("begun");
    let child = wait_children(&daemon, &run, "running", 1).remove(0);
    assert_ne!(daemon.shim(&run), daemon.shim(&child));
    assert_eq!(daemon.entries().len(), 2);
    let view = daemon.status(&child);
    assert_eq!(view["trigger"], "subdag", "{view:#}");
    assert_eq!(
        view["queue"], "parent",
        "a sub-run belongs to the group of its root"
    );
    assert_eq!(view["parent"]["step"], "ask");
    assert_eq!(view["params"][0], "A=1");
    std::fs::write(daemon.path("go"), "").unwrap();
    let result = daemon.wait_success(&run);
    assert_eq!(children(&result, 0)[0]["outputs"]["said"], "said 1", "{result:#}");
    assert!(
        read(result["steps"][1]["stdout"].as_str().unwrap().as_ref()).contains("said 1"),
        "{result:#}"
    );
    let history = daemon.json(&["history"]);
    assert_eq!(
        history["runs"].as_array().unwrap().len(),
        1,
        "lists hold what somebody asked for"
    );
    // A sub-run is not started again on its own.
    let refused = daemon.ctl(&["retry", &child]);
    assert!(refused.code() != 0, "{refused:?}");
    let refused = daemon.ctl(&["restart", &child]);
    assert!(
        refused.stderr.contains("cannot be restarted alone"),
        "{refused:?}"
    );
    daemon.expect_clean();
}

#[test]
fn no_more_sub_runs_are_live_than_the_step_allows() {
    let daemon = Daemon::start("");
    let out = daemon.path("out");
    let text = format!(
        "steps:\n  - call: child\n    parallel: {{items: [1, 2, 3, 4, 5, 6], max_concurrent: 2}}\n---\nname: child\n\
         steps:\n  - command: {}\n  - echo $1 >> {}\n",
        gated(&daemon, "begun", "go"),
        out.display()
    );
    let run = daemon.submit("parent", &text);
    wait_children(&daemon, &run, "running", 2);
    until("two of them to have begun", || {
        (lines(&daemon.path("begun")) == 2).then_some(())
    });
    assert_eq!(daemon.entries().len(), 3);
    let result = daemon.status(&run);
    let waiting = children(&result, 0)
        .iter()
        .filter(|child| child["status"] == "not_started");
    assert_eq!(waiting.count(), 4, "{result:#}");
    std::fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    assert_eq!(lines(&out), 6);
    daemon.expect_clean();
}

#[test]
fn sub_runs_need_no_slot_of_a_queue_that_their_root_holds() {
    let daemon = Daemon::start(
        "[queue]\nmax_active_runs = 1\nmax_live_attempts = 1\n[queues.narrow]\nmax_active_runs = 1\n",
    );
    let text = "queue: narrow\nsteps:\n  - call: child\n    parallel: [1, 2, 3]\n---\nname: child\nqueue: narrow\n\
                max_active_runs: 1\nsteps: [\"true\"]\n";
    let first = daemon.submit("parent", text);
    let second = daemon.submit("parent", text);
    daemon.wait_success(&first);
    daemon.wait_success(&second);
    daemon.expect_clean();
}

#[test]
fn a_retry_of_the_root_runs_only_what_did_not_succeed() {
    let daemon = Daemon::start("");
    let (first, second) = (daemon.path("first"), daemon.path("second"));
    let text = format!(
        "steps:\n  - call: child\n    parallel: [1, 2, 3]\n---\nname: child\nsteps:\n  - echo $1 >> {first}\n  \
         - echo $1 >> {second}; test $1 != 2 -o -e {good}\n",
        first = first.display(),
        second = second.display(),
        good = daemon.path("good").display()
    );
    let run = daemon.submit("parent", &text);
    let result = daemon.wait_end(&run);
    assert_eq!(result["status"], "failed", "{result:#}");
    assert_eq!((lines(&first), lines(&second)), (3, 3));
    std::fs::write(daemon.path("good"), "").unwrap();
    daemon.json(&["retry", "--detach", &run]);
    let result = daemon.wait_success(&run);
    assert_eq!((lines(&first), lines(&second)), (3, 4), "{result:#}");
    let attempts: Vec<u64> = children(&result, 0)
        .iter()
        .map(|c| c["attempt"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts, [1, 2, 1], "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_retry_of_the_calling_step_asks_again_for_what_failed() {
    let daemon = Daemon::start("");
    let out = daemon.path("out");
    let text = format!(
        "steps:\n  - call: child\n    parallel: [1, 2]\n    retry_policy: {{limit: 2, interval_sec: 0}}\n---\n\
         name: child\nsteps:\n  - echo $1 >> {out}; test $1 = 1 -o $(grep -c 2 {out}) -ge 3\n",
        out = out.display()
    );
    let result = daemon.wait_success(&daemon.submit("parent", &text));
    assert_eq!(result["steps"][0]["retry_count"], 2, "{result:#}");
    assert_eq!(lines(&out), 4);
    let attempts: Vec<u64> = children(&result, 0)
        .iter()
        .map(|c| c["attempt"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts, [1, 3], "{result:#}");
    daemon.expect_clean();
}

#[test]
fn a_repeated_step_calls_a_new_run_each_time() {
    let daemon = Daemon::start("");
    let text = "steps:\n  - call: child\n    repeat_policy: {repeat: while, exit_code: [0], limit: 3, interval_sec: 0}\n\
                ---\nname: child\nsteps: [\"true\"]\n";
    let result = daemon.wait_success(&daemon.submit("parent", text));
    assert_eq!(result["steps"][0]["done_count"], 3, "{result:#}");
    assert_eq!(children(&result, 0)[0]["attempt"], 1, "{result:#}");
    daemon.expect_clean();
}

#[test]
fn files_and_installed_dags_can_be_called_and_what_is_nowhere_is_named() {
    let daemon = Daemon::start("");
    daemon.dag(
        "beside",
        "params: [{X: \"\"}]\nsteps: [{command: echo beside $X, output: OUT}]\n",
    );
    let installed = daemon.path("etc/proctor/dags");
    std::fs::create_dir_all(&installed).unwrap();
    std::fs::write(
        installed.join("shared.yaml"),
        "steps: [{command: echo shared, output: OUT}]\n",
    )
    .unwrap();
    let text = "type: graph\nsteps:\n  - {name: a, call: beside, params: 'X=\"a b\"', output: A}\n  \
                - {name: b, call: beside.yaml, output: B}\n  - {name: c, call: shared, output: C}\n  \
                - {name: d, call: nowhere}\n  - {name: e, call: ../nowhere/x.yaml}\n  - {name: f, call: broken}\n";
    daemon.dag("broken", "steps: [{command: a, command: b}]\n");
    let result = daemon.wait_end(&daemon.submit("parent", text));
    assert_eq!(result["status"], "failed", "{result:#}");
    let step = |at: usize| &result["steps"][at];
    for (at, said) in [(0, "beside a b"), (1, "beside"), (2, "shared")] {
        assert_eq!(step(at)["status"], "succeeded", "{result:#}");
        let outputs = step(at)["variables"]
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap();
        assert!(outputs.as_str().unwrap().contains(said), "{result:#}");
    }
    for (at, word) in [(3, "nowhere"), (4, "nowhere"), (5, "broken.yaml")] {
        assert_eq!(step(at)["status"], "failed");
        assert!(step(at)["error"].as_str().unwrap().contains(word), "{result:#}");
    }
    daemon.expect_clean();
}

#[test]
fn a_dag_that_calls_itself_comes_to_an_end() {
    let daemon = Daemon::start("");
    let text = "steps:\n  - call: again\n---\nname: again\nsteps:\n  - call: again\n";
    let result = daemon.wait_end(&daemon.submit("root", text));
    assert_eq!(result["status"], "failed", "{result:#}");
    let mut depth = 0;
    let mut at = &result;
    while let Some(child) = at["steps"][0]["children"]
        .get(0)
        .filter(|c| c["attempt"].is_u64())
    {
        depth += 1;
        at = child;
    }
    assert_eq!(depth, 16);
    assert!(
        at["error"].as_str().unwrap().contains("nested more than 16 deep"),
        "{at:#}"
    );
    daemon.expect_clean();
}

#[test]
fn a_sub_run_that_waits_for_its_retry_holds_no_slot_and_takes_none_that_is_not_free() {
    let daemon = Daemon::start("");
    let (out, lock) = (daemon.path("out"), daemon.path("lock"));
    // The first one fails once and waits; the others run meanwhile, one at a time. The retry, when it is due, waits for
    // the slot: no two steps ever hold the lock.
    let text = format!(
        "steps:\n  - call: child\n    parallel: {{items: [1, 2, 3], max_concurrent: 1}}\n---\nname: child\nsteps:\n  - script: |\n      \
         mkdir {lock} || {{ echo twice >> {out}; exit 9; }}\n      sleep 0.4\n      rmdir {lock}\n      \
         echo $1 >> {out}\n      test $1 != 1 -o $(grep -c '^1$' {out}) -ge 2\n    \
         retry_policy: {{limit: 1, interval_sec: 1, exit_code: [1]}}\n",
        lock = lock.display(),
        out = out.display()
    );
    daemon.wait_success(&daemon.submit("parent", &text));
    let order = read(&out);
    assert!(
        order.starts_with("1\n2\n"),
        "the second one did not wait for the retry: {order:?}"
    );
    let mut all: Vec<&str> = order.lines().collect();
    all.sort_unstable();
    assert_eq!(all, ["1", "1", "2", "3"]);
    daemon.expect_clean();
}

#[test]
fn a_retry_that_is_due_while_there_is_no_daemon_does_not_wait_for_one() {
    let mut daemon = Daemon::start("");
    let out = daemon.path("out");
    let text = format!(
        "steps:\n  - call: child\n---\nname: child\nsteps:\n  - command: echo x >> {out}; test $(grep -c x {out}) -ge 2\n    \
         retry_policy: {{limit: 1, interval_sec: 1}}\n",
        out = out.display()
    );
    let run = daemon.submit("parent", &text);
    until("the first try", || (lines(&out) == 1).then_some(()));
    daemon.kill9();
    until("the second try", || (lines(&out) == 2).then_some(()));
    daemon.restart();
    daemon.wait_success(&run);
    daemon.expect_clean();
}

#[test]
fn a_sub_run_that_is_run_again_belongs_to_nobody_and_waits_for_a_slot_of_its_own() {
    let daemon = Daemon::start("[queue]\nmax_active_runs = 1\n");
    let text = format!(
        "type: graph\nsteps:\n  - {{name: ask, call: child}}\n  - {{name: hold, command: '{hold}'}}\n---\n\
         name: child\nsteps:\n  - command: {child}\n",
        hold = gated(&daemon, "held", "go"),
        child = gated(&daemon, "begun", "go")
    );
    let run = daemon.submit("parent", &text);
    daemon.wait_file("begun");
    daemon.wait_file("held");
    let child = wait_children(&daemon, &run, "running", 1).remove(0);
    // The client refuses this, but others speak with the daemon, too.
    let (dag, id) = child.split_once(':').unwrap();
    let rerun = || {
        let answer = daemon
            .control()
            .ask(&serde_json::json!({"rerun": {"dag": dag, "run": id}}));
        format!("child:{}", answer["accepted"]["run"]["id"].as_str().unwrap())
    };
    // It is a guest in its root's queue no more: it and the next one share the one slot of their DAG's own.
    let again = rerun();
    until("the new run starts", || {
        (daemon.status(&again)["status"] == "running").then_some(())
    });
    let next = rerun();
    let view = daemon.status(&next);
    assert_eq!(view["parent"], Value::Null, "{view:#}");
    assert_eq!(view["queue"], "child", "{view:#}");
    // Whatever started meanwhile would have started before this one.
    daemon.wait_success(&daemon.submit("other", "steps:\n  - command: \"true\"\n"));
    assert_eq!(daemon.status(&next)["status"], "queued", "{}", daemon.log());
    std::fs::write(daemon.path("go"), "").unwrap();
    for run in [&again, &next] {
        daemon.wait_success(run);
    }
    daemon.wait_end(&run);
    daemon.expect_clean();
}

#[test]
fn a_retry_that_is_due_is_not_forgotten_when_a_delayed_step_begins_meanwhile() {
    let daemon = Daemon::start("");
    let out = daemon.path("out");
    // The first sub-run rests and its retry is due while the second one holds the only slot. Then the start of its other
    // step, which was delayed, is due, too.
    let text = format!(
        "steps:\n  - call: child\n    parallel: {{items: [1, 2], max_concurrent: 1}}\n---\nname: child\ntype: graph\n\
         delay_sec: 3\nsteps:\n  - name: a\n    command: echo $1 >> {out}; test $1 = 2 -o $(grep -c '^1$' {out}) -ge 2\n    \
         retry_policy: {{limit: 1, interval_sec: 1}}\n  - {{name: b, command: \"true\"}}\n",
        out = out.display()
    );
    daemon.wait_success(&daemon.submit("parent", &text));
    assert_eq!(lines(&out), 3);
    daemon.expect_clean();
}

#[test]
fn two_retries_at_once_make_one_further_attempt() {
    let daemon = Daemon::start("");
    let out = daemon.path("out");
    let text = format!(
        "steps:\n  - command: echo x >> {out}; test $(grep -c x {out}) -ge 2 || exit 1; {}\n",
        gated(&daemon, "begun", "go"),
        out = out.display()
    );
    let run = daemon.submit("twice", &text);
    daemon.wait_end(&run);
    let asked: Vec<_> = (0..4)
        .map(|_| daemon.begin(&["retry", "--detach", &run]))
        .collect();
    let accepted = asked
        .into_iter()
        .map(crate::helper::Running::finish)
        .filter(|out| out.code() == 0)
        .count();
    assert_eq!(accepted, 1);
    std::fs::write(daemon.path("go"), "").unwrap();
    let result = daemon.wait_success(&run);
    assert_eq!(result["attempt"], 2, "{result:#}");
    assert_eq!(lines(&out), 2);
    daemon.expect_clean();
}

#[test]
fn parameters_that_are_too_large_fail_the_step_and_hold_nobody_up() {
    let daemon = Daemon::start("");
    let text = "max_output_size: 1048576\nsteps:\n  - command: head -c 1000000 /dev/zero | tr '\\0' x\n    output: X\n  \
                - call: child\n    params: {A: '${X}', B: '${X}', C: '${X}', D: '${X}', E: '${X}', F: '${X}', G: '${X}', \
                H: '${X}', I: '${X}'}\n---\nname: child\nsteps: [\"true\"]\n";
    let result = daemon.wait_end(&daemon.submit("large", text));
    assert_eq!(result["status"], "failed", "{result:#}");
    let error = result["steps"][1]["error"].as_str().unwrap();
    assert!(error.contains("at most 2097152"), "{error}");
    daemon.expect_clean();
}
