//! Tests of removing old runs: what goes, what stays, and what it costs.

use super::super::{Directory, Limits, OldRun, Series, SeriesPlace};
use super::*;
use crate::model::change::Caller;
use crate::model::{Boot, PendingRetry, Retries};

fn series(dag: &str, owner: u32) -> Series {
    Series {
        dag: DagName::new(dag).unwrap(),
        owner,
    }
}

fn keep(count: u32) -> Limits {
    Limits {
        keep: Some(count),
        ..Limits::default()
    }
}

fn before(at: i64) -> Limits {
    Limits {
        ended_before: Some(Time(at)),
        ..Limits::default()
    }
}

fn ids(old: &[OldRun]) -> Vec<&str> {
    old.iter().map(|old| old.run.id.as_str()).collect()
}

fn old(bench: &Bench, limits: Limits) -> Vec<OldRun> {
    bench
        .reader()
        .old_runs(&series("etl", 1000), &limits, None, 100)
        .unwrap()
}

fn retire(bench: &mut Bench, names: &[&str]) {
    let roots = names.iter().map(|id| run_ref("etl", id)).collect();
    bench.ok(vec![Change::Retire { roots }]);
}

fn going(bench: &Bench) -> Vec<Directory> {
    bench.reader().removals("", 10_000).unwrap()
}

/// A run that `step` of the run `parent` called, in the tree of `root`.
fn called(id: &str, parent: &str, root: &str, depth: u32) -> Change {
    let mut new = new_run("callee", id, 5);
    new.parent = Some(Caller {
        run: if parent == root {
            run_ref("etl", root)
        } else {
            run_ref("callee", parent)
        },
        attempt: 1,
        step: "call".to_owned(),
        root: run_ref("etl", root),
        depth,
    });
    Change::Accept(Box::new(new))
}

/// The rest of a run's life once it is accepted.
fn lives(dag: &str, id: &str, at: i64) -> Vec<Change> {
    life(dag, id, at).split_off(1)
}

#[test]
fn old_by_age_is_what_ended_before_and_old_by_count_what_is_not_among_the_newest() {
    let mut bench = Bench::new();
    for (id, at) in [("a", 100), ("b", 200), ("c", 300), ("d", 400)] {
        bench.ok(life("etl", id, at));
    }
    // Of another owner and of another DAG.
    let mut theirs = life("etl", "theirs", 1);
    let Change::Accept(new) = &mut theirs[0] else {
        panic!()
    };
    new.owner = 7;
    bench.ok(theirs);
    bench.ok(life("other", "o", 1));
    // A life takes 30.
    assert_eq!(ids(&old(&bench, before(130))), Vec::<&str>::new());
    assert_eq!(ids(&old(&bench, before(131))), ["a"]);
    assert_eq!(ids(&old(&bench, before(1_000))), ["a", "b", "c", "d"]);
    assert_eq!(ids(&old(&bench, keep(1))), ["a", "b", "c"]);
    assert_eq!(ids(&old(&bench, keep(4))), Vec::<&str>::new());
    assert_eq!(ids(&old(&bench, keep(0))), ["a", "b", "c", "d"]);
    assert_eq!(ids(&old(&bench, Limits::default())), Vec::<&str>::new());
    let both = Limits {
        keep: Some(3),
        ..before(231)
    };
    assert_eq!(ids(&old(&bench, both)), ["a", "b"]);
    // Page by page.
    let reader = bench.reader();
    let page = reader.old_runs(&series("etl", 1000), &keep(0), None, 3).unwrap();
    let rest = reader
        .old_runs(&series("etl", 1000), &keep(0), Some(page[2].place), 3)
        .unwrap();
    assert_eq!((ids(&page), ids(&rest)), (vec!["a", "b", "c"], vec!["d"]));
}

#[test]
fn a_run_that_ended_late_is_not_old_because_it_was_accepted_early() {
    let mut bench = Bench::new();
    let mut late = life("etl", "late", 100);
    let Change::End { at, .. } = &mut late[5] else {
        panic!()
    };
    *at = Time(9_000);
    bench.ok(late);
    // One that ended in the queue has its end itself.
    bench.ok(vec![
        accept("etl", "queued", 100),
        Change::EndQueued {
            run: run_ref("etl", "queued"),
            status: RunStatus::Aborted,
            error: None,
            at: Time(500),
        },
    ]);
    assert_eq!(ids(&old(&bench, before(9_000))), ["queued"]);
    assert_eq!(ids(&old(&bench, before(9_001))), ["late", "queued"]);
}

