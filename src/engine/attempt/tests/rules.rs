//! Tables of the pure rules: 3.4 and the numbers of 7.8.

use super::super::policy::{Policy, Repeat};
use super::super::status::{Course, Tally, derive, handlers_after};
use super::*;

fn tally(letters: &str) -> Tally {
    let mut tally = Tally::default();
    for letter in letters.chars() {
        let (status, tolerated) = match letter {
            '-' => (StepStatus::NotStarted, false),
            'r' => (StepStatus::Running, false),
            't' => (StepStatus::Retrying, false),
            'w' => (StepStatus::Waiting, false),
            'R' => (StepStatus::Rejected, false),
            'F' => (StepStatus::Failed, false),
            'c' => (StepStatus::Failed, true),
            'A' => (StepStatus::Aborted, false),
            'S' => (StepStatus::Succeeded, false),
            'P' => (StepStatus::PartiallySucceeded, false),
            'K' => (StepStatus::Skipped, false),
            other => panic!("no status {other}"),
        };
        tally.add(status, tolerated);
    }
    tally
}

/// Flags: s started, f finished, c cancelled, b broken, e an error was recorded.
fn course(flags: &str) -> Course {
    Course {
        started: flags.contains('s'),
        finished: flags.contains('f'),
        cancelled: flags.contains('c'),
        broken: flags.contains('b'),
        error: flags.contains('e'),
    }
}

#[test]
fn the_run_status_follows_the_first_rule_that_applies() {
    use RunStatus::{
        Aborted, Failed, NotStarted, PartiallySucceeded, Queued, Rejected, Running, Succeeded, Waiting,
    };
    let table = [
        // Rule 1, and that it does not apply where all is well.
        ("sfc", "SA", Aborted),
        ("sc", "Sr", Aborted),
        ("sfc", "S-", Aborted),
        ("sfc", "SF", Aborted),
        ("sfc", "Sc", Aborted),
        ("sfc", "SKP", PartiallySucceeded),
        ("sfc", "SK", Succeeded),
        ("sfce", "SS", Failed),
        // An empty plan is all well, also with preconditions that are not met.
        ("sfc", "", Succeeded),
        ("", "--", NotStarted),
        ("s", "Sr", Running),
        ("s", "rtRw", Running),
        ("sf", "tRw", Queued),
        ("sf", "Rw", Rejected),
        ("sf", "Sw", Waiting),
        ("s", "S-", Running),
        ("s", "", Running),
        // No rule takes notice of a step that never started once the plan is finished.
        ("sfe", "S-", Failed),
        ("sfe", "Sc", PartiallySucceeded),
        ("sfe", "cKS", PartiallySucceeded),
        ("sfe", "cF", Failed),
        ("sfe", "ScF", Failed),
        // Nothing succeeded, so nothing succeeded in part.
        ("sfe", "cc", Failed),
        ("sf", "P", PartiallySucceeded),
        ("sfe", "SFA", Failed),
        ("sfe", "SS", Failed),
        ("sf", "SSK", Succeeded),
        ("sf", "K", Succeeded),
        ("sf", "", Succeeded),
        // Neither the time limit of the run nor a failed initialisation is a success in part.
        ("sfbe", "ScA", Failed),
        ("sfbe", "P", Failed),
        ("sfbe", "SS", Failed),
        ("sfcbe", "SA", Aborted),
    ];
    for (flags, steps, status) in table {
        assert_eq!(
            derive(course(flags), &tally(steps)),
            status,
            "{flags:?} {steps:?}"
        );
    }
}

