//! The plan, to the letter.

use anstream::adapter::strip_str;

use super::*;
use crate::ctl::render::graph::tests::release;
use crate::dag::params::{ParamInput, resolve};
use crate::dag::{LoadOptions, Source, load};

fn loaded(text: &str) -> Dag {
    let source = Source {
        text: text.as_bytes(),
        file: "d.yaml",
        stem: "nightly",
    };
    load(&source, &LoadOptions::default()).unwrap().dag
}

fn plan(dag: &Dag, args: &[&str]) -> Plan {
    let input = ParamInput {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..ParamInput::default()
    };
    Plan::new(dag, &resolve(&dag.params, &input).unwrap(), "/srv/jobs")
}

fn lines(plan: &Plan) -> Vec<String> {
    let lines = plan.lines(None);
    lines.iter().map(|line| strip_str(line).to_string()).collect()
}

const NIGHTLY: &str = r#"
description: What has to be done every night
type: graph
queue: heavy
params:
  - {name: REGION, default: eu}
  - {name: TODAY, eval: "`date +%F`"}
env:
  - BASE: /srv/${REGION}
preconditions: test -d "$BASE"
timeout_sec: 7200
max_active_steps: 4
shell: bash -o pipefail
handler_on:
  exit: rm -rf "$BASE/tmp"
steps:
  - name: fetch
    command: [curl "https://$REGION.example/`date +%F`", echo $UNKNOWN]
    retry_policy: {limit: 3, interval_sec: 10, backoff: 2}
    timeout_sec: 90
    output: LIST
  - name: left
    depends: fetch
    shell: sh
    working_dir: /tmp
    env: {DAY: "${TODAY}"}
    preconditions: [{condition: $LIST, expected: "re:."}]
    continue_on: skipped
    script: |
      echo "$1"
      echo two
  - name: right
    depends: fetch
    command: sleep 1
    signal_on_stop: SIGINT
    repeat_policy: {repeat: until, condition: test -s x, interval_sec: 5}
"#;

#[test]
fn a_plan_for_people() {
    assert_eq!(
        lines(&plan(&loaded(NIGHTLY), &["REGION=us"])),
        [
            "nightly could be run:",
            "  params        REGION=us",
            "                TODAY=`date +%F`",
            "  about         What has to be done every night",
            "  order         graph: only `depends` counts",
            "  queue         heavy",
            "  conditions    this succeeds: test -d \"$BASE\"",
            "  time limit    2 h",
            "  grace period  5 s",
            "  at a time     at most 4 steps",
            "  shell         bash -o pipefail",
            "  directory     /srv/jobs",
            "  env           BASE=/srv/${REGION}",
            "  dotenv        .env",
            "",
            "layer 1: 1 step",
            "  fetch  command",
            "    runs          curl \"https://$REGION.example/`date +%F`\"",
            "                  echo $UNKNOWN",
            "    with          REGION=us",
            "    retry         up to 3 times after any failure, 10 s later, each pause 2 times the one before",
            "    time limit    1 min 30 s for each try",
            "    output        the variable LIST",
            "",
            "layer 2: 2 steps, at the same time",
            "  left  script  after fetch",
            "    script        echo \"$1\"",
            "                  echo two",
            "    with          1=us",
            "                  TODAY=`date +%F`",
            "    env           DAY=${TODAY}",
            "    shell         sh",
            "    directory     /tmp",
            "    conditions    $LIST matches /./",
            "    goes on if    skipped",
            "  right  command  after fetch",
            "    runs          sleep 1",
            "    repeat        every 5 s, until this succeeds: test -s x",
            "    stop signal   SIGINT",
            "",
            "handlers",
            "  on exit: onExit  command",
            "    runs          rm -rf \"$BASE/tmp\"",
        ]
    );
}

