//! Texts that the schema and the loader must judge alike.

use super::*;

fn both_refuse(text: &str) {
    assert!(!refusals(text).is_empty(), "the schema takes {text}");
    errors(text);
}

#[test]
fn steps_that_the_schema_refuses_the_loader_refuses_too() {
    for lines in [
        "comand: x",
        "id: 1x",
        "env: text",
        "env: {A=B: 1}",
        "env: [{A: [1]}]",
        "shell: {a: b}",
        "depends: {a: b}",
        "output: {key: k}",
        "output: A=B",
        "log_output: both",
        "continue_on: never",
        "continue_on: {exit_code: x}",
        "continue_on: {odd: true}",
        "retry_policy: {limit: 1}",
        "retry_policy: {limit: -1, interval_sec: 1}",
        "retry_policy: {limit: many, interval_sec: 1}",
        "retry_policy: {limit: 1, interval_sec: 1, backoff: 0.5}",
        "repeat_policy: {repeat: forever}",
        "repeat_policy: {repeat: while, exit_code: 1, limits: 1}",
        "repeat_policy: {expected: x}",
        "timeout_sec: -1",
        "timeout_sec: '1'",
        "signal_on_stop: 5",
        "preconditions: {expected: x}",
        "preconditions: {condition: a, command: b}",
        "preconditions: ['']",
        "script: '  '",
        "type: odd",
        "approval: true",
        "approval: {asked: x}",
        "type: dag",
        "type: parallel",
        "type: router",
        "parallel: [a]",
        "params: a",
        "value: x",
        "routes: {a: b}",
        "repeat_policy: {condition: , expected: x}",
        "retry_policy: {limit: , interval_sec: 1}",
        "preconditions: {CONDITION: ' '}",
        "preconditions: {condition: , negate: true}",
    ] {
        both_refuse(&with(lines));
    }
}

#[test]
fn documents_that_the_schema_refuses_the_loader_refuses_too() {
    for text in [
        "- a",
        "run_as: ''\nsteps: [a]",
        "run_as: 0\nsteps: [a]",
        "no_new_privs: 'no'\nsteps: [a]",
        "limits: 5\nsteps: [a]",
        "limits: {memory: 5M}\nsteps: [a]",
        "limits: {memory_max: 5MB}\nsteps: [a]",
        "limits: {swap_max: -1}\nsteps: [a]",
        "limits: {cpu_weight: 0}\nsteps: [a]",
        "limits: {io_weight: 10001}\nsteps: [a]",
        "limits: {cpu_max: 150}\nsteps: [a]",
        "limits: {cpu_max: 15}\nsteps: [a]",
        "limits: {pids_max: 1}\nsteps: [a]",
        "limits: {nice: 20}\nsteps: [a]",
        "limits: {umask: 'x'}\nsteps: [a]",
        "limits: {umask: 1000}\nsteps: [a]",
        "limits: {rlimits: {nofile: -1}}\nsteps: [a]",
        "limits: {rlimits: {files: 1}}\nsteps: [a]",
        "limits: {rlimits: {nofile: {low: 1}}}\nsteps: [a]",
        "stepss: [a]",
        "steps: [5]",
        "steps: [{parallel: [a]}]",
        "steps: [{call: a, parallel: []}]",
        "steps: [{call: a, parallel: {items: [a], max_concurrent: 0}}]",
        "steps: [{call: a, parallel: {items: [a], max_concurrent: 1001}}]",
        "steps: [{call: a, parallel: [~]}]",
        "steps: [{call: a, params: 5}]",
        "steps: [{call: a, worker_selector: {a: b}}]",
        "steps: [{call: ''}]",
        "type: graph\nsteps: [{type: router, routes: {a: b}}]",
        "type: graph\nsteps: [{name: a, type: router, value: x, routes: {}}]",
        "type: graph\nsteps: [{name: a, type: router, value: x, routes: {b: }}, {name: b, command: x}]",
        "type: graph\nsteps: [{name: a, type: router, value: x, routes: {b: b}, command: x}, {name: b, command: x}]",
        "steps: [{type: command, call: a}]",
        "steps: [{call: a, command: x}]",
        "steps: [{call: a, script: x}]",
        "steps: [{call: a, shell: sh}]",
        "steps: [{call: a, type: parallel}]",
        "steps: [~]",
        "steps: {a: }",
        "queue: a b",
        "retry_policy: {limit: 0}",
        "retry_policy: {limit: '0'}",
        "handler_on: {exit: {call: a}}",
        "handler_on: {exit: {type: router, value: x, routes: {a: b}}}",
        "handler_on: {exit: {command: x, depends: a}}",
        "handler_on: {exit: {command: x, approval: {}}}",
        "secrets: [{name: A, provider: env}]",
        "secrets: {A: b}",
        "steps: [{name: [a], command: x}]",
        "steps: [{name: '', command: x}]",
        "steps: a",
        "steps: [[[a]]]",
        "name: a b",
        "type: tree",
        "tags: 5",
        "params: [{name: A}]",
        "params: [{name: A, type: text}]",
        "params: [{name: A, default: 1, minLength: 1}]",
        "params: {A: [1]}",
        "dotenv: 5",
        "handler_on: {done: a}",
        "handler_on: {exit: {odd: a}}",
        "defaults: {command: a}",
        "schedule: {begin: '* * * * *'}",
        "schedule: {jitter_sec: 3601}",
        "schedule: {at: 5}",
        "schedule: {at: [[a]]}",
        "catchup_window: 6 hours",
        "delivery: once",
        "priority: 101",
        "priority: -101",
        "priority: '101'",
        "priority: urgent",
        "priority: 0.5",
        "hist_retention_runs: -1",
        "retry_policy: {lost: {interval_sec: 1}}",
        "retry_policy: {limit: 1, on: late}",
        "retry_policy: {limit: 1, on: []}",
        "retry_policy: {limit: 1, exit_codes: x}",
        "retry_policy: {limit: 1, lost: {limit: 1, on: lost}}",
        "overlap_policy: none",
        "retry_policy: {interval_sec: 1}",
        "run_config: {odd: true}",
        "worker_selector: {a: b}",
        "max_active_steps: -1",
        "log_output: 1",
    ] {
        both_refuse(text);
    }
}

