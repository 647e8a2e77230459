//! Tests of what the log shows.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Registry, registry};

use super::capture::{Record, Value};
use super::escape::{escape, escape_cut};
use super::queue::Queue;
use super::{events, filter, journal, render};
use crate::model::access::Peer;
use crate::model::{
    AttemptId, DagName, GroupName, LostCause, PendingRetry, RunId, RunRef, RunStatus, StepStatus, StopReason,
    Time, Trigger, limits,
};

/// A layer that keeps what it sees.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Vec<Record>>>);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(Record::of(event));
    }
}

/// What `log` logs.
fn logged(log: impl FnOnce()) -> Vec<Record> {
    let keep = Keep::default();
    tracing::subscriber::with_default(Registry::default().with(keep.clone()), log);
    std::mem::take(&mut keep.0.lock().unwrap())
}

fn run() -> (RunRef, AttemptId) {
    let run = RunRef {
        dag: DagName::new("nightly").unwrap(),
        id: RunId::new("r1").unwrap(),
    };
    let attempt = AttemptId::derive(&run, 1);
    (run, attempt)
}

/// Logs every kind of event once.
fn every_event() {
    let (run, attempt) = run();
    let peer = Peer {
        pid: 7,
        uid: 1000,
        gid: 1000,
    };
    events::daemon_started("1", 2);
    events::daemon_stopping("SIGTERM", 3);
    events::config_reloaded("a", "b");
    events::config_rejected(&"c");
    events::run_accepted(&run, Trigger::Manual);
    events::run_requeued(&run, 1);
    events::stop_requested(&run, &StopReason::Schedule);
    events::run_over(&run, RunStatus::Succeeded, 1);
    events::queue_paused(&GroupName::new("q").unwrap(), true);
    events::dag_installed(&run.dag, "/d/a\nb.yaml", 1000, false);
    events::dag_uninstalled(&run.dag);
    events::dag_rejected(Path::new("/d/a\nb.yaml"), "p\nq", false, true);
    events::base_rejected(Path::new("/d/base\n.yaml"), "p\nq", 2);
    events::dag_suspended(&run.dag, true);
    events::schedule_started(&run, Time(0), true);
    events::schedule_stopped(&run.dag, Time(0), 2);
    events::schedule_skipped(&run.dag, Time(0), "w");
    events::schedule_delayed(&run.dag, Time(0), "x\ny");
    events::schedule_ahead(&run.dag, Time(0));
    events::attempt_started(&run, &attempt, 4);
    events::attempt_adopted(&run, &attempt, 4);
    events::attempt_ended(&run, &attempt, RunStatus::Succeeded);
    events::attempt_lost(&run, &attempt, &LostCause::Reboot);
    let retry = PendingRetry {
        number: 1,
        limit: 3,
        at: Time(0),
    };
    events::retry_pending(&run, &retry);
    events::launch_failed(&run, &attempt, &"d");
    events::limit_not_enforced(&run, &attempt, &"e");
    events::step_started(&run, &attempt, "s\n1");
    events::step_retried(&run, &attempt, "s\n1", 1, "e\nf");
    events::step_ended(&run, &attempt, "s\n1", StepStatus::Skipped, "e\nf");
    events::step_failed(&run, &attempt, "s\n1", &"e");
    events::step_approved(&run, &attempt, "s\n1", 1000);
    events::step_rejected(&run, &attempt, "s\n1", 1000, "e\nf");
    events::entry_quarantined(Path::new("/p/a\nb"), &"f");
    events::entry_healed(Path::new("/p"), &"g");
    events::attempt_stalled(&run, &attempt, 91);
    events::attempt_recovered(&run, &attempt);
    events::stalled_stopped(&run, &attempt, 700);
    events::stalled_killed(&run, &attempt);
    events::foreign_removed(Path::new("/p/a\nb"), &run, &attempt, "stale");
    events::hook_failed(&run, "failed", "exit code 1; it wrote: no\npaper");
    events::notice_dropped(&run, "lost", 1000);
    events::request_denied(peer, "/bin/x\u{1b}[2J", "stop", "nightly");
    events::status_denied(&run, &attempt, peer, "stop");
    events::client_dropped(peer, &"i");
    events::store_trouble("commit", &"j");
    events::store_recovered();
    events::cgroup_unavailable(&"k");
    events::log_dropped(7);
}

#[test]
fn every_event_has_its_own_well_formed_id_and_logs_it() {
    let ids: BTreeSet<&str> = events::TABLE.iter().map(|kind| kind.message_id).collect();
    assert_eq!(ids.len(), events::TABLE.len());
    let logged = logged(every_event);
    assert_eq!(logged.len(), events::TABLE.len());
    for (kind, record) in events::TABLE.iter().zip(&logged) {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(
            kind.message_id.len() == 32 && kind.message_id.chars().all(hex),
            "{kind:?}"
        );
        assert!(kind.meaning.ends_with('.'), "{kind:?}");
        assert_eq!(
            record.get("MESSAGE_ID"),
            Some(&Value::Text(kind.message_id.to_owned()))
        );
        assert_eq!(*record.metadata.level(), kind.level, "{}", kind.name);
        assert!(record.get("message").is_some(), "{}", kind.name);
    }
}

