//! Keys that the scheduler acts on.

use super::*;
use crate::dag::cron::Zone;
use crate::model::{Priority, RetryPolicy, RetryRule};

const HOURLY: RetryRule = RetryRule {
    limit: 3,
    interval_sec: 60,
    backoff: 0.0,
    max_interval_sec: 3_600,
};

fn retry(line: &str) -> RetryPolicy {
    let text = format!("{line}\nsteps: [x]\n");
    assert_eq!(warnings(&text), [""; 0], "{line}");
    dag(&text).scheduling.retry.expect("a policy")
}

#[test]
fn what_the_scheduler_acts_on_is_read() {
    let text = "schedule: [\"0 1 * * *\", \"TZ=Asia/Tokyo 0 2 * * MON-FRI\"]\ncatchup_window: 1d2h30m\n\
                overlap_policy: latest\nskip_if_successful: true\nretry_policy: {limit: \"3\", backoff: true}\n\
                priority: high\nhist_retention_runs: 20\nsteps: [x]\n";
    let dag = dag(text);
    assert_eq!(dag.schedule.start.len(), 2);
    let rule = RetryRule {
        backoff: 2.0,
        ..HOURLY
    };
    let expected = Scheduling {
        skip_if_successful: true,
        catchup_window_sec: 95_400,
        overlap_policy: OverlapPolicy::Latest,
        at_least_once: false,
        retry: Some(RetryPolicy {
            failed: Some(rule),
            exit_codes: Vec::new(),
            lost: Some(rule),
            shared: true,
        }),
        priority: Priority::new(10).unwrap(),
        hist_retention_runs: Some(20),
    };
    assert_eq!(dag.scheduling, expected);
    assert_eq!(warnings(text), [""; 0]);
    let text = "schedule: {start: 0 1 * * *, stop: [0 2 * * *], restart: []}\nsteps: [x]\n";
    let three = super::dag(text);
    assert_eq!((three.schedule.start.len(), three.schedule.stop.len()), (1, 1));
}

#[test]
fn what_has_no_effect_says_so() {
    let text = "run_config: {disable_param_edit: true, disable_run_id_edit: }\nlog_dir: /x\nsteps: [x]\n";
    let found = warnings(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|text| text.contains("nothing acts on it yet")));
}

#[test]
fn all_forms_of_a_schedule_are_compiled() {
    let text = "schedule:\n  start: [\"@daily\", \"TZ=Asia/Tokyo */10 * * * * *\"]\n  stop: 0 2 * * *\n  restart: \"@weekly\"\n  \
                at: [2026-11-23 08:30, 2026-11-24T08:30:05Z]\n  jitter_sec: 3600\nsteps: [x]\n";
    let dag = dag(text);
    assert_eq!(warnings(text), [""; 0]);
    assert_eq!((dag.schedule.at.len(), dag.schedule.jitter_sec), (2, 3_600));
    assert!(!dag.schedule.is_empty());
    let calendar = dag
        .schedule
        .calendar(Zone::named("Europe/Berlin").unwrap())
        .unwrap();
    let counts = (
        calendar.starts.len(),
        calendar.stops.len(),
        calendar.restarts.len(),
    );
    assert_eq!(counts, (4, 1, 1));
    let from = crate::model::Time::from_rfc3339("2026-01-01T00:00:00Z").unwrap();
    let once: Vec<_> = calendar
        .starts
        .iter()
        .filter(|start| start.is_once())
        .map(|start| start.next(from, Zone::UTC).unwrap().rfc3339())
        .collect();
    assert_eq!(once, ["2026-11-23T08:30:00+01:00", "2026-11-24T09:30:05+01:00"]);
    assert!(super::dag("steps: [x]\n").schedule.is_empty());
}

#[test]
fn a_schedule_that_never_comes_is_warned_of() {
    let found = warnings("schedule: [0 0 30 2 *, 0 0 29 2 *]\nsteps: [x]\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`0 0 30 2 *` never comes"), "{found:?}");
    let errors = errors("schedule: 60 24 * * *\nsteps: [x]\n");
    assert_eq!(errors.len(), 2, "each field is told: {errors:?}");
}

