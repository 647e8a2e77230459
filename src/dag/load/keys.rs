//! Which keys there are, and what to say of those there are not.

use crate::dag::diag::{Report, closest};
use crate::dag::yaml::Entry;
use crate::model::Rlimit;

/// The keys of one kind of map.
pub(super) struct Keys<'a> {
    /// The map, for messages; empty at the top.
    pub what: &'a str,
    /// What it may have.
    pub known: &'a [&'a str],
    /// Keys the format knows and this version does not act on, with the cure.
    pub refused: &'a [(&'a str, &'a str)],
    /// Former and mistaken names.
    pub renamed: &'a [(&'a str, &'a str)],
}

impl<'a> Keys<'a> {
    /// Only known keys.
    pub(super) const fn plain(what: &'a str, known: &'a [&'a str]) -> Self {
        Self {
            what,
            known,
            refused: &[],
            renamed: &[],
        }
    }
}

/// Reports every key that is not known.
pub(super) fn check<'e>(report: &mut Report, entries: impl IntoIterator<Item = &'e Entry>, keys: &Keys<'_>) {
    let scope = match keys.what {
        "" => String::new(),
        "step" => " in a step".to_owned(),
        what => format!(" in `{what}`"),
    };
    for entry in entries {
        let key = entry.key.as_str();
        if keys.known.contains(&key) || report.is_full() {
            continue;
        }
        if let Some((_, cure)) = keys.refused.iter().find(|(name, _)| *name == key) {
            let message = format!("`{key}`{scope} is not supported by this version");
            report.error_hint(entry.key_at, message, *cure);
            continue;
        }
        let message = format!("unknown key `{key}`{scope}");
        let renamed = keys
            .renamed
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, new)| *new);
        let refused = keys.refused.iter().map(|(name, _)| *name);
        let guess = renamed.or_else(|| closest(key, keys.known.iter().copied().chain(refused)));
        match guess {
            Some(guess) => report.error_hint(entry.key_at, message, format!("did you mean `{guess}`?")),
            None => report.error(entry.key_at, message),
        }
    }
}

const DOCKER: &str = "run `docker run --rm IMAGE ...` in a command";
const SSH: &str = "run `ssh HOST ...` in a command";
const MAIL: &str =
    "run a mail command, for example `mail -s SUBJECT ADDRESS`, in a handler under `handler_on`";
const LLM: &str = "call the service's own command-line client in a command";
const S3: &str = "run `aws s3 ...` in a command";
const REDIS: &str = "run `redis-cli ...` in a command";
pub(super) const LOCAL: &str = "steps always run on this machine";

/// Keys of a DAG document.
pub(super) const TOP: Keys<'_> = Keys {
    what: "",
    known: &[
        "name",
        "group",
        "description",
        "type",
        "tags",
        "params",
        "env",
        "dotenv",
        "working_dir",
        "shell",
        "log_dir",
        "log_output",
        "timeout_sec",
        "delay_sec",
        "restart_wait_sec",
        "max_active_steps",
        "max_active_runs",
        "max_clean_up_time_sec",
        "max_output_size",
        "hist_retention_days",
        "hist_retention_runs",
        "queue",
        "priority",
        "preconditions",
        "handler_on",
        "steps",
        "defaults",
        "schedule",
        "catchup_window",
        "overlap_policy",
        "skip_if_successful",
        "delivery",
        "retry_policy",
        "run_config",
        "worker_selector",
        "secrets",
        "run_as",
        "no_new_privs",
        "limits",
    ],
    refused: &[
        ("mail_on", MAIL),
        ("error_mail", MAIL),
        ("info_mail", MAIL),
        ("wait_mail", MAIL),
        ("smtp", MAIL),
        (
            "otel",
            "run your tracing tool's client in a handler under `handler_on`",
        ),
        ("container", DOCKER),
        ("registry_auths", "run `docker login` in a command"),
        ("ssh", SSH),
        ("s3", S3),
        ("redis", REDIS),
        ("llm", LLM),
    ],
    renamed: &[
        ("precondition", "preconditions"),
        ("dir", "working_dir"),
        ("run", "steps"),
        ("handlers", "handler_on"),
        ("hooks", "handler_on"),
        ("parameters", "params"),
        ("environment", "env"),
        ("max_concurrency", "max_active_steps"),
        ("stop_schedule", "schedule: {stop: ...}"),
        ("restart_schedule", "schedule: {restart: ...}"),
        ("default_params", "params"),
        ("user", "run_as"),
        ("resources", "limits"),
        ("ulimits", "limits: {rlimits: ...}"),
    ],
};

/// Keys of a step and of a handler.
pub(super) const STEP: Keys<'_> = Keys {
    what: "step",
    known: &[
        "name",
        "id",
        "description",
        "type",
        "command",
        "script",
        "shell",
        "working_dir",
        "env",
        "depends",
        "output",
        "stdout",
        "stderr",
        "log_output",
        "continue_on",
        "retry_policy",
        "repeat_policy",
        "timeout_sec",
        "signal_on_stop",
        "preconditions",
        "call",
        "params",
        "parallel",
        "worker_selector",
        "value",
        "routes",
        "approval",
    ],
    refused: &[
        (
            "shell_packages",
            "name them in the shell: `shell: nix-shell -p PACKAGE`",
        ),
        ("mail_on_error", MAIL),
        ("config", "put the options into the command"),
        ("container", DOCKER),
        ("llm", LLM),
        ("messages", LLM),
        ("agent", LLM),
    ],
    renamed: &[
        ("precondition", "preconditions"),
        ("dir", "working_dir"),
        ("run", "call"),
        ("cmd", "command"),
        ("commands", "command"),
        ("executor", "type"),
        ("depends_on", "depends"),
        ("needs", "depends"),
        ("retry", "retry_policy"),
        ("repeat", "repeat_policy"),
        ("timeout", "timeout_sec"),
    ],
};

