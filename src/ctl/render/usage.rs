//! What an attempt used, for people and for scripts.

use serde_json::{Value, json};

use crate::model::cause::bytes;
use crate::model::{Cause, OomScope, OomVictim, PidsScope, RunCause, Usage, outcome::signal_name};

/// What stands where nobody can tell.
const UNKNOWN: &str = "?";

/// CPU time: seconds with two decimals, from a minute on without.
pub(crate) fn cpu(usec: u64) -> String {
    let secs = usec / 1_000_000;
    match secs {
        0..60 => format!("{secs}.{:02}s", usec % 1_000_000 / 10_000),
        60..3_600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3_600, secs % 3_600 / 60),
    }
}

fn known(value: Option<u64>, show: impl Fn(u64) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// The cells of a table: CPU time, peak memory, bytes read, bytes written, most processes.
pub(crate) fn cells(usage: &Usage) -> [String; 5] {
    [
        known(usage.cpu_usec(), cpu),
        known(usage.mem_peak, bytes),
        known(usage.io_read, bytes),
        known(usage.io_written, bytes),
        known(usage.pids_peak, |number| number.to_string()),
    ]
}

/// The titles of those cells.
pub(crate) const TITLES: [&str; 5] = ["CPU", "MEMORY", "READ", "WRITTEN", "TASKS"];

/// What was used, in a line; none if nothing is known. What is not known is named at the end.
pub(crate) fn sentence(usage: &Usage) -> Option<String> {
    if !usage.is_known() {
        return None;
    }
    let mut told = Vec::new();
    let mut unknown = Vec::new();
    let mut tell = |text: Option<String>, name: &'static str| match text {
        Some(text) => told.push(text),
        None => unknown.push(name),
    };
    let parts = usage.cpu_user_usec.zip(usage.cpu_system_usec);
    let parts = parts.map(|(user, system)| format!(" (user {}, system {})", cpu(user), cpu(system)));
    tell(
        usage
            .cpu_usec()
            .map(|usec| format!("CPU {}{}", cpu(usec), parts.unwrap_or_default())),
        "CPU time",
    );
    let largest = usage
        .rss_max
        .map(|size| format!("memory of the largest process {}", bytes(size)));
    tell(
        usage
            .mem_peak
            .map(|size| format!("memory {}", bytes(size)))
            .or(largest),
        "memory",
    );
    let io = usage.io_read.zip(usage.io_written);
    tell(
        io.map(|(read, written)| format!("read {}, written {}", bytes(read), bytes(written))),
        "IO",
    );
    tell(
        usage.pids_peak.map(|number| format!("at most {number} tasks")),
        "tasks",
    );
    if let Some(kills @ 1..) = usage.oom_kills {
        told.push(format!("out-of-memory kills {kills}"));
    }
    if let Some(refused @ 1..) = usage.pids_refused {
        told.push(format!("forks refused {refused}"));
    }
    let mut line = told.join(", ");
    if !unknown.is_empty() {
        line += &format!("; not known: {}", unknown.join(", "));
    }
    Some(line)
}

/// The same as JSON: what is not known is `null`.
pub(crate) fn object(usage: &Usage) -> Value {
    json!({
        "cpu_user_usec": usage.cpu_user_usec,
        "cpu_system_usec": usage.cpu_system_usec,
        "mem_peak": usage.mem_peak,
        "rss_max": usage.rss_max,
        "io_read": usage.io_read,
        "io_written": usage.io_written,
        "pids_peak": usage.pids_peak,
        "oom_kills": usage.oom_kills,
        "pids_refused": usage.pids_refused,
    })
}