#[test]
fn what_is_not_over_stays_whoever_wants_it_removed() {
    let mut bench = Bench::new();
    let run = |id: &str| run_ref("etl", id);
    bench.ok(vec![accept("etl", "queued", 1)]);
    bench.ok(vec![
        accept("etl", "live", 2),
        intend(&run("live"), 1, 2),
        start(&run("live"), 1, 2),
    ]);
    let mut dirty = life("etl", "dirty", 3);
    dirty.pop();
    bench.ok(dirty);
    bench.ok(life("etl", "retrying", 4));
    let retry = PendingRetry {
        number: 1,
        limit: 2,
        at: Time(99),
    };
    bench.ok(vec![Change::RetryLater {
        run: run("retrying"),
        retries: Retries::default(),
        retry,
        boot: Boot(5),
        boot_id: "b".to_owned(),
    }]);
    bench.ok(life("etl", "again", 5));
    bench.ok(vec![Change::Requeue {
        run: run("again"),
        caller: None,
        automatic: false,
        at: Time(9),
    }]);
    // Something it called is live, waits to be cleaned up, or is to be tried again.
    for id in ["calls-live", "calls-dirty"] {
        bench.ok(life("etl", id, 6));
    }
    let child = |id: &str| run_ref("callee", id);
    bench.ok(vec![
        called("c1", "calls-live", "calls-live", 1),
        intend(&child("c1"), 1, 6),
    ]);
    bench.ok(vec![called("c2", "calls-dirty", "calls-dirty", 1)]);
    let mut dirty = lives("callee", "c2", 6);
    dirty.pop();
    bench.ok(dirty);
    bench.ok(life("etl", "over", 7));
    let names = [
        "queued",
        "live",
        "dirty",
        "retrying",
        "again",
        "calls-live",
        "calls-dirty",
        "over",
        "unknown",
    ];
    assert_eq!(ids(&old(&bench, keep(0))), ["over"]);
    retire(&mut bench, &names);
    let runs: Vec<RunRef> = names.iter().map(|id| run(id)).collect();
    assert_eq!(bench.reader().present(&runs).unwrap(), runs[..7]);
    // A sub-run does not go without its caller.
    bench.ok(vec![Change::Retire {
        roots: vec![child("c2")],
    }]);
    assert_eq!(bench.reader().present(&[child("c2")]).unwrap().len(), 1);
}

#[test]
fn a_tree_goes_as_a_whole_and_leaves_a_note_of_its_directories() {
    let mut bench = Bench::new();
    bench.ok(life("etl", "root", 1_000_000));
    bench.ok(vec![called("c1", "root", "root", 1)]);
    bench.ok(lives("callee", "c1", 5));
    bench.ok(vec![called("c2", "c1", "root", 2)]);
    bench.ok(lives("callee", "c2", 5));
    bench.ok(life("etl", "stays", 2_000_000));
    let found = old(&bench, keep(1));
    assert_eq!((ids(&found), found[0].sub_runs), (vec!["root"], 2));
    let mut known = bench.reader().directories(&run_ref("etl", "root")).unwrap();
    retire(&mut bench, &["root"]);
    let mut noted = going(&bench);
    known.sort_by(|a, b| a.attempt.cmp(&b.attempt));
    noted.sort_by(|a, b| a.attempt.cmp(&b.attempt));
    assert_eq!(noted, known);
    assert_eq!(noted.len(), 6);
    assert!(noted.contains(&Directory {
        attempt: attempt(&run_ref("etl", "root"), 1),
        at: Some(Time(1_000_000)),
    }));
    let reader = bench.reader();
    assert!(reader.run_view(&run_ref("callee", "c1")).unwrap().is_none());
    assert!(!reader.has_runs(&DagName::new("callee").unwrap()).unwrap());
    assert!(reader.integrity_check().unwrap().is_empty());
    assert_eq!(
        reader
            .history(&super::super::Filter::default())
            .unwrap()
            .runs
            .len(),
        1
    );
    assert!(reader.run_view(&run_ref("etl", "stays")).unwrap().is_some());
    // The snapshot of `callee` is used by none any more, that of `etl` is.
    let db = rusqlite::Connection::open(bench.path()).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM dags"), 1);
    assert_eq!(count("SELECT count(*) FROM steps"), 1);
    assert_eq!(count("SELECT count(*) FROM attempts"), 1);
}

#[test]
fn a_name_is_free_again_when_its_directories_are_gone() {
    let mut bench = Bench::new();
    bench.ok(life("etl", "root", 1));
    bench.ok(vec![called("c1", "root", "root", 1)]);
    bench.ok(lives("callee", "c1", 5));
    retire(&mut bench, &["root"]);
    assert_eq!(bench.commit(vec![accept("etl", "root", 9)]), Err(Error::Exists));
    let (scratch, child) = (
        attempt(&run_ref("etl", "root"), 0),
        attempt(&run_ref("callee", "c1"), 1),
    );
    let all: Vec<AttemptId> = going(&bench).into_iter().map(|going| going.attempt).collect();
    // One directory cannot be removed: the root's name is not given again either.
    let but_one = all.iter().filter(|attempt| **attempt != child).cloned().collect();
    bench.ok(vec![Change::Removed { directories: but_one }]);
    let mut left: Vec<AttemptId> = going(&bench).into_iter().map(|going| going.attempt).collect();
    left.sort();
    let mut both = vec![scratch.clone(), child.clone()];
    both.sort();
    assert_eq!(left, both);
    assert_eq!(bench.commit(vec![accept("etl", "root", 9)]), Err(Error::Exists));
    bench.ok(vec![Change::Removed {
        directories: vec![scratch, child],
    }]);
    assert_eq!(going(&bench), []);
    bench.ok(vec![accept("etl", "root", 9)]);
}