#[test]
fn retries_have_one_budget_or_two() {
    let once = RetryRule { limit: 1, ..HOURLY };
    let policy = |failed, lost, shared| RetryPolicy {
        failed,
        lost,
        shared,
        exit_codes: Vec::new(),
    };
    for (line, expected) in [
        (
            "retry_policy: {limit: 3}",
            policy(Some(HOURLY), Some(HOURLY), true),
        ),
        (
            "retry_policy: {limit: 3, on: [lost, failed]}",
            policy(Some(HOURLY), Some(HOURLY), true),
        ),
        (
            "retry_policy: {limit: 3, on: failed}",
            policy(Some(HOURLY), None, false),
        ),
        (
            "retry_policy: {limit: 3, on: [lost]}",
            policy(None, Some(HOURLY), false),
        ),
        (
            "retry_policy: {limit: 3, lost: {limit: 1}}",
            policy(Some(HOURLY), Some(once), false),
        ),
        (
            "retry_policy: {limit: 3, on: failed, lost: {limit: 1}}",
            policy(Some(HOURLY), Some(once), false),
        ),
        (
            "retry_policy: {lost: {limit: '1'}}",
            policy(None, Some(once), false),
        ),
    ] {
        assert_eq!(retry(line), expected, "{line}");
    }
    assert_eq!(
        retry("retry_policy: {limit: 3, exit_codes: [7, 28]}").exit_codes,
        [7, 28]
    );
    let whole = retry(
        "retry_policy: {limit: 1, lost: {limit: 3, interval_sec: 5, backoff: 1.5, max_interval_sec: 30}}",
    );
    let lost = RetryRule {
        limit: 3,
        interval_sec: 5,
        backoff: 1.5,
        max_interval_sec: 30,
    };
    assert_eq!(whole.lost, Some(lost));
}

#[test]
fn at_least_once_goes_on_after_losses() {
    let lost = |line: &str| retry(line).lost.unwrap().limit;
    let alone = retry("delivery: at_least_once");
    let unlimited = RetryRule {
        limit: u32::MAX,
        interval_sec: 1,
        backoff: 2.0,
        max_interval_sec: 300,
    };
    assert_eq!(
        (alone.failed, alone.lost, alone.shared),
        (None, Some(unlimited), false)
    );
    let both = retry("delivery: at_least_once\nretry_policy: {limit: 3}");
    assert_eq!(
        (both.failed, both.lost, both.shared),
        (Some(HOURLY), Some(unlimited), false)
    );
    assert_eq!(
        lost("delivery: at_least_once\nretry_policy: {limit: 3, on: failed}"),
        u32::MAX
    );
    // What the policy says of losses itself counts.
    assert_eq!(
        lost("delivery: at_least_once\nretry_policy: {limit: 3, on: lost}"),
        3
    );
    assert_eq!(
        lost("delivery: at_least_once\nretry_policy: {lost: {limit: 2}}"),
        2
    );
    let dag = dag("delivery: at_least_once\nsteps: [x]\n");
    assert!(dag.scheduling.at_least_once);
    let most = super::dag("delivery: at_most_once\nsteps: [x]\n").scheduling;
    assert_eq!((most.at_least_once, most.retry), (false, None));
}

#[test]
fn a_policy_that_cannot_act_is_warned_of() {
    let found = warnings("retry_policy: {limit: 1, on: lost, exit_codes: 7}\nsteps: [x]\n");
    assert!(
        found.len() == 1 && found[0].contains("exit_codes` has no effect"),
        "{found:?}"
    );
}