#[test]
fn fields_have_names_that_the_journal_takes() {
    for record in logged(every_event) {
        for (field, _) in &record.fields {
            let name = field.name();
            // systemd.journal-fields(7): capitals, digits and '_', not first, at most 64.
            let upper = name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && !name.starts_with('_');
            assert!(name == "message" || (upper && name.len() <= 64), "{name}");
        }
    }
}

#[test]
fn no_name_breaks_a_line_or_drives_a_terminal() {
    for record in logged(every_event) {
        for line in [
            render::text(&record, false),
            render::text(&record, true),
            render::json(&record),
        ] {
            let body = line.strip_suffix('\n').unwrap();
            assert!(!body.contains(char::is_control), "{body:?}");
        }
    }
    assert_eq!(escape("plain ä \\ \"x\""), "plain ä \\ \"x\"");
    assert_eq!(
        escape("a\nb\r\t\u{1b}[0m\u{85}\u{202e}\u{2028}"),
        "a\\nb\\r\\t\\u{1b}[0m\\u{85}\\u{202e}\\u{2028}"
    );
    assert_eq!(escape_cut("äbc", 1), "…");
    assert_eq!(escape_cut("äbc", 3), "äb…");
    assert_eq!(escape_cut("äbc", 4), "äbc");
}

#[test]
fn a_record_holds_no_more_than_it_may() {
    let huge = "x".repeat(3 * limits::TEXT_MAX);
    let record = logged(|| tracing::info!(text = huge, debug = ?huge, "{huge}")).remove(0);
    assert_eq!(record.fields.len(), 3);
    for (_, value) in &record.fields {
        assert!(value.to_string().len() <= limits::TEXT_MAX + '…'.len_utf8());
        assert!(value.to_string().ends_with('…'));
    }
}

#[test]
fn lines_say_what_was_logged() {
    let record = logged(|| tracing::warn!(target: "t", count = 3, name = "a b", ok = true, "mess")).remove(0);
    let text = render::text(&record, true);
    assert_eq!(text, "<4>t: mess count=3 name=\"a b\" ok=true\n");
    let stamped = render::text(&record, false);
    assert!(
        stamped.starts_with(&record.at.rfc3339())
            && stamped.ends_with(" WARN  t: mess count=3 name=\"a b\" ok=true\n")
    );
    let json: serde_json::Value = serde_json::from_str(&render::json(&record)).unwrap();
    assert_eq!(json["level"], "warn");
    assert_eq!(json["message"], "mess");
    assert_eq!(json["count"], 3);
    assert_eq!(json["ok"], true);
    let (run, attempt) = run();
    let lost = logged(|| events::attempt_lost(&run, &attempt, &LostCause::SupervisorSignal(9))).remove(0);
    let wanted = format!("<3>attempt {attempt} of nightly:r1 is lost: supervisor killed by SIGKILL\n");
    assert_eq!(render::text(&lost, true), wanted);
}

#[test]
fn a_replayed_event_is_the_event() {
    let records = logged(|| {
        every_event();
        tracing::debug!(n = -1_i64, u = 2_u64, f = 0.5, b = false, "x");
    });
    let keep = Keep::default();
    let to = tracing::Dispatch::new(registry().with(LevelFilter::OFF).with(keep.clone()));
    for record in &records {
        journal::replay(record, &to);
    }
    let again = keep.0.lock().unwrap();
    assert_eq!(again.len(), records.len());
    for (one, two) in records.iter().zip(again.iter()) {
        assert_eq!(one.fields, two.fields);
        assert_eq!(one.metadata.line(), two.metadata.line());
    }
}

#[test]
fn a_full_queue_drops_counts_and_reports_but_never_waits() {
    let (queue, receiver) = Queue::<u64>::new(4);
    // Nobody reads: were offering able to wait, this would never end.
    for item in 0..10 {
        queue.offer(item);
    }
    assert_eq!(queue.dropped(), 6);
    assert!(!queue.flush(Duration::from_millis(1)));
    let (out, written) = mpsc::channel();
    let writer = Arc::clone(&queue);
    let thread = std::thread::spawn(move || {
        writer.drain(
            &receiver,
            |item| {
                let _gone = out.send(*item);
            },
            |count| vec![1000 + count],
        );
    });
    assert!(queue.flush(Duration::from_secs(60)));
    queue.offer(20);
    assert!(queue.flush(Duration::from_secs(60)));
    assert_eq!(written.try_iter().collect::<Vec<_>>(), [0, 1006, 1, 2, 3, 20]);
    assert!(!thread.is_finished());
}

#[test]
fn levels_are_filters() {
    for level in ["info", "off", "warn,proctor::engine=debug", ""] {
        assert!(filter(level).is_ok(), "{level}");
    }
    let error = filter("info,proctor=loud").unwrap_err().to_string();
    assert!(error.contains("proctor=loud"), "{error}");
}
