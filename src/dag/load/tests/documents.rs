//! Tests of files with several documents, and of whole files.

use super::*;

fn with_base(base: &str, text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    let base = BaseConfig {
        text: base.as_bytes(),
        file: "base.yaml",
    };
    load(
        &source(text),
        &LoadOptions {
            base: Some(base),
            ..LoadOptions::default()
        },
    )
}

fn merged(base: &str, text: &str) -> Dag {
    with_base(base, text).expect("valid").dag
}

#[test]
fn the_name_comes_from_the_caller_the_text_or_the_file() {
    let named = LoadOptions {
        name: Some("given"),
        ..LoadOptions::default()
    };
    let of = |text: &str, options: &LoadOptions<'_>| {
        let name = load(&source(text), options).expect("valid").dag.name.to_string();
        // Who wants only the name gets the same one.
        assert_eq!(name_of(&source(text), options).expect("valid").as_str(), name);
        name
    };
    assert_eq!(of("name: own\nsteps: [x]\n", &named), "given");
    assert_eq!(of("name: ' own '\nsteps: [x]\n", &LoadOptions::default()), "own");
    assert_eq!(of("steps: [x]\n", &LoadOptions::default()), "d");
    let bad_stem = Source {
        stem: "my dag",
        ..source("steps: [x]\n")
    };
    let errors = load(&bad_stem, &LoadOptions::default()).expect_err("refused");
    assert_eq!(name_of(&bad_stem, &LoadOptions::default()), Err(errors.clone()));
    assert!(
        errors[0]
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("`name:`"))
    );
    let bad_name = LoadOptions {
        name: Some("a b"),
        ..LoadOptions::default()
    };
    let errors = load(&source("steps: [x]\n"), &bad_name).expect_err("refused");
    assert_eq!(
        (errors[0].line, errors[0].file.as_deref()),
        (None, None),
        "it is in no file"
    );
}

#[test]
fn a_name_alone_is_read_from_whatever_can_be_read() {
    let of = |text: &str, base: Option<&str>| {
        let base = base.map(|base| BaseConfig {
            text: base.as_bytes(),
            file: "base.yaml",
        });
        name_of(
            &source(text),
            &LoadOptions {
                base,
                ..LoadOptions::default()
            },
        )
    };
    let named = |text| of(text, None).map(|name| name.to_string());
    assert_eq!(named("name: own\nsteps: 1\nbogus: x\n").as_deref(), Ok("own"));
    assert_eq!(named("steps: [x]\n---\n- a\n").as_deref(), Ok("d"));
    for (text, words) in [
        ("", "the file is empty"),
        ("- a\n", "it is not a DAG"),
        ("name: [a]\n", "name"),
        ("name: 'a b'\n", "a b"),
        ("name: \"a\n", "not valid YAML"),
    ] {
        let errors = of(text, None).expect_err(text);
        assert!(errors[0].message.contains(words), "{errors:#?}");
    }
    let base = "name: base\nsteps: [x]\n";
    let loaded = with_base(base, "steps: [y]\n").map(|loaded| loaded.dag.name);
    assert_eq!(of("steps: [y]\n", Some(base)), loaded);
}

#[test]
fn what_is_no_map_is_no_dag() {
    error("", 1, 1, "is not a DAG");
    error("# nothing\n", 1, 1, "is not a DAG");
    error("- a\n", 1, 1, "a list: it is not a DAG");
    error("just text\n", 1, 1, "it is not a DAG");
    error("steps: [x]\n---\n- a\n", 3, 1, "it is not a DAG");
    assert!(!warnings("name: a\n").is_empty(), "no steps is allowed, but said");
}

#[test]
fn all_errors_come_at_once_and_in_order() {
    let text =
        "tpye: chain\ntimeout_sec: -1\nsteps:\n  - {id: 1x, command: a}\n  - {name: b}\n  - {command: 5}\n";
    let lines: Vec<_> = errors(text).iter().map(|error| error.line).collect();
    assert_eq!(lines, [Some(1), Some(2), Some(4), Some(6)]);
}