/// A cause as JSON: its kind, and the facts of that kind.
pub(crate) fn cause(cause: Cause) -> Value {
    let kind = cause.as_str();
    match cause {
        Cause::Exit { code } => json!({ "kind": kind, "exit_code": code }),
        Cause::Signal { signal, core } => {
            json!({ "kind": kind, "signal": signal_name(signal), "core_dumped": core })
        }
        Cause::OutOfMemory {
            killed,
            scope,
            victim,
            ..
        } => {
            let victim = match victim {
                OomVictim::Own {} => "own",
                OomVictim::Below {} => "below",
                OomVictim::Unclear {} => "unclear",
            };
            let (of, memory_max) = match scope {
                OomScope::Attempt { limit } => ("attempt", limit),
                OomScope::Around {} => ("machine", None),
            };
            json!({
                "kind": kind,
                "killed": killed,
                "victim": victim,
                "out_of_memory": of,
                "memory_max": memory_max,
            })
        }
        Cause::PidsLimit { refused, scope } => {
            let (of, pids_max) = match scope {
                PidsScope::Attempt { limit } => ("attempt", limit),
                PidsScope::Around {} => ("around", None),
                PidsScope::Unclear { limit } => ("unclear", limit),
            };
            json!({ "kind": kind, "refused": refused, "limit_of": of, "pids_max": pids_max })
        }
        Cause::StepTimeout {}
        | Cause::RunTimeout {}
        | Cause::Stopped {}
        | Cause::Upstream {}
        | Cause::Lost {} => json!({ "kind": kind }),
    }
}

/// A run's cause as JSON: that of the step that failed first, with its name, or one of the whole run.
pub(crate) fn run_cause(found: &RunCause) -> Value {
    let mut value = cause(found.cause);
    if let Value::Object(map) = &mut value {
        map.insert(String::from("step"), json!(found.step));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said_and_never_shown_as_nothing() {
        assert_eq!(sentence(&Usage::UNKNOWN), None);
        let only_cpu = Usage {
            cpu_user_usec: Some(1_230_000),
            cpu_system_usec: Some(20_000),
            ..Usage::UNKNOWN
        };
        assert_eq!(
            sentence(&only_cpu).unwrap(),
            "CPU 1.25s (user 1.23s, system 0.02s); not known: memory, IO, tasks"
        );
        assert_eq!(cells(&only_cpu), ["1.25s", "?", "?", "?", "?"]);
        assert_eq!(object(&only_cpu)["mem_peak"], Value::Null);
        let largest = Usage {
            rss_max: Some(3 << 20),
            ..only_cpu
        };
        assert!(
            sentence(&largest)
                .unwrap()
                .contains("memory of the largest process 3 MiB; not known: IO, tasks")
        );
    }

    #[test]
    fn all_that_is_known_stands_in_one_line() {
        let all = Usage {
            cpu_user_usec: Some(61_000_000),
            cpu_system_usec: Some(0),
            mem_peak: Some(512 << 20),
            rss_max: Some(1),
            io_read: Some(0),
            io_written: Some(1536),
            pids_peak: Some(12),
            oom_kills: Some(1),
            pids_refused: Some(0),
        };
        assert_eq!(
            sentence(&all).unwrap(),
            "CPU 1m01s (user 1m01s, system 0.00s), memory 512 MiB, read 0 bytes, written 1.5 KiB, at most 12 tasks, \
             out-of-memory kills 1"
        );
        assert_eq!(cells(&all), ["1m01s", "512 MiB", "0 bytes", "1.5 KiB", "12"]);
        assert_eq!(cpu(7_260_000_000), "2h01m");
    }

    #[test]
    fn causes_have_a_kind_and_its_facts() {
        let found = RunCause {
            step: Some(String::from("s")),
            cause: Cause::OutOfMemory {
                killed: 1,
                total: 1,
                scope: OomScope::Attempt { limit: Some(4096) },
                victim: OomVictim::Below {},
            },
        };
        assert_eq!(
            run_cause(&found),
            json!({
                "kind": "out_of_memory",
                "killed": 1,
                "victim": "below",
                "out_of_memory": "attempt",
                "memory_max": 4096,
                "step": "s",
            })
        );
        let refused = |scope| cause(Cause::PidsLimit { refused: 2, scope });
        assert_eq!(
            refused(PidsScope::Unclear { limit: Some(9) }),
            json!({ "kind": "pids_limit", "refused": 2, "limit_of": "unclear", "pids_max": 9 })
        );
        assert_eq!(
            refused(PidsScope::Around {}),
            json!({ "kind": "pids_limit", "refused": 2, "limit_of": "around", "pids_max": null })
        );
        let segv = Cause::Signal {
            signal: 11,
            core: true,
        };
        assert_eq!(
            cause(segv),
            json!({ "kind": "signal", "signal": "SIGSEGV", "core_dumped": true })
        );
        assert_eq!(cause(Cause::StepTimeout {}), json!({ "kind": "step_timeout" }));
    }
}
