//! Tests of the JSON form of the protocol.

use super::*;
use crate::model::{DagName, RunId, RunRef, RunStatus, Trigger};
use crate::wire::control::{ErrorKind, HistoryFilter, Selector};
use proptest::prelude::*;

fn selector(dag: &str, run: Option<&str>) -> Selector {
    Selector {
        dag: DagName::new(dag).unwrap(),
        run: run.map(|id| RunId::new(id).unwrap()),
    }
}

#[test]
fn requests_without_fields() {
    for body in ["{}", "null"] {
        let parsed = |verb: &str| parse_request(format!("{{\"{verb}\":{body}}}").as_bytes());
        assert_eq!(parsed("ping"), Ok(Request::Ping));
        assert_eq!(parsed("ps"), Ok(Request::Ps));
        assert_eq!(parsed("reload"), Ok(Request::Reload));
    }
}

#[test]
fn requests_with_fields_and_their_defaults() {
    let parse = |line: &str| parse_request(line.as_bytes()).unwrap();
    assert_eq!(
        parse(r#"{"status":{"dag":"x"}}"#),
        Request::Status(selector("x", None))
    );
    assert_eq!(
        parse(r#"{"stop":{"run":{"dag":"x","run":"7"}}}"#),
        Request::Stop {
            run: selector("x", Some("7")),
            interrupted: false
        }
    );
    assert_eq!(
        parse(r#"{"history":{"statuses":["failed"]}}"#),
        Request::History(HistoryFilter {
            statuses: vec![RunStatus::Failed],
            limit: 100,
            ..HistoryFilter::default()
        })
    );
    assert_eq!(
        parse(r#"{"history":{"lost":true,"limit":7}}"#),
        Request::History(HistoryFilter {
            limit: 7,
            lost: true,
            ..HistoryFilter::default()
        })
    );
    let backup = || DagName::new("backup").unwrap();
    assert_eq!(parse(r#"{"remove":"backup"}"#), Request::Remove(backup()));
    assert_eq!(parse(r#"{"next":{}}"#), Request::Next { dag: None, count: 10 });
    let enable = Request::Enable {
        dag: backup(),
        on: false,
    };
    assert_eq!(parse(r#"{"enable":{"dag":"backup","on":false}}"#), enable);
    assert!(matches!(
        parse(r#"{"install":{"source":"steps: []","stem":"x"}}"#),
        Request::Install(_)
    ));
    let cleanup = |dag, dry_run| Request::Cleanup {
        dag,
        keep_days: None,
        keep_runs: None,
        dry_run,
    };
    assert_eq!(parse(r#"{"cleanup":{}}"#), cleanup(None, false));
    assert_eq!(
        parse(r#"{"cleanup":{"dag":"backup","dry_run":true}}"#),
        cleanup(Some(backup()), true)
    );
    assert_eq!(parse(r#"{"doctor":{}}"#), Request::Doctor { repair: false });
    assert_eq!(
        parse(r#"{"approve":{"run":{"dag":"x"}}}"#),
        Request::Approve {
            run: selector("x", None),
            step: None,
            inputs: Vec::new(),
        }
    );
    assert_eq!(
        parse(r#"{"approve":{"run":{"dag":"x"},"step":"s","inputs":[["K","v"]]}}"#),
        Request::Approve {
            run: selector("x", None),
            step: Some("s".to_owned()),
            inputs: vec![("K".to_owned(), "v".to_owned())],
        }
    );
    assert_eq!(
        parse(r#"{"reject":{"run":{"dag":"x"},"reason":"no"}}"#),
        Request::Reject {
            run: selector("x", None),
            step: None,
            reason: Some("no".to_owned()),
        }
    );
    let Request::Submit(submit) = parse(r#"{"submit":{"source":"steps: []","stem":"x","args":["a"]}}"#)
    else {
        panic!("not a submit");
    };
    assert_eq!((submit.stem.as_str(), submit.args.len()), ("x", 1));
    assert_eq!(submit.trigger, Trigger::Manual);
    assert_eq!(submit.run_id, None);
}

#[test]
fn wrong_lines_are_told_apart() {
    let error = |line: &str| parse_request(line.as_bytes()).unwrap_err();
    assert!(matches!(error("nonsense"), JsonError::Syntax(_)));
    assert!(matches!(error("{\"ping\":{}} x"), JsonError::Syntax(_)));
    assert_eq!(error("[]"), JsonError::Shape);
    assert_eq!(error("{}"), JsonError::Shape);
    assert_eq!(error(r#"{"ping":{},"ps":{}}"#), JsonError::Shape);
    assert_eq!(error(r#"{"nope":{}}"#), JsonError::Verb("nope".to_owned()));
    assert_eq!(error(r#"{"Ping":{}}"#), JsonError::Verb("Ping".to_owned()));
    assert!(matches!(error(r#"{"status":{}}"#), JsonError::Field { .. }));
    assert!(matches!(error(r#"{"status":[]}"#), JsonError::Field { .. }));
    assert!(matches!(error(r#"{"status":"x"}"#), JsonError::Field { .. }));
    assert!(matches!(error(r#"{"remove":"../etc"}"#), JsonError::Field { .. }));
    assert!(matches!(
        error(r#"{"status":{"dag":"../etc"}}"#),
        JsonError::Field { .. }
    ));
    assert!(matches!(
        error(r#"{"history":{"statuses":["Failed"]}}"#),
        JsonError::Field { .. }
    ));
    let deep = format!("{{\"status\":{}", "[".repeat(100_000));
    assert!(matches!(error(&deep), JsonError::Syntax(_)));
}

#[test]
fn a_misspelt_field_is_refused_where_it_stands() {
    let field = |line: &str| match parse_request(line.as_bytes()) {
        Err(JsonError::UnknownField { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(r#"{"doctor":{"repiar":true}}"#), "repiar");
    assert_eq!(field(r#"{"stop":{"run":{"dag":"x","id":"1"}}}"#), "run.id");
    assert_eq!(field(r#"{"ping":{"x":1}}"#), "x");
}

#[test]
fn answers_are_one_line_with_one_key() {
    let line = |response: &Response| write_response(response).unwrap();
    assert_eq!(line(&Response::Done), "{\"done\":{}}\n");
    let accepted = Response::Accepted {
        run: RunRef {
            dag: DagName::new("x").unwrap(),
            id: RunId::new("1").unwrap(),
        },
        warnings: Vec::new(),
    };
    assert_eq!(
        line(&accepted),
        "{\"accepted\":{\"run\":{\"dag\":\"x\",\"id\":\"1\"},\"warnings\":[]}}\n"
    );
    let refused = Response::Error {
        kind: ErrorKind::NotFound,
        message: "a\nb".to_owned(),
        hint: None,
        problems: Vec::new(),
    };
    assert_eq!(
        line(&refused),
        "{\"error\":{\"kind\":\"not_found\",\"message\":\"a\\nb\",\"hint\":null,\"problems\":[]}}\n"
    );
}

proptest! {
    #[test]
    fn t09_garbage_is_an_error(line in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse_request(&line).is_err());
    }

    #[test]
    fn any_verb_and_body_are_judged(verb in "[a-z_]{0,12}", body in "[\\[\\]{}\":,a-z0-9]{0,40}") {
        let line = format!("{{\"{verb}\":{body}}}");
        if let Ok(request) = parse_request(line.as_bytes()) {
            let understood = crate::wire::access::Verb::of(&request).as_str();
            prop_assert!(understood == verb || (verb == "doctor" && understood == "repair"));
        }
    }
}