#[test]
fn each_final_status_has_its_handlers() {
    use Handler::{Abort, Exit, Failure, Success, Wait};
    let table: [(RunStatus, &[Handler]); 9] = [
        (RunStatus::Succeeded, &[Success, Exit]),
        (RunStatus::PartiallySucceeded, &[Success, Exit]),
        (RunStatus::Failed, &[Failure, Exit]),
        (RunStatus::Rejected, &[Failure, Exit]),
        (RunStatus::Aborted, &[Abort, Exit]),
        (RunStatus::Waiting, &[Wait]),
        (RunStatus::Queued, &[]),
        (RunStatus::Running, &[]),
        (RunStatus::NotStarted, &[]),
    ];
    for (status, handlers) in table {
        assert_eq!(handlers_after(status), handlers, "{status}");
    }
}

#[test]
fn waits_grow_by_the_factor_up_to_the_cap() {
    let retry = |backoff, max_interval_sec| {
        let mut step = retrying("a", &[]);
        if let Some(policy) = &mut step.retry {
            policy.backoff = backoff;
            policy.max_interval_sec = max_interval_sec;
        }
        Policy::of_step(&step)
    };
    let waits = |policy: &Policy, interval| {
        (1..=4)
            .map(|n| policy.retry_wait(interval, n))
            .collect::<Vec<_>>()
    };
    assert_eq!(waits(&retry(2.0, 0.0), 5.0), [5.0, 10.0, 20.0, 40.0]);
    assert_eq!(waits(&retry(2.0, 8.0), 5.0), [5.0, 8.0, 8.0, 8.0]);
    // Without a factor the cap has no effect.
    assert_eq!(waits(&retry(0.0, 8.0), 9.0), [9.0; 4]);
    assert_eq!(waits(&retry(2.0, 0.0), 0.0), [0.0; 4]);
    for interval in [-1.0, f64::NAN] {
        assert_eq!(waits(&retry(2.0, 0.0), interval), [0.0; 4]);
    }
    // A wait that grows without bound stays a number, so that it never becomes no wait at all.
    let long = retry(1e300, 0.0).retry_wait(1e300, 4);
    assert!(long.is_finite() && long > 1e11, "{long}");
    assert!(Boot(0).after_secs(long) > Boot(1 << 59));
}

#[test]
fn repeats_follow_mode_list_and_condition() {
    use Repeat::{Again, Ask, Stop};
    use RepeatMode::{Until, While};
    // Mode, list, condition, executions, limit, code, what follows.
    type Row = (RepeatMode, &'static [i32], bool, u32, u32, i32, Repeat);
    let table: &[Row] = &[
        (While, &[], false, 1, 0, 0, Again),
        (While, &[], false, 1, 0, 1, Stop),
        (While, &[], false, 2, 3, 0, Again),
        (While, &[], false, 3, 3, 0, Stop),
        (While, &[1], false, 1, 0, 1, Again),
        (While, &[1], false, 1, 0, 0, Stop),
        (While, &[1], false, 1, 0, 2, Stop),
        (While, &[], true, 1, 0, 0, Ask),
        (While, &[], true, 1, 0, 7, Ask),
        (While, &[1], true, 1, 0, 1, Again),
        (While, &[1], true, 1, 0, 2, Ask),
        (While, &[1], true, 5, 5, 1, Stop),
        (Until, &[], false, 1, 0, 0, Stop),
        (Until, &[], false, 1, 0, 1, Again),
        (Until, &[], false, 2, 2, 1, Stop),
        (Until, &[42], false, 1, 0, 0, Again),
        (Until, &[42], false, 1, 0, 42, Stop),
        (Until, &[42], true, 1, 0, 42, Stop),
        (Until, &[42], true, 1, 0, 0, Ask),
        (Until, &[], true, 1, 0, 1, Ask),
    ];
    for (mode, codes, condition, done, limit, code, follows) in table {
        let policy = Policy::of_step(&repeating("a", *mode, codes, *condition));
        let got = policy.after_execution(*done, *limit, *code, *code != 0);
        assert_eq!(
            got, *follows,
            "{mode:?} {codes:?} {condition} {done}/{limit} code {code}"
        );
    }
    assert_eq!(
        Policy::of_step(&step("a", &[])).after_execution(1, 0, 0, false),
        Stop
    );
}
