//! The DAG as the loader makes it: every default filled in, every reference resolved, known to be acyclic.
//!
//! It is stored as JSON with each run (`dag.json`), so fields are only ever added, with `#[serde(default)]`.

mod calls;
mod execution;
mod policies;

use serde::{Deserialize, Serialize};

pub use super::scheduling::{OverlapPolicy, Schedules, Scheduling};
use crate::model::{DagName, GroupName, Handler};

pub use calls::{Approval, Call, CallArg, Item, Items, Parallel, Route, Router};
pub use execution::Execution;
pub use policies::{Condition, ContinueOn, Number, RepeatMode, RepeatPolicy, RetryPolicy};

/// Whether a field can be left out of the JSON: a DAG of thousands of plain steps is then a fraction of the size.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How steps depend on each other when they do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DagKind {
    /// Each entry of `steps` depends on the one before; a nested list is a parallel group.
    #[default]
    Chain,
    /// Only `depends` counts.
    Graph,
}

/// Where the two output streams of a step go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogOutput {
    /// One file each: `.out` and `.err`.
    #[default]
    Separate,
    /// Both in one `.log` file.
    Merged,
}

/// A DAG: one job definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dag {
    /// Name.
    pub name: DagName,
    /// Label that groups DAGs for people.
    pub group: String,
    /// What it is for.
    pub description: String,
    /// Chain or graph.
    pub kind: DagKind,
    /// Tags, in lower case: `key` or `key=value`.
    pub tags: Vec<String>,
    /// Declared parameters.
    pub params: Params,
    /// Environment, in order: an entry may refer to parameters and to entries before it.
    pub env: Vec<EnvVar>,
    /// Dotenv files in order; relative to the working directory, else to the DAG file's directory.
    pub dotenv: Vec<String>,
    /// Working directory as written; none is the directory of the DAG file.
    pub working_dir: Option<String>,
    /// Shell of the steps that do not name one; none is the configured default.
    pub shell: Option<Shell>,
    /// Where steps' streams go unless they say otherwise.
    pub log_output: LogOutput,
    /// Steps in order of definition.
    pub steps: Vec<Step>,
    /// Handlers that are defined.
    pub handlers: Vec<(Handler, Step)>,
    /// Conditions for the whole run.
    pub preconditions: Vec<Condition>,
    /// Time limit of the run in seconds; 0 is none.
    pub timeout_sec: u64,
    /// Pause after each start of a step, in seconds.
    pub delay_sec: u64,
    /// Most steps at a time; 0 is no limit.
    pub max_active_steps: u32,
    /// Grace period of a stop, in seconds, before SIGKILL.
    pub max_clean_up_time_sec: u64,
    /// Largest captured output, in bytes.
    pub max_output_size: u64,
    /// Named queue that bounds how many runs are live; none is the DAG's own group.
    pub queue: Option<GroupName>,
    /// Most live runs of this DAG, in its own group or in its queue. None is the configured default of a group, and no
    /// limit in a queue; 0 is no limit.
    pub max_active_runs: Option<u32>,
    /// Schedules, as written.
    pub schedule: Schedules,
    /// Days that ended runs are kept; none is the configured default, negative is for ever.
    pub hist_retention_days: Option<i64>,
    /// Pause between stop and start of a restart, in seconds.
    pub restart_wait_sec: u64,
    /// Whether the loader put `.env` in front of the files that `dotenv` names.
    #[serde(default)]
    pub dotenv_implied: bool,
    /// `log_dir` as written; kept without effect.
    #[serde(default)]
    pub log_dir: Option<String>,
    /// What else the scheduler acts on.
    #[serde(default)]
    pub scheduling: Scheduling,
    /// Secrets that steps get in their environment, in order.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Further documents of the file. A step can call them by name.
    #[serde(default)]
    pub local_dags: Vec<Dag>,
    /// Text of the base configuration, if this DAG calls others that are in files of their own: it holds for them, too.
    #[serde(default)]
    pub base_config: Option<String>,
    /// As whom its attempts run, and within which limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub execution: Execution,
}

/// A secret: a value that is looked up when the run begins, and reads `*******` wherever it would be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The variable that holds it.
    pub name: String,
    /// Where it is looked up: `env`, `file` or `credential`; any other one fails the run.
    pub provider: String,
    /// What it is called there.
    pub key: String,
    /// Options of the provider, in order.
    pub options: Vec<(String, String)>,
}

/// One environment entry; the value is not yet evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value as written.
    pub value: String,
}

/// Declared parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Params {
    /// In order of declaration.
    pub defs: Vec<ParamDef>,
    /// Whether they are of the rich form: values are checked and unknown ones refused.
    pub typed: bool,
    /// The defaults' JSON text, if `params` was given as a JSON text.
    #[serde(default)]
    pub json: Option<String>,
    /// The JSON schema that values have to satisfy, if there is one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schema: Option<ParamSchema>,
}

/// An external JSON schema of parameters. Its text is kept, so that a run is checked against the schema that its DAG
/// was loaded with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamSchema {
    /// Its path as written.
    pub path: String,
    /// Its text, at most [`crate::model::limits::SCHEMA_MAX`] bytes; it was valid when the DAG was loaded.
    pub text: String,
}