#[test]
fn further_documents_are_local_dags() {
    let dag = dag("steps: [x]\n---\nname: sub\nsteps: [y]\n---\n---\nname: two\nsteps: [z]\n");
    let names: Vec<_> = dag.local_dags.iter().map(|dag| dag.name.as_str()).collect();
    assert_eq!(names, ["sub", "two"]);
    error("steps: [x]\n---\nsteps: [y]\n", 3, 1, "needs a `name`");
    error(
        "steps: [x]\n---\nname: a\n---\nname: a\n",
        5,
        1,
        "duplicate DAG name `a`",
    );
    error("steps: [x]\n---\nname: d\n", 3, 1, "duplicate DAG name `d`");
    error("steps: [x]\n---\nname: a\nstesp: []\n", 4, 1, "unknown key");
}

#[test]
fn schedules_of_a_further_document_have_no_effect_and_that_is_said() {
    let text = "schedule: 0 1 * * *\nsteps: [x]\n---\nname: sub\nschedule: 0 2 * * *\ncatchup_window: 1h\nsteps: [y]\n";
    let loaded = try_load(text).expect("valid");
    let found: Vec<_> = loaded
        .warnings
        .iter()
        .map(|warning| {
            (
                warning.line,
                warning.message.split(' ').next().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(found, [(Some(5), "`schedule`"), (Some(6), "`catchup_window`")]);
    assert!(
        loaded.warnings[0]
            .message
            .contains("only in the first document of a file")
    );
    // What the base configuration says is not written there.
    let loaded = with_base(
        "overlap_policy: all\n",
        "steps: [x]\n---\nname: sub\nsteps: [y]\n",
    );
    assert_eq!(loaded.expect("valid").warnings, []);
}

#[test]
fn the_base_fills_in_and_the_dag_wins() {
    let base = "name: base\ntimeout_sec: 5\nlog_output: merged\nmax_clean_up_time_sec: 9\ntype: graph\nshell: zsh\n\
                env: {A: 1}\ndotenv: x\nhandler_on: {exit: b, init: b}\ndefaults: {timeout_sec: 3, signal_on_stop: HUP}\n";
    let plain = merged(base, "steps: [x]\n");
    assert_eq!(
        (plain.name.as_str(), plain.timeout_sec, plain.kind),
        ("d", 5, DagKind::Graph)
    );
    assert_eq!(plain.shell.map(|shell| shell.program).as_deref(), Some("zsh"));
    let own = merged(
        base,
        "timeout_sec: 0\nlog_output: separate\nmax_clean_up_time_sec:\ntype: chain\nenv: [B=2]\ndotenv: [y]\n\
         handler_on: {exit: own}\ndefaults: {timeout_sec: 4}\nsteps: [x]\n",
    );
    assert_eq!(
        (own.timeout_sec, own.log_output, own.kind),
        (0, LogOutput::Separate, DagKind::Chain)
    );
    assert_eq!(
        own.max_clean_up_time_sec, 9,
        "a key with nothing behind it is not written"
    );
    let env: Vec<&str> = own.env.iter().map(|var| var.name.as_str()).collect();
    assert_eq!(
        (env, own.dotenv),
        (vec!["A", "B"], [".env", "x", "y"].map(str::to_owned).to_vec())
    );
    let commands: Vec<_> = own.handlers.iter().map(|(_, step)| step.action.clone()).collect();
    assert_eq!(
        commands,
        ["b", "own"].map(|raw| Action::Commands(vec![Command::new(raw)]))
    );
    assert_eq!(
        (own.steps[0].timeout_sec, own.steps[0].signal_on_stop),
        (4, Some(1))
    );
    assert!(merged(base, "dotenv: []\nsteps: [x]\n").dotenv.is_empty());
    let local = merged(base, "steps: [x]\n---\nname: sub\nsteps: [y]\n");
    assert_eq!(local.local_dags[0].timeout_sec, 5, "it is under every document");
}

#[test]
fn errors_of_the_base_are_in_its_file_and_said_once() {
    let errors = with_base("\ntimeuot_sec: 5\ntimeout_sec: x\n", "steps: [x]\n").expect_err("refused");
    let places: Vec<_> = errors
        .iter()
        .map(|error| (error.file.as_deref(), error.line))
        .collect();
    assert_eq!(
        places,
        [(Some("base.yaml"), Some(2)), (Some("base.yaml"), Some(3))]
    );
    assert!(with_base("", "steps: [x]\n").is_ok(), "an empty base is none");
    assert!(with_base("a: [", "steps: [x]\n").is_err());
    assert!(with_base("group: a\n---\ngroup: b\n", "steps: [x]\n").is_err());
    assert!(with_base("- a\n", "steps: [x]\n").is_err());
}

#[test]
fn the_working_directory_has_three_sources() {
    let options = LoadOptions {
        default_working_dir: Some("/default"),
        base: Some(BaseConfig {
            text: b"group: g\n",
            file: "base.yaml",
        }),
        ..LoadOptions::default()
    };
    let of =
        |text: &str, options: &LoadOptions<'_>| load(&source(text), options).expect("valid").dag.working_dir;
    assert_eq!(of("steps: [x]\n", &options).as_deref(), Some("/default"));
    assert_eq!(
        of("working_dir: own\nsteps: [x]\n", &options).as_deref(),
        Some("own")
    );
    let base = BaseConfig {
        text: b"working_dir: /base\n",
        file: "base.yaml",
    };
    let based = LoadOptions {
        base: Some(base),
        ..options
    };
    assert_eq!(of("steps: [x]\n", &based).as_deref(), Some("/base"));
}

#[test]
fn a_stored_dag_is_read_back_and_older_ones_too() {
    let dag = dag("steps: [x]\nhandler_on: {exit: y}\nparams: [{name: p, default: 1, type: integer}]\n");
    let mut json = serde_json::to_value(&dag).expect("serializes");
    assert_eq!(serde_json::from_value::<Dag>(json.clone()).expect("reads"), dag);
    let fields = json.as_object_mut().expect("an object");
    for added in ["dotenv_implied", "log_dir", "scheduling", "local_dags"] {
        assert!(fields.remove(added).is_some(), "{added}");
    }
    assert!(serde_json::from_value::<Dag>(json).is_ok());
}

#[test]
fn the_projection_shows_env_as_far_as_parameters_tell() {
    let text = "params: {dir: /data, n: '2'}\nenv:\n  - OUT: ${dir}/out\n  - LOG: $OUT/log\n  - FIRST: $1\n  - HOME2: $HOME/$dir\n  \
                - CMD: \"`echo $dir`\"\n  - AFTER: $CMD\n  - JSON: ${CONF.key}\n  - n: $UNKNOWN\n  - LAST: $n\nsteps: [x]\n";
    let dag = dag(text);
    let json = crate::dag::project(&dag, None, "/base", true);
    let expected = [
        "OUT=/data/out",
        "LOG=/data/out/log",
        "FIRST=/data",
        "HOME2=$HOME/$dir",
        "CMD=`echo $dir`",
        "AFTER=$CMD",
        "JSON=${CONF.key}",
        "n=$UNKNOWN",
        "LAST=$n",
    ];
    assert_eq!(json["env"], serde_json::json!(expected));
    let json = crate::dag::project(&dag, None, "/base", false);
    assert_eq!(json["env"][0], "OUT=${dir}/out");
    assert_eq!(
        dag.env[0].value, "${dir}/out",
        "the DAG itself keeps what is written"
    );
}

#[test]
fn the_projection_is_flat_and_complete() {
    let text = "type: graph\ndotenv: x\nworking_dir: sub\nparams: 'a=1 b'\nsteps:\n  - {name: a, command: echo \"q r\"}\n  \
                - {name: b, script: s, depends: a, signal_on_stop: INT, retry_policy: {limit: $L, interval_sec: 2}}\n";
    let json = crate::dag::project(&dag(text), None, "/base", true);
    assert_eq!(
        json["dotenv"],
        serde_json::json!(["x"]),
        "what is implied is not shown"
    );
    assert_eq!(json["working_dir"], "/base/sub");
    assert_eq!(json["params"], serde_json::json!(["a=1", "2=b"]));
    assert_eq!(json["default_params"], "a=\"1\" \"b\"");
    assert_eq!(json["params_json"], serde_json::json!({"a": "1", "2": "b"}));
    let expected = serde_json::json!([{"command": "echo", "args": ["q r"], "raw": "echo \"q r\""}]);
    assert_eq!(json["steps"][0]["commands"], expected);
    let step = &json["steps"][1];
    assert_eq!(
        (&step["script"], &step["depends"][0], &step["signal_on_stop"]),
        (&"s".into(), &"a".into(), &"SIGINT".into())
    );
    assert_eq!(
        (
            &step["retry_policy"]["limit_expr"],
            &step["retry_policy"]["interval_sec"]
        ),
        (&"$L".into(), &2.0.into())
    );
}