#[test]
fn what_the_loader_takes_the_schema_takes_too() {
    for text in [
        "steps: [a, [b, {command: c}], {script: d, command: python3}]",
        "steps:\n  a: x\n  b: {command: [echo a, {echo b: c}, 5]}",
        "params: a B=c\nsteps: [x]",
        "params: [a, {B: 1}, {name: C, default: true, type: boolean}]\nsteps: [x]",
        "params: {A: 1, B: x}\nsteps: [x]",
        "env: [A=1, {B: 2, C: x}, ~]\ntags: {a: b}\ndotenv: []\nshell: [bash, -e]",
        "schedule: {start: ['0 1 * * *'], stop: '0 2 * * *'}\ncatchup_window: 1d12h",
        "schedule: {at: [2026-11-23 08:30, ~], restart: '@daily', jitter_sec: 60}\noverlap_policy: cancel_other",
        "schedule: {at: 2026-11-23T08:30:00Z}\ndelivery: at_least_once\nhist_retention_runs: 0",
        "priority: -100\nsteps: [x]",
        "priority: '+007'\nsteps: [x]",
        "priority: ' high '\nsteps: [x]",
        "retry_policy: {limit: 1, on: [failed, lost], exit_codes: [1, '2']}",
        "retry_policy: {limit: 1, on: failed, exit_codes: 1, lost: {limit: '2', backoff: 2}}",
        "retry_policy: {lost: {limit: 1}}",
        "retry_policy: {limit: '3', backoff: true}\nqueue: q\nworker_selector: local",
        "steps: [{command: x, continue_on: {exit_code: ['1', 2], output: 're:^a'}}]",
        "steps: [{command: x, retry_policy: {limit: $N, interval_sec: '5', backoff: 2}}]",
        "steps: [{command: x, repeat_policy: {repeat: true, limit: 3, max_interval_sec: 1.5}}]",
        "steps: [{command: x, preconditions: [a, {command: b, negate: true}], output: $OUT}]",
        "steps: [{command: x, signal_on_stop: sigint, output: {name: A, key: b, omit: true}}]",
        "secrets: [{name: KEY, provider: env, key: KEY, options: {a: 1}}]\nsteps: [x]",
        "steps: [{call: child, params: {A: 1}, parallel: [a, {B: 2}], worker_selector: local}]",
        "steps: [{call: child, params: [A=1, 5], parallel: {items: '${LIST}', max_concurrent: 2}}]",
        "steps: [{command: x, approval: {prompt: Sure?, input: [WHO], required: WHO}}]",
        "type: graph\nsteps:\n  - {name: pick, type: router, value: '${A}', routes: {ok: one, 're:^E': [two]}}\n  \
         - {name: one, command: x}\n  - {name: two, type: dag, call: child}",
        "handler_on: {exit: echo, wait: {command: x}}\ndefaults: {env: {A: 1}, timeout_sec: 5}",
        "name: a\nsteps: [x]\n---\nname: b\nsteps: [y]",
        "steps: [{command: x, preconditions: {Condition: a, EXPECTED: b, neGate: true}}]",
        "steps: [{command: x, preconditions: [{Command: a}, {condition: , command: b}]}]",
        "steps: [{command: x, retry_policy: {limit: '+1', interval_sec: '+2', max_interval_sec: '+3'}}]",
        "params: [{name: A, default: 1}, {name: , B: 1}]\nsteps: [x]",
        "params: {schema: , B: 1}\nsteps: [x]",
        "handler_on: {exit: {command: x, depends: [], call: , approval: }}\nqueue: ' '\nsteps: [x]",
        "steps: [{call: a, command: , script: , shell: , value: , routes: }]",
        "steps: [{command: x, call: , parallel: , params: , worker_selector: , value: , routes: }]",
    ] {
        dag(text);
        assert_eq!(refusals(text), Vec::<String>::new(), "{text}");
    }
}