/// One declared parameter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ParamDef {
    /// Name, or the position from 1 as a number.
    pub name: String,
    /// Whether it was declared without a name.
    pub positional: bool,
    /// Default value; none means that a value must be given if `required`.
    pub default: Option<String>,
    /// Expression for the default, evaluated when the run begins.
    pub eval: Option<String>,
    /// What it is for.
    pub description: String,
    /// Type of a rich parameter: `string`, `integer`, `number` or `boolean`.
    pub kind: ParamKind,
    /// Whether a value must be given.
    pub required: bool,
    /// Allowed values; empty is any.
    pub choices: Vec<serde_json::Value>,
    /// Smallest number.
    pub minimum: Option<f64>,
    /// Largest number.
    pub maximum: Option<f64>,
    /// Shortest text, in characters.
    pub min_length: Option<u64>,
    /// Longest text, in characters.
    pub max_length: Option<u64>,
    /// Regular expression the text must match.
    pub pattern: Option<String>,
}

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// Any text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list, an object, or one of several types: only an external JSON schema declares it.
    Json,
}

/// A shell: program and arguments before `-c`. The program `direct` means none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shell {
    /// Program name or path.
    pub program: String,
    /// Arguments.
    pub args: Vec<String>,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Command lines, one after the other; the first failure ends the step.
    Commands(Vec<Command>),
    /// A script, and the command line that interprets it if one was given.
    Script {
        /// The text.
        text: String,
        /// Command the script's path is appended to.
        command: Option<Command>,
    },
    /// The shell itself, with nothing to do.
    Nothing,
    /// Another DAG, as a run of its own for each item.
    Call(Box<Call>),
    /// A value that decides which of its targets run. The targets have the conditions; the step itself only shows
    /// the value.
    Route(Router),
}

/// A command line. `raw` is what a shell gets; `program` and `args` are its words for execution without a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// As written.
    pub raw: String,
    /// First word.
    pub program: String,
    /// Other words.
    pub args: Vec<String>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name, given or made; unique.
    pub name: String,
    /// Id for references.
    #[serde(default, skip_serializing_if = "is_default")]
    pub id: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub description: String,
    /// `type:` as written; empty for a command.
    #[serde(default, skip_serializing_if = "is_default")]
    pub type_name: String,
    /// What it runs.
    pub action: Action,
    /// Its own shell; setting one turns off the implied `-e` and the script's `#!` line (seed-spec 7.16).
    #[serde(default, skip_serializing_if = "is_default")]
    pub shell: Option<Shell>,
    /// Working directory as written; none is the DAG's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub working_dir: Option<String>,
    /// Environment, evaluated in order against what was there before the step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub env: Vec<EnvVar>,
    /// Positions of the steps it depends on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub depends: Vec<u32>,
    /// Captured output.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: Option<Output>,
    /// Further file for standard output, as written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stdout: Option<String>,
    /// Further file for standard error, as written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stderr: Option<String>,
    /// Where its streams go.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log_output: LogOutput,
    /// Which of its failures are tolerated.
    #[serde(default, skip_serializing_if = "is_default")]
    pub continue_on: ContinueOn,
    /// Retries.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: Option<RetryPolicy>,
    /// Repeats.
    #[serde(default, skip_serializing_if = "is_default")]
    pub repeat: Option<RepeatPolicy>,
    /// Time limit of one try in seconds; 0 is none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout_sec: u64,
    /// Signal that a stop sends instead of SIGTERM; its number.
    #[serde(default, skip_serializing_if = "is_default")]
    pub signal_on_stop: Option<i32>,
    /// Conditions for the step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preconditions: Vec<Condition>,
    /// Whether somebody must approve what it did before anything that depends on it starts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub approval: Option<Approval>,
}

/// Captured output of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The variable.
    pub name: String,
    /// Key among the collected outputs; none is the variable's name in camelCase.
    pub key: Option<String>,
    /// Whether it is left out of the collected outputs.
    pub omit: bool,
}

impl Dag {
    /// A DAG with that name, no steps and the default of everything else.
    #[must_use]
    pub fn new(name: DagName) -> Self {
        Self {
            name,
            group: String::new(),
            description: String::new(),
            kind: DagKind::default(),
            tags: Vec::new(),
            params: Params::default(),
            env: Vec::new(),
            dotenv: Vec::new(),
            working_dir: None,
            shell: None,
            log_output: LogOutput::default(),
            steps: Vec::new(),
            handlers: Vec::new(),
            preconditions: Vec::new(),
            timeout_sec: 0,
            delay_sec: 0,
            max_active_steps: 0,
            max_clean_up_time_sec: 5,
            max_output_size: 1024 * 1024,
            queue: None,
            max_active_runs: None,
            schedule: Schedules::default(),
            hist_retention_days: None,
            restart_wait_sec: 0,
            dotenv_implied: false,
            log_dir: None,
            scheduling: Scheduling::default(),
            secrets: Vec::new(),
            local_dags: Vec::new(),
            base_config: None,
            execution: Execution::default(),
        }
    }
}

impl Step {
    /// A step with that name and action, and the default of everything else.
    #[must_use]
    pub fn new(name: impl Into<String>, action: Action) -> Self {
        Self {
            name: name.into(),
            id: None,
            description: String::new(),
            type_name: String::new(),
            action,
            shell: None,
            working_dir: None,
            env: Vec::new(),
            depends: Vec::new(),
            output: None,
            stdout: None,
            stderr: None,
            log_output: LogOutput::default(),
            continue_on: ContinueOn::default(),
            retry: None,
            repeat: None,
            timeout_sec: 0,
            signal_on_stop: None,
            preconditions: Vec::new(),
            approval: None,
        }
    }
}
