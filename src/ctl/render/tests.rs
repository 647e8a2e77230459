//! Tests of the renderers: what people see, to the letter.

use super::progress::{Picture, Progress};
use super::table::{Table, column};
use super::tree::{Room, details, tree};
use super::*;
use crate::ctl::family::Family;
use crate::model::view::{RunView, StepView};
use crate::model::{AttemptId, DagName, GroupName, Handler, RunId, RunRef, Trigger};
use anstream::adapter::strip_str;
use serde_json::json;

const NOW: Time = Time::from_secs(90);

/// A run at its 90th second: one step done, one failing for the second time, an exit handler that has not begun.
pub(crate) fn a_view() -> RunView {
    let mut build = StepView::new("build");
    build.status = StepStatus::Succeeded;
    build.exit_code = Some(0);
    build.done_count = 1;
    build.started_at = Some(Time::from_secs(60));
    build.finished_at = Some(Time(61_250_000));
    build.stdout = Some("/l/build.out".to_owned());
    build.variables = vec![("OUT".to_owned(), "42".to_owned())];
    let mut test = StepView::new("test");
    test.status = StepStatus::Failed;
    test.exit_code = Some(3);
    test.retry_count = 1;
    test.error = Some("exit\u{202e} status 3".to_owned());
    test.started_at = Some(Time::from_secs(62));
    test.finished_at = Some(Time::from_secs(80));
    let dag = DagName::new("hello").unwrap();
    let group = GroupName::from(&dag);
    let id = RunId::new("r1").unwrap();
    RunView {
        attempt: Some(AttemptId::new("a1").unwrap()),
        number: 1,
        status: RunStatus::Running,
        params: vec![("1".to_owned(), "x".to_owned()), ("K".to_owned(), "V".to_owned())],
        outputs: vec![("out".to_owned(), "42".to_owned())],
        started_at: Some(Time::from_secs(60)),
        pid: Some(7),
        log_dir: "/l".to_owned(),
        steps: vec![build, test],
        handlers: vec![(Handler::Exit, StepView::new("onExit"))],
        ..RunView::new(
            RunRef { dag, id },
            group,
            1000,
            Trigger::Manual,
            Time::from_secs(59),
        )
    }
}

fn plain(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| strip_str(line).to_string()).collect()
}

#[test]
fn a_tree_shows_steps_that_are_and_handlers_that_ran() {
    let mut view = a_view();
    let all = Room::default();
    assert_eq!(
        plain(&tree(&view, NOW, all)),
        [
            "hello:r1  running  30.0s",
            "├ build  succeeded    1.2s",
            "└ test   failed       18.0s  retry 1  exit code 3  exit\\u{202e} status 3",
        ]
    );
    view.handlers[0].1.status = StepStatus::Running;
    view.status = RunStatus::Failed;
    view.finished_at = Some(NOW);
    view.error = Some("step test failed\n".to_owned());
    let lines = plain(&tree(&view, NOW, all));
    assert_eq!(lines[3], "└ on exit  running");
    assert_eq!(lines[4], "  error: step test failed\\n");
}

#[test]
fn a_tree_fits_its_room() {
    let mut view = a_view();
    for number in 0..50 {
        view.steps.push(StepView::new(&format!("日本-{number}")));
    }
    let room = Room {
        width: Some(24),
        rows: Some(10),
    };
    let lines = plain(&tree(&view, NOW, room));
    assert!(lines.len() < 10);
    assert!(lines.iter().all(|line| line.width() <= 24), "{lines:#?}");
    assert_eq!(
        lines[1], "├ test    failed       …",
        "what went wrong comes before what is done"
    );
    assert_eq!(lines.last().unwrap(), "└ and 46 more");
}

#[test]
fn details_say_where_a_run_comes_from() {
    assert_eq!(
        plain(&details(&a_view())),
        [
            "attempt   1 (a1)",
            "trigger   manual",
            "owner     user id 1000",
            "queue     hello",
            "accepted  1970-01-01 00:00:59 UTC",
            "started   1970-01-01 00:01:00 UTC",
            "params    1=x K=V",
            "logs      /l",
        ]
    );
}

fn a_table() -> Table {
    let mut table = Table::new(
        &[
            column("DAG", 0),
            column("STATUS", 0),
            column("ERROR", 1),
            column("PID", 2),
        ],
        "STATUS",
    );
    table.row(
        run_style(RunStatus::Failed),
        ["a", "failed", "it\nbroke", "12"].map(str::to_owned),
    );
    table.row(
        run_style(RunStatus::Running),
        ["longer", "running", "", "1"].map(str::to_owned),
    );
    table
}

#[test]
fn a_table_without_a_terminal_leaves_nothing_out() {
    assert_eq!(
        plain(&a_table().lines(None)),
        [
            "DAG     STATUS   ERROR      PID",
            "a       failed   it\\nbroke  12",
            "longer  running             1"
        ]
    );
    let failed = format!("{}failed{:#}", run_style(RunStatus::Failed), Style::new().bold());
    assert!(a_table().lines(None)[1].contains(&failed));
}

