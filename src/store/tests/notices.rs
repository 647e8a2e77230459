//! Notices: stored with the end, kept over a restart, taken away when they are given.

use super::*;
use crate::model::{LostCause, Notice, NoticeEvent, NoticeFacts};

fn notice(id: i64, run: &RunRef) -> Notice {
    Notice {
        id,
        run: run.clone(),
        event: NoticeEvent::Lost,
        at: Time(id),
        facts: NoticeFacts {
            attempt: Some(AttemptId::new("a").unwrap()),
            attempts: 3,
            status: RunStatus::Failed,
            error: Some("no \u{e4}".to_owned()),
            lost: Some(LostCause::SupervisorSignal(9)),
            owner: 1000,
            trigger: Trigger::Scheduler,
            started_at: Some(Time(1)),
            finished_at: None,
            log_dir: "/l".to_owned(),
        },
    }
}

#[test]
fn a_notice_waits_over_a_restart_until_it_is_given() {
    let mut bench = Bench::new();
    let (one, two) = (run_ref("d", "one"), run_ref("d", "two"));
    bench.ok(vec![accept("d", "one", 1), accept("d", "two", 1)]);
    bench.ok(vec![Change::Notify(Box::new(notice(8, &two)))]);
    bench.ok(vec![Change::Notify(Box::new(notice(7, &one)))]);
    bench.reopen();
    assert_eq!(
        bench.reader().notices().unwrap(),
        [notice(7, &one), notice(8, &two)]
    );
    bench.ok(vec![Change::Notified { id: 7 }]);
    // One that is gone is no error: what is done twice is done.
    bench.ok(vec![Change::Notified { id: 7 }]);
    assert_eq!(bench.reader().notices().unwrap(), [notice(8, &two)]);
}

#[test]
fn an_end_that_is_not_stored_leaves_no_notice() {
    let mut bench = Bench::new();
    let run = run_ref("d", "r");
    bench.ok(vec![accept("d", "r", 1)]);
    let again = accept("d", "r", 1);
    let batch = vec![Change::Notify(Box::new(notice(1, &run))), again];
    assert!(bench.commit(batch).is_err());
    assert_eq!(bench.reader().notices().unwrap(), []);
}