#[test]
fn a_large_tree_goes_in_slices_and_there_is_no_way_back() {
    let mut bench = Bench::new();
    bench.ok(life("etl", "root", 1));
    for number in 0..250 {
        let id = format!("c{number}");
        let parent = if number == 0 { "root" } else { "c0" };
        bench.ok(vec![called(&id, parent, "root", if number == 0 { 1 } else { 2 })]);
        bench.ok(lives("callee", &id, 5));
    }
    retire(&mut bench, &["root"]);
    let root = run_ref("etl", "root");
    assert_eq!(bench.reader().unfinished().unwrap(), std::slice::from_ref(&root));
    let requeue = Change::Requeue {
        run: root.clone(),
        caller: None,
        automatic: false,
        at: Time(9),
    };
    assert_eq!(bench.commit(vec![requeue]), Err(Error::Exists));
    // Its directories may be gone; what says that it is unfinished stays.
    let all = going(&bench).into_iter().map(|going| going.attempt).collect();
    bench.ok(vec![Change::Removed { directories: all }]);
    bench.reopen();
    let mut slices = 1;
    while !bench.reader().unfinished().unwrap().is_empty() {
        retire(&mut bench, &["root"]);
        slices += 1;
    }
    assert_eq!(slices, 3);
    assert!(bench.reader().present(&[root]).unwrap().is_empty());
    assert!(bench.reader().integrity_check().unwrap().is_empty());
    // A second time there is nothing to remove.
    let noted = going(&bench).len();
    retire(&mut bench, &["root"]);
    assert_eq!(going(&bench).len(), noted);
}

#[test]
fn the_last_run_of_a_schedule_and_one_with_a_fresh_notice_stay() {
    let mut bench = Bench::new();
    for (id, at) in [("s1", 100), ("s2", 200)] {
        let mut life = life("etl", id, at);
        let Change::Accept(new) = &mut life[0] else {
            panic!()
        };
        new.scheduled_for = Some(Time(at));
        bench.ok(life);
    }
    bench.ok(life("etl", "notice", 300));
    let db = rusqlite::Connection::open(bench.path()).unwrap();
    db.execute(
        "INSERT INTO notices (run, event, at, facts) SELECT id, 'failed', 330, '{}' FROM runs WHERE run_id = 'notice'",
        [],
    )
    .unwrap();
    let since = |at| Limits {
        notices_since: Time(at),
        ..keep(0)
    };
    assert_eq!(ids(&old(&bench, since(330))), ["s1"]);
    assert_eq!(ids(&old(&bench, since(331))), ["s1", "notice"]);
    retire(&mut bench, &["s1", "s2", "notice"]);
    let left = bench.reader().history(&super::super::Filter::default()).unwrap();
    assert_eq!(left.runs.len(), 1);
    assert_eq!(left.runs[0].run.id.as_str(), "s2");
}

#[test]
fn series_are_found_one_by_one() {
    let mut bench = Bench::new();
    for (dag, owner) in [("etl", 9), ("etl", 3), ("b", 3), ("etl", 4_294_967_295)] {
        for number in 0..3 {
            let mut life = life(dag, &format!("{owner}-{number}"), 1);
            let Change::Accept(new) = &mut life[0] else {
                panic!()
            };
            new.owner = owner;
            bench.ok(life);
        }
    }
    bench.ok(vec![accept("queued", "q", 1)]);
    let all = |dag: Option<&str>| {
        let dag = dag.map(|dag| DagName::new(dag).unwrap());
        let (mut place, mut found) = (SeriesPlace::default(), Vec::new());
        while let Some((next, at)) = bench.reader().next_series(place, dag.as_ref()).unwrap() {
            place = at;
            found.push((next.dag.to_string(), next.owner));
        }
        found
    };
    let etl = |owner| ("etl".to_owned(), owner);
    assert_eq!(all(Some("etl")), [etl(3), etl(9), etl(u32::MAX)]);
    assert_eq!(all(None), [etl(3), etl(9), etl(u32::MAX), ("b".to_owned(), 3)]);
    assert_eq!(all(Some("unknown")), []);
    let newest = bench.reader().newest_dag(&series("etl", 9), "").unwrap().unwrap();
    assert_eq!(newest.1.as_deref(), Some("{\"name\":\"etl\"}"));
    assert_eq!(
        bench.reader().newest_dag(&series("etl", 9), &newest.0).unwrap(),
        Some((newest.0, None))
    );
    assert_eq!(bench.reader().newest_dag(&series("etl", 1), "").unwrap(), None);
}
