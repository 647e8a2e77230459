//! What holds for the whole run.

use super::Entries;
use crate::ctl::render::words;
use crate::dag::Dag;
use crate::dag::types::{DagKind, EnvVar, LogOutput, Secret};

/// Variables as they are written.
pub(super) fn env(vars: &[EnvVar]) -> Vec<String> {
    vars.iter()
        .map(|var| format!("{}={}", var.name, var.value))
        .collect()
}

fn secret(secret: &Secret) -> String {
    let options: String = secret
        .options
        .iter()
        .map(|(name, value)| format!(", {name}={value}"))
        .collect();
    format!("{} from {} {}{options}", secret.name, secret.provider, secret.key)
}

fn schedule(dag: &Dag) -> Vec<String> {
    let lists = [
        ("start", &dag.schedule.start),
        ("stop", &dag.schedule.stop),
        ("restart", &dag.schedule.restart),
    ];
    lists
        .into_iter()
        .flat_map(|(word, list)| list.iter().map(move |cron| format!("{word} at {cron}")))
        .chain(dag.schedule.at.iter().map(|time| format!("start once at {time}")))
        .collect()
}

fn queue(dag: &Dag) -> String {
    let queue = dag
        .queue
        .as_ref()
        .map_or_else(|| "its own".to_owned(), ToString::to_string);
    match dag.max_active_runs {
        None => queue,
        Some(0) if dag.queue.is_some() => queue,
        Some(0) => format!("{queue}, without a limit"),
        Some(limit) if dag.queue.is_some() => format!("{queue}, at most {limit} of this DAG live at a time"),
        Some(limit) => format!("{queue}, at most {limit} live at a time"),
    }
}

/// The entries of the DAG. What has its default, and is of no interest then, is left out.
pub(super) fn entries(dag: &Dag, base_dir: &str) -> Entries {
    let mut entries = Entries::default();
    let positive = |value: u64| Some(value).filter(|value| *value > 0);
    let time = |value| positive(value).map(words::seconds);
    entries.one("about", dag.description.clone());
    let order = match dag.kind {
        DagKind::Chain => "chain: each step after the one before it",
        DagKind::Graph => "graph: only `depends` counts",
    };
    entries.one("order", order.to_owned());
    entries.one("queue", queue(dag));
    let priority = dag.scheduling.priority;
    entries.one(
        "priority",
        Some(priority.to_string()).filter(|_| priority.number() != 0),
    );
    let schedule = schedule(dag);
    if !schedule.is_empty() {
        entries.many("schedule", schedule);
        let scheduling = &dag.scheduling;
        if scheduling.skip_if_successful {
            entries.one(
                "left out",
                "if the last run since the start before succeeded".to_owned(),
            );
        }
        let jitter = positive(dag.schedule.jitter_sec.into());
        entries.one(
            "put off",
            jitter.map(|jitter| format!("by up to {}", words::seconds(jitter))),
        );
        let window = positive(scheduling.catchup_window_sec);
        entries.one(
            "made up",
            window.map(|window| format!("starts missed in the last {}", words::seconds(window))),
        );
        entries.one("while busy", words::overlap(scheduling.overlap_policy).to_owned());
    }
    let retries = dag.scheduling.retry.as_ref().map(words::whole_retry);
    entries.many("retry", retries.unwrap_or_default());
    entries.many(
        "conditions",
        dag.preconditions.iter().map(words::condition).collect(),
    );
    entries.one("time limit", time(dag.timeout_sec));
    entries.one("grace period", time(dag.max_clean_up_time_sec));
    entries.one(
        "pause",
        time(dag.delay_sec).map(|time| format!("{time} after each start of a step")),
    );
    let at_most = Some(dag.max_active_steps).filter(|limit| *limit > 0);
    entries.one("at a time", at_most.map(|limit| format!("at most {limit} steps")));
    let shell = dag.shell.as_ref().map(words::shell);
    entries.one(
        "shell",
        shell.unwrap_or_else(|| "the configured default".to_owned()),
    );
    entries.one(
        "directory",
        dag.working_dir.clone().unwrap_or_else(|| base_dir.to_owned()),
    );
    entries.many("env", env(&dag.env));
    entries.many("dotenv", dag.dotenv.clone());
    entries.many("secrets", dag.secrets.iter().map(secret).collect());
    if dag.log_output == LogOutput::Merged {
        entries.one("logs", "standard output and error in one file".to_owned());
    }
    entries
}
