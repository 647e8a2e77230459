//! Lists and filters.

use super::super::{Counts, Cursor, Filter};
use super::*;
use crate::model::LostCause;

fn ids(bench: &Bench, filter: &Filter) -> Vec<String> {
    let page = bench.reader().history(filter).unwrap();
    page.runs.iter().map(|run| run.run.id.to_string()).collect()
}

fn filled() -> Bench {
    let mut bench = Bench::new();
    bench.ok(life("etl", "a", 10));
    bench.ok(life("web", "b", 20));
    bench.ok(life("etl", "c", 20));
    let failed = run_ref("etl", "d");
    let mut of_other = new_run("etl", "d", 30);
    of_other.owner = 7;
    bench.ok(vec![
        Change::Accept(Box::new(of_other)),
        intend(&failed, 1, 30),
        end(&failed, 1, RunStatus::Failed, 31),
    ]);
    let live = run_ref("web", "e");
    bench.ok(vec![
        accept("web", "e", 40),
        intend(&live, 1, 41),
        start(&live, 1, 42),
    ]);
    bench.ok(vec![accept("etl", "f", 50)]);
    bench
}

#[test]
fn history_is_filtered_and_the_newest_is_first() {
    let bench = filled();
    let all = Filter::default;
    assert_eq!(ids(&bench, &all()), ["f", "e", "d", "c", "b", "a"]);
    let name = DagName::new("etl").unwrap();
    let etl = Some(name.clone());
    assert_eq!(
        ids(
            &bench,
            &Filter {
                dag: etl.clone(),
                ..all()
            }
        ),
        ["f", "d", "c", "a"]
    );
    let nobody = DagName::new("unknown").unwrap();
    let unknown = Some(nobody.clone());
    assert!(
        ids(
            &bench,
            &Filter {
                dag: unknown.clone(),
                ..all()
            }
        )
        .is_empty()
    );
    assert_eq!(
        ids(
            &bench,
            &Filter {
                owner: Some(7),
                ..all()
            }
        ),
        ["d"]
    );
    let between = Filter {
        from: Some(Time(20)),
        to: Some(Time(40)),
        ..all()
    };
    assert_eq!(ids(&bench, &between), ["d", "c", "b"]);
    let with = |statuses: &[RunStatus]| Filter {
        statuses: statuses.to_vec(),
        ..all()
    };
    assert_eq!(ids(&bench, &with(&[RunStatus::Failed])), ["d"]);
    assert_eq!(ids(&bench, &with(&[RunStatus::Running])), ["e"]);
    assert_eq!(
        ids(&bench, &with(&[RunStatus::Running, RunStatus::Queued])),
        ["f", "e"]
    );
    assert_eq!(
        ids(&bench, &with(&[RunStatus::Running, RunStatus::Failed])),
        ["e", "d"]
    );
    let both = Filter {
        dag: etl.clone(),
        ..with(&[RunStatus::Queued, RunStatus::Running])
    };
    assert_eq!(ids(&bench, &both), ["f"]);
    let every = Filter {
        owner: Some(1000),
        from: Some(Time(0)),
        to: Some(Time(100)),
        ..Filter {
            dag: etl.clone(),
            ..with(&[RunStatus::Succeeded])
        }
    };
    assert_eq!(ids(&bench, &every), ["c", "a"]);
    assert_eq!(
        bench.reader().latest_run(&name).unwrap(),
        Some(run_ref("etl", "f"))
    );
    assert_eq!(bench.reader().latest_run(&nobody).unwrap(), None);
}

#[test]
fn of_a_users_runs_the_newest_is_found_whether_it_is_open_or_not() {
    let bench = filled();
    let reader = bench.reader();
    let name = DagName::new("etl").unwrap();
    let all = reader.history(&Filter::default()).unwrap().runs;
    for owner in [0, 7, 1000, 1001, 4_000_000_000] {
        let first = all
            .iter()
            .find(|run| run.run.dag == name && run.owner == owner)
            .map(|run| run.run.clone());
        assert_eq!(reader.latest_run_of(&name, owner).unwrap(), first, "{owner}");
        assert_eq!(
            reader.has_runs_of(&name, owner).unwrap(),
            first.is_some(),
            "{owner}"
        );
    }
    let of_user = |status: RunStatus| {
        let found = all.iter().find(|run| run.run.dag == name && run.status == status);
        let found = found.unwrap();
        reader.latest_run_of(&name, found.owner).unwrap().is_some()
    };
    assert!(of_user(RunStatus::Queued) && of_user(RunStatus::Succeeded));
}

#[test]
fn lost_runs_are_found_alone_or_beside_others() {
    let mut bench = filled();
    let lost = |bench: &Bench, statuses: &[RunStatus]| {
        let filter = Filter {
            statuses: statuses.to_vec(),
            lost: true,
            ..Filter::default()
        };
        ids(bench, &filter)
    };
    assert!(lost(&bench, &[]).is_empty());
    let run = run_ref("web", "e");
    let mut ended = end(&run, 1, RunStatus::Failed, 60);
    if let Change::End { lost, .. } = &mut ended {
        *lost = Some(LostCause::Reboot);
    }
    bench.ok(vec![ended, clean(&run, 1)]);
    assert_eq!(lost(&bench, &[]), ["e"]);
    assert_eq!(lost(&bench, &[RunStatus::Failed]), ["e", "d"]);
    assert_eq!(lost(&bench, &[RunStatus::Queued]), ["f", "e"]);
    let again = Change::Requeue {
        run: run.clone(),
        caller: None,
        automatic: false,
        at: Time(70),
    };
    bench.ok(vec![again]);
    assert!(lost(&bench, &[]).is_empty(), "it is queued again");
    let failed = Change::EndQueued {
        run,
        status: RunStatus::Failed,
        error: None,
        at: Time(71),
    };
    bench.ok(vec![failed]);
    assert!(lost(&bench, &[]).is_empty(), "it did not fail by that");
}

#[test]
fn pages_follow_each_other_without_gap_or_repetition() {
    let bench = filled();
    for limit in 1..=7 {
        let mut filter = Filter {
            limit: Some(limit),
            ..Filter::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = bench.reader().history(&filter).unwrap();
            assert!(page.runs.len() <= limit as usize);
            seen.extend(page.runs.into_iter().map(|run| run.run.id.to_string()));
            let Some(next) = page.next else { break };
            filter.before = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(seen, ["f", "e", "d", "c", "b", "a"], "limit {limit}");
    }
    for bad in ["", "1", ".", "1.x", "1.2.3", "9999999999999999999999.1"] {
        assert!(bad.parse::<Cursor>().is_err(), "{bad}");
    }
}

#[test]
fn what_is_pending_is_counted() {
    let bench = filled();
    let counts = bench.reader().counts().unwrap();
    assert_eq!(
        counts,
        Counts {
            queued: 1,
            live: 1,
            not_cleaned: 1
        }
    );
    assert_eq!(bench.reader().schema_version().unwrap(), 4);
    let other = GroupName::new("other").unwrap();
    assert!(bench.reader().queue(Some(&other)).unwrap().is_empty());
    assert_eq!(bench.reader().run_view(&run_ref("etl", "zz")).unwrap(), None);
    assert!(bench.reader().attempts(&run_ref("etl", "zz")).unwrap().is_empty());
    assert_eq!(bench.reader().launch_data(&run_ref("none", "a")).unwrap(), None);
}
