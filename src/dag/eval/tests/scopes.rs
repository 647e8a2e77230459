//! Scopes, their layers, dotenv files.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{
    EvalError, Identity, Memo, Origin, Outcome, RunPieces, Scope, StepPieces, dotenv, params_json, run_scope,
    step_scope,
};
use super::{ready, run};
use crate::dag::types::EnvVar;

fn pairs(vars: &[(&str, &str)]) -> Vec<(String, String)> {
    vars.iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect()
}

fn env(vars: &[(&str, &str)]) -> Vec<EnvVar> {
    vars.iter()
        .map(|(n, v)| EnvVar {
            name: (*n).to_owned(),
            value: (*v).to_owned(),
        })
        .collect()
}

const IDENTITY: Identity<'_> = Identity {
    dag_name: "d",
    run_id: "r",
    log_file: "/log",
    work_dir: "/work",
};

fn pieces<'a>(
    os: &'a [(String, String)],
    params: &'a [(String, String)],
    env: &'a [EnvVar],
) -> RunPieces<'a> {
    RunPieces {
        os,
        identity: IDENTITY,
        params,
        params_json: "{}",
        env,
        dotenv: &[],
        extra: &[],
        secrets: &[],
    }
}

fn value(scope: &Scope, name: &str) -> Option<String> {
    scope.get(name, true).map(ToString::to_string)
}

