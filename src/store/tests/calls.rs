//! Runs that steps of other runs call.

use super::*;
use crate::model::change::Caller;
use crate::model::view::ChildView;
use crate::store::Filter;

/// The run of a DAG `sub`, called by the first step of `etl:root`.
fn called(id: &str, attempt: u32) -> Change {
    let root = run_ref("etl", "root");
    let mut new = new_run("sub", id, 5);
    new.parent = Some(Caller {
        run: root.clone(),
        attempt,
        step: "fan".to_owned(),
        root,
        depth: 1,
    });
    Change::Accept(Box::new(new))
}

fn child(id: &str, status: RunStatus) -> ChildView {
    ChildView {
        run: run_ref("sub", id),
        params: format!("ITEM=\"{id}\""),
        status,
    }
}

/// A root with one step that calls three runs: one has succeeded, one is queued, one was never recorded.
fn family() -> (Bench, RunRef) {
    let mut bench = Bench::new();
    let root = run_ref("etl", "root");
    bench.ok(vec![
        accept("etl", "root", 1),
        intend(&root, 1, 2),
        start(&root, 1, 3),
    ]);
    bench.ok(vec![called("one", 1)]);
    bench.ok(vec![called("two", 1)]);
    let one = run_ref("sub", "one");
    bench.ok(vec![intend(&one, 1, 6), start(&one, 1, 7)]);
    bench.ok(vec![end(&one, 1, RunStatus::Succeeded, 8)]);
    (bench, root)
}

#[test]
fn a_called_run_knows_its_caller_and_its_root() {
    let (bench, root) = family();
    let view = bench.reader().run_view(&run_ref("sub", "one")).unwrap().unwrap();
    let caller = view.parent.unwrap();
    assert_eq!((&caller.run, &caller.root), (&root, &root));
    assert_eq!(
        (caller.step.as_str(), caller.attempt, caller.depth),
        ("fan", 1, 1)
    );
    let data = bench
        .reader()
        .launch_data(&run_ref("sub", "two"))
        .unwrap()
        .unwrap();
    assert_eq!(data.parent, Some(caller));
    assert_eq!(bench.reader().run_view(&root).unwrap().unwrap().parent, None);
    // Nobody can be called by a run that is not there.
    assert!(Bench::new().refused(called("x", 1)).contains("no run etl:root"));
}

#[test]
fn lists_hold_what_somebody_asked_for() {
    let (bench, root) = family();
    let page = bench.reader().history(&Filter::default()).unwrap();
    assert_eq!(page.runs.iter().map(|run| &run.run).collect::<Vec<_>>(), [&root]);
    let sub = DagName::new("sub").unwrap();
    assert_eq!(bench.reader().latest_run(&sub).unwrap(), None);
    assert!(bench.reader().has_runs(&sub).unwrap(), "but there are some");
    assert!(!bench.reader().has_runs(&DagName::new("none").unwrap()).unwrap());
    let waiting = bench.reader().recover().unwrap();
    assert_eq!(waiting.queued.len(), 1, "but recovery finds all");
}

#[test]
fn sub_runs_are_shown_as_they_stand_now() {
    let (mut bench, root) = family();
    let mut view = StepView::new("fan");
    view.status = StepStatus::Failed;
    view.children = vec![
        child("one", RunStatus::Running),
        child("two", RunStatus::Running),
        child("three", RunStatus::Queued),
    ];
    bench.ok(vec![
        step(&root, 1, Node::Step(0), view.clone()),
        end(&root, 1, RunStatus::Failed, 9),
    ]);
    let stored = bench.reader().run_view(&root).unwrap().unwrap();
    let statuses: Vec<RunStatus> = stored.steps[0]
        .children
        .iter()
        .map(|child| child.status)
        .collect();
    assert_eq!(
        statuses,
        [RunStatus::Succeeded, RunStatus::Queued, RunStatus::NotStarted]
    );
    assert_eq!(stored.steps[0].children[2].params, "ITEM=\"three\"");
}

#[test]
fn a_further_attempt_of_the_caller_is_recorded_with_the_one_it_asks_for() {
    let (mut bench, _) = family();
    let two = run_ref("sub", "two");
    bench.ok(vec![intend(&two, 1, 6)]);
    bench.ok(vec![end(&two, 1, RunStatus::Failed, 8), clean(&two, 1)]);
    let again = Change::Requeue {
        run: two.clone(),
        caller: Some(2),
        automatic: false,
        at: Time(9),
    };
    bench.ok(vec![again]);
    let data = bench.reader().launch_data(&two).unwrap().unwrap();
    assert_eq!(data.parent.unwrap().attempt, 2);
}
