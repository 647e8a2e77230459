//! Ids, verdicts and outputs of calls.

use super::*;

fn run_ref(id: &str) -> RunRef {
    RunRef {
        dag: DagName::new("child").unwrap(),
        id: RunId::new(id).unwrap(),
    }
}

fn call(id: &str) -> PlannedCall {
    PlannedCall {
        run: run_ref(id),
        target: Rc::new(CallTarget::Local(DagName::new("child").unwrap())),
        params: Vec::new(),
        text: format!("ITEM=\"{id}\""),
    }
}

fn ended(status: RunStatus) -> Ended {
    Ended::Run(CallEnd {
        status,
        number: 1,
        error: Some("exit code 3".to_owned()).filter(|_| !status.is_success()),
        params: Vec::new(),
        outputs: vec![("OUT".to_owned(), status.to_string())],
    })
}

#[test]
fn the_id_of_a_sub_run_follows_from_who_asks_for_what() {
    let parent = run_ref("p");
    let named = |name: &str, value: &str| vec![(Some(name.to_owned()), value.to_owned())];
    let positional = |value: &str| vec![(None, value.to_owned())];
    let id = |step: &str, target: &str, params: &[(Option<String>, String)], round| {
        RunId::derive(&parent, step, target, params, round)
    };
    let first = id("s", "child", &named("A", "1"), 0);
    assert_eq!(first, id("s", "child", &named("A", "1"), 0));
    let all = HashSet::from([
        first,
        id("t", "child", &named("A", "1"), 0),
        id("s", "other", &named("A", "1"), 0),
        id("s", "child", &named("A", "2"), 0),
        id("s", "child", &named("A", "1"), 1),
        id("s", "child", &named("A1", ""), 0),
        id("s", "child", &named("", "A1"), 0),
        id("s", "child", &positional("A1"), 0),
        RunId::derive(&run_ref("q"), "s", "child", &named("A", "1"), 0),
    ]);
    assert_eq!(all.len(), 9, "no two of them are the same run");
}

#[test]
fn the_verdict_follows_from_all_sub_runs() {
    use RunStatus::{Aborted, Failed, PartiallySucceeded, Rejected, Succeeded, Waiting};
    for (ends, expected) in [
        (vec![Succeeded], StepStatus::Succeeded),
        (
            vec![Succeeded, PartiallySucceeded],
            StepStatus::PartiallySucceeded,
        ),
        (vec![Succeeded, Failed], StepStatus::Failed),
        (vec![Succeeded, Aborted], StepStatus::Failed),
        (vec![Failed, Waiting], StepStatus::Waiting),
        (vec![Failed, Waiting, Rejected], StepStatus::Rejected),
    ] {
        let list: Vec<Ended> = ends.iter().map(|status| ended(*status)).collect();
        assert_eq!(verdict(&list), expected, "{ends:?}");
    }
    assert_eq!(verdict(&[ended(Succeeded), Ended::Not]), StepStatus::Failed);
    assert_eq!(verdict(&[Ended::Refused("no".to_owned())]), StepStatus::Failed);
}

#[test]
fn the_output_of_a_parallel_step_has_only_what_succeeded_in_its_outputs() {
    let calls = [call("a"), call("b"), call("c"), call("d")];
    let ends = [
        ended(RunStatus::Succeeded),
        ended(RunStatus::Failed),
        Ended::Refused("no such DAG".to_owned()),
        ended(RunStatus::Waiting),
    ];
    let text: Value = serde_json::from_str(&aggregate(&calls, &ends)).unwrap();
    assert_eq!(
        text["summary"],
        json!({"total": 4, "succeeded": 1, "failed": 2, "waiting": 1})
    );
    assert_eq!(text["outputs"], json!([{"OUT": "succeeded"}]));
    assert_eq!(text["results"][1]["outputs"]["OUT"], "failed");
    assert_eq!(text["results"][2]["status"], "failed");
    assert_eq!(text["results"][0]["dagRunId"], "a");
}

#[test]
fn the_error_names_the_first_and_counts_the_others() {
    let calls = [call("a"), call("b"), call("c")];
    let failed = ended(RunStatus::Failed);
    let two = [ended(RunStatus::Succeeded), failed.clone(), failed];
    assert_eq!(
        error(&calls, &two).unwrap(),
        "sub-run child:b failed: exit code 3 (and 1 more)"
    );
    let refused = [Ended::Refused("there is no DAG child".to_owned())];
    assert_eq!(
        error(&calls, &refused).unwrap(),
        "sub-run child:a was not started: there is no DAG child"
    );
    assert_eq!(error(&calls, &[ended(RunStatus::Waiting)]), None);
    let rejected = [ended(RunStatus::Waiting), ended(RunStatus::Rejected)];
    assert_eq!(
        error(&calls, &rejected).unwrap(),
        "sub-run child:b rejected: exit code 3"
    );
    assert!(error(&calls, &[Ended::Not]).unwrap().contains("stopped before"));
}

#[test]
fn a_file_is_looked_for_with_the_endings_of_dag_files() {
    let of = |target: &str| -> Vec<String> {
        candidates(Path::new("/d"), target)
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    };
    assert_eq!(of("sub"), ["/d/sub.yaml", "/d/sub.yml"]);
    assert_eq!(of("a.b"), ["/d/a.b.yaml", "/d/a.b.yml"]);
    assert_eq!(of("w/sub.yaml"), ["/d/w/sub.yaml"]);
    assert_eq!(of("/x/sub.yml"), ["/x/sub.yml"]);
}

#[test]
fn a_secret_is_no_parameter_of_a_sub_run() {
    let masker = Masker::new(["hunter2"]);
    let params = [
        (None, String::from("a")),
        (Some(String::from("B")), String::from("-phunter2")),
    ];
    assert_eq!(check_secrets(None, &params), Ok(()));
    let error = check_secrets(masker.as_ref(), &params).unwrap_err();
    assert!(error.starts_with("the parameter B has"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let params = [(Some(String::from("hunter2")), String::from("hunter"))];
    assert_eq!(check_secrets(masker.as_ref(), &params), Ok(()));
}

#[test]
fn parameters_that_no_message_could_hold_are_refused_before_anybody_is_asked() {
    let params = |bytes: usize| vec![(Some("A".to_owned()), "x".repeat(bytes)), (None, "y".to_owned())];
    assert_eq!(check_size(&params(CALL_PARAMS_MAX - 2)), Ok(()));
    let error = check_size(&params(CALL_PARAMS_MAX - 1)).unwrap_err();
    assert!(error.contains(&CALL_PARAMS_MAX.to_string()), "{error}");
}