#[test]
fn layers_of_a_run_in_order() {
    let os = pairs(&[("PATH", "/bin"), ("DAG_NAME", "os")]);
    let params = pairs(&[
        ("base", "/data"),
        ("2", "two"),
        ("DAG_RUN_ID", "mine"),
        ("DAG_RUN_WORK_DIR", "no"),
    ]);
    let env = env(&[
        ("DIR", "${base}/sub"),
        ("FULL", "$DIR/f"),
        ("PATH", "/opt:$PATH"),
        ("W", "$DAG_RUN_WORK_DIR"),
    ]);
    let (entries, _) = dotenv::parse("FULL=$DIR/dotenv\nL='$DIR'\nT=`date`\n");
    let secrets = pairs(&[("TOKEN", "s")]);
    let extra = pairs(&[("L", "extra")]);
    let all = RunPieces {
        dotenv: &entries,
        secrets: &secrets,
        extra: &extra,
        ..pieces(&os, &params, &env)
    };
    let s = ready(run(|c| run_scope(&all, c)).unwrap());
    for (name, expected) in [
        ("PATH", "/opt:/bin"),
        ("DAG_NAME", "d"),
        ("DAG_RUN_ID", "mine"),
        ("DAG_RUN_WORK_DIR", "/work"),
        ("DIR", "/data/sub"),
        ("FULL", "/data/sub/dotenv"),
        ("L", "extra"),
        ("T", "`date`"),
        ("TOKEN", "s"),
        ("DAGU_PARAMS_JSON", "{}"),
    ] {
        assert_eq!(value(&s, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(s.positional(), ["/data", "two", "mine", "no"]);
}

#[test]
fn env_of_a_run_waits_for_its_commands() {
    let env = env(&[("A", "x"), ("B", "`echo $A`"), ("C", "$B`more`")]);
    let all = pieces(&[], &[], &env);
    let mut memo = Memo::new();
    let Outcome::Pending(what) = run_scope(&all, &memo.cursor()).unwrap() else {
        panic!()
    };
    assert_eq!(what.command.text, "echo $A");
    assert_eq!(value(&what.scope, "A").as_deref(), Some("x"));
    memo.push(Ok("b\n".to_owned()));
    memo.push(Ok("c".to_owned()));
    assert_eq!(
        value(&ready(run_scope(&all, &memo.cursor()).unwrap()), "C").as_deref(),
        Some("bc")
    );
}

#[test]
fn an_env_that_grows_without_end_is_refused() {
    let mut vars = env(&[("A", &"x".repeat(1_000_000))]);
    vars.extend((0..20).map(|n| EnvVar {
        name: format!("B{n}"),
        value: "$A".to_owned(),
    }));
    let refused = run(|c| run_scope(&pieces(&[], &[], &vars), c));
    assert_eq!(refused, Err(EvalError::EnvTooLong("env")));
}

#[test]
fn layers_of_a_step_in_order() {
    let base = ready(run(|c| run_scope(&pieces(&[], &[], &env(&[("V", "dag"), ("O", "dag")])), c)).unwrap());
    let outputs = [
        (Arc::from("O"), Arc::from("out")),
        (Arc::from("PWD"), Arc::from("odd")),
    ];
    let own = env(&[("V", "step"), ("SEES", "$V/$O/$DAG_RUN_STEP_NAME")]);
    let steps = Arc::new(BTreeMap::new());
    let mut step = StepPieces {
        name: "s",
        working_dir: "/w",
        status: None,
        waiting_steps: None,
        outputs: &outputs,
        env: &own,
        logs: Some(("/o", "/e")),
        steps: &steps,
    };
    let s = ready(run(|c| step_scope(&base, &step, c)).unwrap());
    assert_eq!(value(&s, "V").as_deref(), Some("step"));
    assert_eq!(value(&s, "SEES").as_deref(), Some("dag/out/s"));
    assert_eq!(value(&s, "PWD").as_deref(), Some("odd"));
    assert_eq!(value(&s, "DAG_RUN_STEP_STDERR_FILE").as_deref(), Some("/e"));
    assert_eq!(value(&s, "DAG_RUN_STATUS"), None);
    (step.logs, step.status) = (None, Some("succeeded"));
    let s = ready(run(|c| step_scope(&base, &step, c)).unwrap());
    assert_eq!(value(&s, "DAG_RUN_STEP_STDOUT_FILE"), None);
    assert_eq!(value(&s, "DAG_RUN_STATUS").as_deref(), Some("succeeded"));
    assert_eq!(value(&base, "V").as_deref(), Some("dag"));
}

#[test]
fn the_environment_is_clean() {
    let mut s = Scope::new();
    s.push(Origin::Os);
    for (name, value) in [
        ("A", "os"),
        ("odd.name", "kept"),
        ("bad=", "x"),
        ("", "x"),
        ("NUL\0", "x"),
    ] {
        s.set(name, value);
    }
    let s = s.with([
        ("A", "u\0ser"),
        ("1", "pos"),
        ("a-b", "x"),
        ("BASH_FUNC_ls%%", "() { evil; }"),
    ]);
    assert_eq!(s.environ(), pairs(&[("A", "user"), ("odd.name", "kept")]));
}

#[test]
fn params_as_json() {
    let params = pairs(&[("b", "1"), ("a", "q\"")]);
    assert_eq!(params_json(&params, None), r#"{"b":"1","a":"q\""}"#);
    assert_eq!(params_json(&params, Some("[1]")), "[1]");
}

#[test]
fn dotenv_forms() {
    let text = "\u{feff}# c\nA=1\r\n export B = two words # c\nC: colon\nD='it #$A\\n'\nE=\"a\\n\\\"b\\\" \\$x\nnext\" # c\nF=\nG=a#b\nH=\"\"\n";
    let (entries, warnings) = dotenv::parse(text);
    let got: Vec<_> = entries
        .iter()
        .map(|e| (e.name.as_str(), e.value.as_str(), e.literal))
        .collect();
    assert_eq!(
        got,
        [
            ("A", "1", false),
            ("B", "two words", false),
            ("C", "colon", false),
            ("D", "it #$A\\n", true),
            ("E", "a\n\"b\" \\$x\nnext", false),
            ("F", "", false),
            ("G", "a#b", false),
            ("H", "", false),
        ]
    );
    assert!(warnings.is_empty());
}

#[test]
fn dotenv_lines_that_cannot_be_read() {
    let (entries, warnings) = dotenv::parse("A=1\nnonsense\n9X=1\nB=\"open\nC='x' y\nD=4\n");
    assert_eq!(
        entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(),
        ["A", "D"]
    );
    assert_eq!(warnings.iter().map(|w| w.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
}