#[test]
fn a_table_on_a_terminal_drops_columns_and_then_cuts() {
    assert_eq!(plain(&a_table().lines(Some(30)))[0], "DAG     STATUS   ERROR");
    assert_eq!(plain(&a_table().lines(Some(20)))[0], "DAG     STATUS");
    for width in 8..60 {
        for line in plain(&a_table().lines(Some(width))) {
            assert!(line.width() <= usize::from(width), "{width}: {line:?}");
        }
    }
}

#[test]
fn the_result_object_is_the_documented_one() {
    let mut view = a_view();
    view.attempt = Some(AttemptId::new("a1").unwrap());
    let object = json::result(&view, &Family::default());
    for (key, value) in [
        ("dag", json!("hello")),
        ("run_id", json!("r1")),
        ("attempt_id", json!("a1")),
        ("status", json!("running")),
        ("error", json!(null)),
        ("params", json!(["1=x", "K=V"])),
        ("outputs", json!({"out": "42"})),
    ] {
        assert_eq!(object[key], value, "{key}");
    }
    assert_eq!(object["handlers"]["exit"]["status"], "not_started");
    let step = &object["steps"][0];
    for (key, value) in [
        ("name", json!("build")),
        ("status", json!("succeeded")),
        ("error", json!(null)),
        ("exit_code", json!(0)),
        ("retry_count", json!(0)),
        ("done_count", json!(1)),
        ("repeated", json!(false)),
        ("stdout", json!("/l/build.out")),
        ("stderr", json!(null)),
        ("variables", json!({"OUT": "42"})),
        ("children", json!([])),
    ] {
        assert_eq!(step[key], value, "{key}");
    }
    view.started_at = None;
    assert_eq!(
        json::result(&view, &Family::default())["attempt_id"],
        json!(null),
        "it never started"
    );
}

#[test]
fn every_word_of_a_status_is_that_of_the_interface() {
    for status in RunStatus::ALL {
        let mut view = a_view();
        view.status = *status;
        assert_eq!(json::result(&view, &Family::default())["status"], status.as_str());
    }
    for status in StepStatus::ALL {
        let mut view = a_view();
        view.steps[0].status = *status;
        assert_eq!(
            json::result(&view, &Family::default())["steps"][0]["status"],
            status.as_str()
        );
    }
}

#[test]
fn a_run_that_waits_again_is_told_once_as_queued() {
    let mut progress = Progress::new(false, false);
    let mut view = a_view();
    view.status = RunStatus::Queued;
    view.started_at = None;
    let mut tell = |view: &RunView| {
        progress
            .update(view, NOW, None)
            .text
            .matches("queue hello")
            .count()
    };
    assert_eq!(tell(&view), 1);
    view.number = 2;
    assert_eq!(tell(&view), 0, "it is being launched");
    view.status = RunStatus::Running;
    assert_eq!(tell(&view), 0);
    view.status = RunStatus::Queued;
    assert_eq!(tell(&view), 1, "for a further attempt");
}

#[test]
fn progress_without_a_terminal_tells_changes_only() {
    let mut progress = Progress::new(false, false);
    let mut view = a_view();
    let told = progress.update(&view, NOW, None);
    assert_eq!(
        strip_str(&told.text).to_string(),
        "1970-01-01 00:01:00  hello:r1  running  30.0s\n\
         1970-01-01 00:01:01  build: succeeded after 1.2s\n\
         1970-01-01 00:01:20  test: failed after 18.0s: exit\\u{202e} status 3\n"
    );
    assert_eq!(progress.update(&view, NOW, None), Picture::default());
    view.status = RunStatus::Failed;
    view.error = Some("no".to_owned());
    view.finished_at = Some(NOW);
    let told = progress.finish(&view, NOW, None);
    assert_eq!(
        strip_str(&told.text).to_string(),
        "1970-01-01 00:01:30  hello:r1  failed  30.0s: no\n"
    );
    assert_eq!(progress.redraw_after(), None);
}

#[test]
fn a_tree_on_a_terminal_is_drawn_over_the_former_one() {
    let mut progress = Progress::new(false, true);
    let size = Some((80, 24));
    assert_eq!(progress.update(&a_view(), NOW, size).up, 0);
    assert_eq!(progress.update(&a_view(), NOW, size).up, 3);
    progress.let_go();
    assert_eq!(progress.finish(&a_view(), NOW, size).up, 0);
    assert!(progress.redraw_after().is_some());
    assert_eq!(
        Progress::new(true, true).update(&a_view(), NOW, size),
        Picture::default()
    );
}

#[test]
fn durations_have_two_units() {
    let took = |micros| duration(Time(0), Time(micros));
    assert_eq!(took(-5), "0.0s");
    assert_eq!(took(59_990_000), "59.9s");
    assert_eq!(took(61_000_000), "1m01s");
    assert_eq!(took(3_660_000_000), "1h01m");
    assert_eq!(took(90_000_000_000), "1d01h");
}