/// Keys of `defaults`.
pub(super) const DEFAULTS: Keys<'_> = Keys {
    what: "defaults",
    known: &[
        "continue_on",
        "retry_policy",
        "repeat_policy",
        "timeout_sec",
        "signal_on_stop",
        "env",
        "preconditions",
    ],
    refused: &[("mail_on_error", MAIL), ("agent", LLM)],
    renamed: &[
        ("precondition", "preconditions"),
        ("retry", "retry_policy"),
        ("timeout", "timeout_sec"),
    ],
};

/// Keys of `continue_on`.
pub(super) const CONTINUE_ON: Keys<'_> = Keys::plain(
    "continue_on",
    &[
        "skipped",
        "failed",
        "failure",
        "exit_code",
        "output",
        "mark_success",
    ],
);

/// Keys of a step's `retry_policy`.
pub(super) const RETRY: Keys<'_> = Keys::plain(
    "retry_policy",
    &[
        "limit",
        "interval_sec",
        "exit_code",
        "backoff",
        "max_interval_sec",
    ],
);

/// Keys of a step's `repeat_policy`.
pub(super) const REPEAT: Keys<'_> = Keys::plain(
    "repeat_policy",
    &[
        "repeat",
        "interval_sec",
        "limit",
        "condition",
        "expected",
        "exit_code",
        "backoff",
        "max_interval_sec",
    ],
);

/// Keys of `schedule`.
pub(super) const SCHEDULE: Keys<'_> =
    Keys::plain("schedule", &["start", "stop", "restart", "at", "jitter_sec"]);

/// Keys of a DAG's `retry_policy`.
pub(super) const DAG_RETRY: Keys<'_> = Keys {
    what: "retry_policy",
    known: &[
        "limit",
        "interval_sec",
        "backoff",
        "max_interval_sec",
        "exit_codes",
        "on",
        "lost",
    ],
    refused: &[],
    renamed: &[("exit_code", "exit_codes")],
};

/// Keys of `lost` in it.
pub(super) const LOST_RETRY: Keys<'_> = Keys::plain(
    "retry_policy.lost",
    &["limit", "interval_sec", "backoff", "max_interval_sec"],
);

/// Keys of `run_config`.
pub(super) const RUN_CONFIG: Keys<'_> =
    Keys::plain("run_config", &["disable_param_edit", "disable_run_id_edit"]);

/// Keys of `output`.
pub(super) const OUTPUT: Keys<'_> = Keys::plain("output", &["name", "key", "omit"]);

/// Keys of a condition, in any case.
pub(super) const CONDITION: [&str; 4] = ["condition", "command", "expected", "negate"];

/// Keys of `parallel`.
pub(super) const PARALLEL: Keys<'_> = Keys::plain("parallel", &["items", "max_concurrent"]);

/// Keys of `approval`.
pub(super) const APPROVAL: Keys<'_> = Keys::plain("approval", &["prompt", "input", "required"]);

/// Keys of an item of `secrets`.
pub(super) const SECRET: Keys<'_> = Keys::plain("secrets", &["name", "provider", "key", "options"]);

/// Keys of `limits`.
pub(super) const LIMITS: Keys<'_> = Keys {
    what: "limits",
    known: &[
        "memory_max",
        "memory_high",
        "swap_max",
        "cpu_weight",
        "cpu_max",
        "io_weight",
        "pids_max",
        "nice",
        "umask",
        "rlimits",
    ],
    refused: &[],
    renamed: &[
        ("memory", "memory_max"),
        ("cpu", "cpu_max"),
        ("pids", "pids_max"),
        ("nofile", "rlimits: {nofile: ...}"),
        ("nproc", "rlimits: {nproc: ...}"),
    ],
};

/// Keys of `rlimits` in it.
pub(super) const RLIMITS: Keys<'_> = Keys::plain("limits.rlimits", &Rlimit::NAMES);

/// Keys of one of these.
pub(super) const RLIMIT: Keys<'_> = Keys::plain("limits.rlimits", &["soft", "hard"]);

/// Step types that stand for a plain command, for calls, and for routers.
pub(super) const STEP_TYPES: [&str; 6] = ["command", "shell", "dag", "subworkflow", "parallel", "router"];

/// Step types the format knows and this version has not, with the cure.
pub(super) const STEP_TYPES_REFUSED: [(&str, &str); 18] = [
    ("docker", DOCKER),
    ("container", DOCKER),
    ("ssh", SSH),
    ("sftp", "run `sftp HOST` in a command"),
    ("http", "run `curl ...` in a command"),
    ("jq", "run `jq ...` in a command"),
    (
        "mail",
        "run a mail command, for example `mail -s SUBJECT ADDRESS`",
    ),
    ("archive", "run `tar` or `unzip` in a command"),
    ("s3", S3),
    ("redis", REDIS),
    ("postgres", "run `psql ...` in a command"),
    ("sqlite", "run `sqlite3 ...` in a command"),
    ("github_action", "run the action's own tool in a command"),
    ("github-action", "run the action's own tool in a command"),
    ("gha", "run the action's own tool in a command"),
    ("chat", LLM),
    ("agent", LLM),
    ("llm", LLM),
];
