//! Second attempts, and attempts that are taken back.

use crate::model::StopReason;

use super::super::Filter;
use super::*;

#[test]
fn a_retry_keeps_the_history_of_earlier_attempts() {
    let mut bench = Bench::new();
    let run = run_ref("etl", "r1");
    bench.ok(vec![
        accept("etl", "r1", 1),
        intend(&run, 1, 2),
        start(&run, 1, 3),
    ]);
    let stop = StopReason::User { uid: 1000 };
    bench.ok(vec![
        Change::Stop {
            run: run.clone(),
            reason: stop.clone(),
            at: Time(4),
        },
        step(&run, 1, Node::Step(0), succeeded("build", "/x", 3)),
        end(&run, 1, RunStatus::Failed, 5),
    ]);
    let first = bench.reader().attempt_view(&run, 1).unwrap();
    assert_eq!(first.as_ref().unwrap().stop, Some(stop));
    assert_eq!(bench.reader().run_view(&run).unwrap(), first);

    bench.ok(vec![Change::Requeue {
        run: run.clone(),
        caller: None,
        automatic: false,
        at: Time(10),
    }]);
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!((view.status, view.number), (RunStatus::Queued, 1));
    assert_eq!(view.attempt, Some(attempt(&run, 1)));
    assert_eq!(
        (view.started_at, view.finished_at, &view.stop),
        (None, None, &None)
    );
    assert_eq!(view.steps[0], StepView::new("build"));
    let list = bench.reader().history(&Filter::default()).unwrap().runs;
    assert_eq!(list, [view.summary()]);
    assert_eq!(
        bench.reader().attempt_view(&run, 1).unwrap().unwrap().status,
        RunStatus::Failed
    );
    assert_eq!(bench.reader().queue(None).unwrap()[0].attempts, 1);

    // Stopped in the queue: the run ends, its attempt keeps its own end (W31).
    bench.ok(vec![Change::EndQueued {
        run: run.clone(),
        status: RunStatus::Aborted,
        error: Some("stopped in the queue".to_owned()),
        at: Time(11),
    }]);
    let view = bench.reader().run_view(&run).unwrap().unwrap();
    assert_eq!(
        (view.status, view.finished_at),
        (RunStatus::Aborted, Some(Time(11)))
    );
    assert_eq!(view.error.as_deref(), Some("stopped in the queue"));
    let list = bench.reader().history(&Filter::default()).unwrap().runs;
    assert_eq!(list, [view.summary()]);
    assert!(bench.reader().queue(None).unwrap().is_empty());

    bench.ok(vec![Change::Requeue {
        run: run.clone(),
        caller: None,
        automatic: false,
        at: Time(12),
    }]);
    bench.ok(vec![
        intend(&run, 2, 13),
        start(&run, 2, 14),
        end(&run, 2, RunStatus::Succeeded, 15),
    ]);
    let attempts = bench.reader().attempts(&run).unwrap();
    let told: Vec<_> = attempts
        .iter()
        .map(|a| (a.number, a.status, a.ended_at))
        .collect();
    assert_eq!(
        told,
        [
            (1, RunStatus::Failed, Some(Time(5))),
            (2, RunStatus::Succeeded, Some(Time(15)))
        ]
    );
    assert_eq!(bench.reader().attempt_view(&run, 1).unwrap(), first);
    assert_eq!(bench.reader().attempt_view(&run, 3).unwrap(), None);
    assert_eq!(
        bench.reader().run_view(&run).unwrap().unwrap().status,
        RunStatus::Succeeded
    );
}

#[test]
fn an_unlaunched_run_is_at_the_head_of_the_queue() {
    let mut bench = Bench::new();
    let names = ["a", "b", "c", "d"];
    for (at, id) in (1..).zip(names) {
        bench.ok(vec![accept("etl", id, at)]);
    }
    let order = |bench: &Bench| -> Vec<String> {
        let queue = bench
            .reader()
            .queue(Some(&GroupName::new("main").unwrap()))
            .unwrap();
        assert!(queue.windows(2).all(|pair| pair[0].position < pair[1].position));
        queue
            .into_iter()
            .map(|queued| queued.run.id.to_string())
            .collect()
    };
    let (a, b) = (run_ref("etl", "a"), run_ref("etl", "b"));
    bench.ok(vec![intend(&a, 1, 5), intend(&b, 1, 6)]);
    bench.ok(vec![identify(&b, 1, 9)]);
    assert_eq!(order(&bench), ["c", "d"]);
    bench.ok(vec![Change::Unlaunch {
        attempt: attempt(&b, 1),
    }]);
    bench.ok(vec![Change::Unlaunch {
        attempt: attempt(&a, 1),
    }]);
    assert_eq!(order(&bench), ["a", "b", "c", "d"]);
    let view = bench.reader().run_view(&b).unwrap().unwrap();
    assert_eq!(
        (view.status, view.attempt, view.number),
        (RunStatus::Queued, None, 0)
    );
    assert!(bench.reader().recover().unwrap().live.is_empty());
    bench.ok(vec![intend(&a, 1, 7)]);
    bench.ok(vec![accept("etl", "e", 8)]);
    assert_eq!(order(&bench), ["b", "c", "d", "e"]);
}