#[test]
fn the_same_as_json() {
    let object = plan(&loaded(NIGHTLY), &["REGION=us"]).json();
    assert_eq!(object["dag"], "nightly");
    assert_eq!(object["params"], json!(["REGION=us", "TODAY=`date +%F`"]));
    assert_eq!(object["settings"]["time_limit"], "2 h");
    assert_eq!(
        object["steps"][1],
        json!({
            "name": "left",
            "depends": ["fetch"],
            "layer": 2,
            "kind": "script",
            "script": "echo \"$1\"\necho two",
            "with": ["1=us", "TODAY=`date +%F`"],
            "env": ["DAY=${TODAY}"],
            "shell": "sh",
            "directory": "/tmp",
            "conditions": ["$LIST matches /./"],
            "goes_on_if": "skipped",
        })
    );
    assert_eq!(object["handlers"][0]["on"], "exit");
    assert_eq!(object["handlers"][0]["runs"], json!(["rm -rf \"$BASE/tmp\""]));
}

#[test]
fn calls_routers_and_approvals() {
    let told = lines(&plan(&release(), &[]));
    let from = told.iter().position(|line| line == "layer 2: 1 step").unwrap();
    assert_eq!(
        told[from..from + 17],
        [
            "layer 2: 1 step",
            "  pick  router  after fetch",
            "    decides by    ${fetch.stdout}",
            "    routes        new -> build",
            "                  re:^E -> report",
            "",
            "layer 3: 2 steps, at the same time",
            "  build  call  after pick",
            "    calls         child (a document of this file)",
            "    how often     for 2 items, 2 at a time",
            "    items         arm",
            "                  x86",
            "    waits until   somebody approves it",
            "  report  script  after pick",
            "    script        #!/bin/sh",
            "                  # tell",
            "                  mail ops",
        ]
    );
}

#[test]
fn what_the_scheduler_acts_on() {
    let dag = loaded(
        "schedule: {start: ['0 2 * * *'], stop: '0 6 * * *', at: 2026-11-23 08:30, jitter_sec: 90}\n\
         catchup_window: 6h\noverlap_policy: latest\nskip_if_successful: true\npriority: high\n\
         retry_policy: {limit: 2, interval_sec: 60}\nmax_active_runs: 1\nsteps: [a]\n",
    );
    let told = lines(&plan(&dag, &[]));
    assert_eq!(
        told[2..12],
        [
            "  queue         its own, at most 1 live at a time",
            "  priority      10",
            "  schedule      start at 0 2 * * *",
            "                stop at 0 6 * * *",
            "                start once at 2026-11-23 08:30",
            "  left out      if the last run since the start before succeeded",
            "  put off       by up to 1 min 30 s",
            "  made up       starts missed in the last 6 h",
            "  while busy    the latest start waits",
            "  retry         the whole run up to 2 times after a failure or a loss, 60 s later",
        ]
    );
    let dag = loaded(
        "delivery: at_least_once\nqueue: q\nmax_active_runs: 2\nsteps: [a]\n\
         retry_policy: {limit: 1, exit_codes: [75]}\n",
    );
    let told = lines(&plan(&dag, &[]));
    assert_eq!(
        told[2..5],
        [
            "  queue         q, at most 2 of this DAG live at a time",
            "  retry         the whole run once after a failure with exit status 75, 60 s later",
            "                the whole run again and again after a loss, 1 s later, each pause 2 times the one before \
             up to 300 s",
        ]
    );
}

#[test]
fn a_long_script_is_cut_for_people_only() {
    let script: String = (0..30).map(|at| format!("      echo {at}\n")).collect();
    let plan = plan(&loaded(&format!("steps:\n  - script: |\n{script}")), &[]);
    let told = lines(&plan);
    assert_eq!(told.last().unwrap().trim(), "(20 lines more)");
    let json = plan.json();
    assert_eq!(json["steps"][0]["script"].as_str().unwrap().lines().count(), 30);
}

#[test]
fn nothing_of_a_dag_reaches_the_terminal_as_an_order() {
    let mut dag = release();
    dag.steps[0].name = "\x1b[2J".to_owned();
    dag.steps[3].action = crate::dag::types::Action::Script {
        text: "echo \x1b]0;x\x07\n".to_owned(),
        command: None,
    };
    let told = lines(&plan(&dag, &[])).join("\n");
    assert!(!told.contains('\x1b') && told.contains("\\x1b[2J"), "{told}");
}