/// Keys of a map that must be there, so that null is none.
const NEEDED: [&str; 9] = [
    "name",
    "provider",
    "key",
    "limit",
    "interval_sec",
    "items",
    "condition",
    "command",
    "call",
];

#[test]
fn a_key_that_is_null_fits_wherever_the_loader_takes_it() {
    let all = |known: &[&str], but: &[&str]| {
        let keys = known.iter().filter(|key| !but.contains(key));
        keys.map(|key| format!("{key}: ")).collect::<Vec<_>>().join(", ")
    };
    let nulls = |keys: &Keys<'_>| all(keys.known, &NEEDED);
    let step = |lines: &str| format!("steps: [{{command: x, {lines}}}]");
    let handlers: Vec<&str> = Handler::ALL.iter().map(|handler| handler.as_str()).collect();
    for text in [
        format!("{{{}}}", all(keys::TOP.known, &[])),
        format!("steps: [{{{}}}]", all(keys::STEP.known, &[])),
        format!("defaults: {{{}}}\nsteps: [x]", all(keys::DEFAULTS.known, &[])),
        format!("handler_on: {{{}}}\nsteps: [x]", all(&handlers, &[])),
        format!("run_config: {{{}}}\nsteps: [x]", nulls(&keys::RUN_CONFIG)),
        format!("schedule: {{{}}}\nsteps: [x]", all(keys::SCHEDULE.known, &[])),
        format!(
            "retry_policy: {{limit: 1, interval_sec: , {}}}\nsteps: [x]",
            nulls(&keys::DAG_RETRY)
        ),
        step(&format!("continue_on: {{{}}}", nulls(&keys::CONTINUE_ON))),
        step(&format!(
            "retry_policy: {{limit: 1, interval_sec: 1, {}}}",
            nulls(&keys::RETRY)
        )),
        step(&format!("repeat_policy: {{{}}}", all(keys::REPEAT.known, &[]))),
        step(&format!("output: {{name: A, key: , {}}}", nulls(&keys::OUTPUT))),
        step(&format!("approval: {{{}}}", nulls(&keys::APPROVAL))),
        step(&format!(
            "preconditions: {{command: x, {}}}",
            all(&keys::CONDITION, &["command"])
        )),
        format!(
            "steps: [{{call: a, parallel: {{items: [a], {}}}}}]",
            nulls(&keys::PARALLEL)
        ),
        format!("params: [{{name: A, {}}}]\nsteps: [x]", nulls(&param_defs::RICH)),
        format!(
            "secrets: [{{name: A, provider: env, key: B, {}}}]\nsteps: [x]",
            nulls(&keys::SECRET)
        ),
        "tags: {a: }\nenv: {A: }\nsteps: [x]".to_owned(),
    ] {
        dag(&text);
        assert_eq!(refusals(&text), Vec::<String>::new(), "{text}");
    }
}