#[test]
fn what_the_scheduler_could_not_use_is_refused() {
    for (line, column, words) in [
        ("schedule: 5", 11, "a text, a list or a map"),
        (
            "schedule: 1 2 3",
            11,
            "invalid schedule `1 2 3`: expected 5 fields, or 6 with seconds first, found 3",
        ),
        ("schedule: \"@reboot\"", 11, "invalid schedule `@reboot`"),
        ("schedule: \"@every 5m\"", 11, "`@every` is not accepted"),
        ("schedule: 60 * * * * *", 11, "second 60 is above the maximum 59"),
        ("schedule: 0 * * * * * *", 11, "found 7 fields"),
        ("schedule: 0 25 * * *", 11, "hour 25 is above the maximum 23"),
        ("schedule: {stop: [0 0 * * 7]}", 19, "day of week 7 is above"),
        ("schedule: TZ=Mars 0 0 * * *", 11, "there is no time zone `Mars`"),
        ("schedule: {strat: x}", 12, "unknown key `strat` in `schedule`"),
        ("schedule: {start: [5]}", 20, "must be a text"),
        (
            "schedule: {at: tomorrow}",
            16,
            "invalid schedule `tomorrow`: `tomorrow` is no time",
        ),
        ("schedule: {at: [2026-02-30 08:00]}", 17, "is no time"),
        ("schedule: {jitter_sec: 3601}", 24, "at most 3600 seconds"),
        ("schedule: {jitter_sec: -1}", 24, "negative"),
        ("catchup_window: soon", 17, "a length of time"),
        ("catchup_window: 5", 17, "a length of time"),
        ("catchup_window: 99999999999999999999d", 17, "a length of time"),
        (
            "overlap_policy: both",
            17,
            "`skip`, `all`, `latest` or `cancel_other`",
        ),
        ("delivery: exactly_once", 11, "`at_most_once` or `at_least_once`"),
        ("priority: 101", 11, "from -100 to 100"),
        ("priority: urgent", 11, "`low`, `normal`, `high`"),
        ("priority: 1.5", 11, "from -100 to 100"),
        ("hist_retention_runs: -1", 22, "negative"),
        ("skip_if_successful: 1", 21, "bool"),
        ("retry_policy: {limit: x}", 23, "retry_policy.limit"),
        ("retry_policy: {interval_sec: 5}", 15, "at least 1"),
        ("retry_policy: {limit: 4294967296}", 15, "at most 4294967295"),
        (
            "retry_policy: {limit: 1, on: [failed, late]}",
            30,
            "`failed`, `lost` or a list of both",
        ),
        (
            "retry_policy: {limit: 1, on: []}",
            30,
            "`failed`, `lost` or a list of both",
        ),
        (
            "retry_policy: {limit: 1, on: lost, lost: {limit: 1}}",
            36,
            "a budget of its own",
        ),
        (
            "retry_policy: {lost: {interval_sec: 1}}",
            22,
            "`retry_policy.lost.limit` is needed",
        ),
        (
            "retry_policy: {lost: {limit: 1}, on: failed}",
            15,
            "`retry_policy.limit` is needed",
        ),
        (
            "retry_policy: {limit: 1, lost: {limit: 1, on: lost}}",
            43,
            "unknown key `on`",
        ),
    ] {
        error(&format!("{line}\nsteps: [x]\n"), 1, column, words);
    }
    assert!(hint("retry_policy: {limit: 1, exit_code: 1}\nsteps: [x]\n").contains("`exit_codes`"));
    assert!(hint("schedule: '@every 30s'\nsteps: [x]\n").contains("`*/30 * * * * *`"));
    assert!(hint("schedule: '@dayly'\nsteps: [x]\n").contains("`@daily`"));
    let many = "\"0 1 * * *\",".repeat(1_001);
    let found = errors(&format!("schedule: [{many}]\nsteps: [x]\n"));
    assert!(format!("{found:?}").contains("at most 1000"), "{found:?}");
}

#[test]
fn retries_of_older_stored_dags_are_read() {
    let dag = dag("retry_policy: {limit: 3, lost: {limit: 1}}\npriority: 5\nsteps: [x]\n");
    let mut json = serde_json::to_value(&dag).unwrap();
    assert_eq!(serde_json::from_value::<Dag>(json.clone()).unwrap(), dag);
    let rule = serde_json::json!({"limit": 3, "interval_sec": 60, "backoff": 0.0, "max_interval_sec": 3600});
    json["scheduling"] = serde_json::json!({
        "skip_if_successful": false, "catchup_window_sec": 0, "overlap_policy": "skip", "retry": rule,
    });
    json["schedule"] = serde_json::json!({"start": ["0 1 * * *"], "stop": [], "restart": []});
    let older = serde_json::from_value::<Dag>(json).unwrap();
    let expected = RetryPolicy {
        failed: Some(HOURLY),
        ..RetryPolicy::default()
    };
    assert_eq!(older.scheduling.retry, Some(expected));
}
