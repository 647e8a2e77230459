//! Evaluation of texts at the moment of execution: variables, references to steps, command substitution,
//! conditions, and what a step's command line is.
//!
//! It is pure: it reads no file, starts nothing and knows no clock, so the single-threaded shim can call it at
//! any time. A command substitution is therefore resumable: evaluation looks up results in a [`Memo`]; when the
//! next one is not there it ends with [`Outcome::Pending`]. The caller runs that command (default shell, time
//! limit), appends the result, and evaluates again from the start. The same inputs always ask for the same
//! commands in the same order.
//!
//! A value never becomes code (W27): values are inserted once and not looked at again, and text that a shell will
//! run gets its values through the environment only, see [`shell_text()`].

mod calls;
mod condition;
pub mod dotenv;
mod expand;
mod invocation;
mod known;
mod layers;
mod numbers;
mod operators;
mod outputs;
mod reference;
mod scope;
mod shell_lexer;
mod shell_text;
mod shell_words;
mod working_dir;

#[cfg(test)]
mod tests;

use std::cell::Cell;

use crate::model::limits::PARALLEL_MAX;

pub use calls::{CallPlan, call_plan, items};
pub use condition::{OTHER_UNMET, OutputMatcher, Verdict, command_met, value_met};
pub use expand::expand;
pub(in crate::dag) use expand::{Braces, matching_braces};
pub use invocation::{Arg, Plan, PlanContext, Script, condition_plan, direct_argv, plan, shell_command};
pub use known::known;
pub use layers::{Identity, RunPieces, StepPieces, params_json, run_scope, step_scope};
pub use numbers::{seconds, whole};
pub use outputs::{camel_case, collect};
pub use scope::{Origin, Scope, StepRef, is_shell_name};
pub use shell_text::{Dialect, ShellText, shell_text};
pub use working_dir::working_dir;

/// Longest text that goes into an evaluation or comes out of it, in bytes.
pub const MAX_TEXT: usize = 1024 * 1024;
/// Deepest nesting of references (`${A:-${B:-...}}`).
pub const MAX_DEPTH: usize = 16;
/// Most bytes of values that one evaluation may take apart, so that its time is bounded.
pub const MAX_WORK: usize = 64 * 1024 * 1024;
/// Largest total of the values of one `env`, in bytes; no process could be given more.
pub const MAX_ENV_TOTAL: usize = 16 * 1024 * 1024;
/// Most command substitutions of one evaluation. Each one evaluates again from the start.
pub const MAX_SUBSTITUTIONS: usize = 256;
/// Longest `NAME=value` that execve(2) takes, in bytes without the final NUL (`MAX_ARG_STRLEN`: 32 pages of 4 KiB).
pub const MAX_ENV_ENTRY: usize = 128 * 1024 - 1;
/// Most bytes of an environment whose captured outputs are all in it: names, values, and 10 bytes more for each.
/// With the usual limit of the stack execve(2) takes 2 MiB, arguments included; half of it is left for them.
pub const MAX_ENV_OUTPUTS: usize = 1024 * 1024;
/// What an entry of the environment takes besides name and value: `=`, NUL and a pointer, in bytes.
const ENV_ENTRY_OVERHEAD: usize = 10;

/// Captured outputs of which none is left out, in bytes of the environment.
const ENV_OUTPUTS_KEPT: usize = 128 * 1024;

/// Why a text could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The text or its expansion is too long.
    #[error("expansion is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// References take apart too much.
    #[error("references take apart more than {MAX_WORK} bytes")]
    TooMuchWork,
    /// The values of an `env`, of a dotenv file, or of the items or parameters of a call are too long together.
    #[error("values of `{0}` are longer than {MAX_ENV_TOTAL} bytes together")]
    EnvTooLong(&'static str),
    /// References are nested too deeply.
    #[error("references are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// One evaluation asks for too many commands.
    #[error("more than {MAX_SUBSTITUTIONS} command substitutions in one evaluation")]
    TooManySubstitutions,
    /// A substituted command did not end with 0.
    #[error("command substitution `{command}` failed: {reason}")]
    Substitution {
        /// The command's text.
        command: String,
        /// Tail of its standard error, or how it ended.
        reason: String,
    },
    /// `${NAME:?message}` of a variable without a value.
    #[error("{name}: {message}")]
    Unset {
        /// The variable.
        name: String,
        /// What the text says about it.
        message: String,
    },
    /// A pattern is not a regular expression, or is too large.
    #[error("invalid pattern `{pattern}`: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A number is not a whole number in its range.
    #[error("{what}: `{text}` is `{value}`, not a whole number from 0 to {}", u32::MAX)]
    NotWhole {
        /// Which setting.
        what: &'static str,
        /// As written.
        text: String,
        /// As evaluated.
        value: String,
    },
    /// A working directory evaluates to nothing.
    #[error("working_dir `{0}` evaluates to an empty text; define the variable or name a directory")]
    EmptyDir(String),
    /// A working directory is not a path.
    #[error("working_dir `{0}` has a NUL byte")]
    NulInDir(String),
    /// `~` without a home directory.
    #[error("working_dir `{0}` needs HOME, which is not set")]
    NoHome(String),
    /// `~user`.
    #[error("working_dir `{0}` names another user's home; write the directory's path instead")]
    OtherHome(String),
    /// A value compared by a condition is too long.
    #[error("value of the condition is {size} bytes, more than the limit of {limit}")]
    ValueTooLong {
        /// Length in bytes.
        size: usize,
        /// The DAG's `max_output_size`.
        limit: usize,
    },
    /// A value cannot travel in the environment.
    #[error(
        "`{name}` is {size} bytes, more than an environment entry may hold ({MAX_ENV_ENTRY}); \
         read the step's log through ${{id.stdout}} instead"
    )]
    ValueTooLarge {
        /// The variable or reference.
        name: String,
        /// Its length in bytes.
        size: usize,
    },
    /// A captured output was left out of the environment, which has no room for all of them.
    #[error(
        "`{name}` ({size} bytes) is not in the environment, which would have more than {MAX_ENV_OUTPUTS} bytes with all \
         captured outputs, so the largest are left out; read the step's log through ${{id.stdout}} instead"
    )]
    NoRoom {
        /// The variable.
        name: String,
        /// Its length in bytes.
        size: usize,
    },
    /// The items of a parallel call come to none.
    #[error("parallel execution requires at least one item, and `{0}` comes to none")]
    NoItems(String),
    /// A parallel call has too many items.
    #[error("parallel execution exceeds maximum limit: {0} items, at most {PARALLEL_MAX}")]
    TooManyItems(usize),
    /// The target of a call evaluates to nothing.
    #[error("call `{0}` evaluates to an empty text; define the variable or name a DAG")]
    NoTarget(String),
    /// Parameters of a call cannot be taken apart.
    #[error("parameters `{text}` cannot be read: {reason}")]
    CallParams {
        /// As evaluated.
        text: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A command line has no program.
    #[error("command `{0}` evaluates to no program")]
    NoProgram(String),
}

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// Done.
    Ready(T),
    /// This command must run first; append its result to the memo and evaluate again.
    Pending(Box<Substitution>),
}

/// A command whose output an evaluation needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Substitution {
    /// What the default shell runs; see [`shell_command`].
    pub command: ShellText,
    /// Variables at that point; [`Scope::environ`] is its environment.
    pub scope: Scope,
}

/// Results of command substitutions so far: standard output, or the reason of the failure (tail of stderr).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memo {
    results: Vec<Result<String, String>>,
}

impl Memo {
    /// One without results.
    #[must_use]
    pub const fn new() -> Self {
        Self { results: Vec::new() }
    }

    /// Adds the result of the command that was pending: its output, which is trimmed here, or why it failed.
    pub fn push(&mut self, result: Result<String, String>) {
        self.results.push(result.map(|out| out.trim().to_owned()));
    }

    /// A reader at the first result. One evaluation, of one or of many texts, uses one cursor throughout.
    #[must_use]
    pub const fn cursor(&self) -> Cursor<'_> {
        self.cursor_at(0)
    }

    /// A reader that goes on where another one stood, see [`Cursor::position`].
    #[must_use]
    pub const fn cursor_at(&self, position: usize) -> Cursor<'_> {
        Cursor {
            memo: self,
            next: Cell::new(position),
        }
    }
}

/// The place in a [`Memo`] up to which an evaluation has used its results.
#[derive(Debug)]
pub struct Cursor<'a> {
    memo: &'a Memo,
    next: Cell<usize>,
}

impl<'a> Cursor<'a> {
    /// How many results it has used.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.next.get()
    }

    /// Goes on at a position that it had in an earlier evaluation of the same texts: what lies before it is not
    /// evaluated again.
    pub fn skip_to(&self, position: usize) {
        self.next.set(position);
    }

    fn take(&self) -> Result<Option<&'a Result<String, String>>, EvalError> {
        let at = self.next.get();
        if at >= MAX_SUBSTITUTIONS {
            return Err(EvalError::TooManySubstitutions);
        }
        let found = self.memo.results.get(at);
        if found.is_some() {
            self.next.set(at + 1);
        }
        Ok(found)
    }
}

/// Which variables and constructs an expansion knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Whether variables of the operating system's environment count; then an undefined one is empty.
    pub os: bool,
    /// Whether text between backticks is run.
    pub commands: bool,
}

impl Mode {
    /// Everything: values of `env`, working directories, conditions, numbers, paths.
    pub const FULL: Self = Self {
        os: true,
        commands: true,
    };
    /// User variables only; what is not defined stays as written (parameters of sub-DAGs, router values).
    pub const USER: Self = Self {
        os: false,
        commands: true,
    };
    /// Values in dotenv files: no commands.
    pub const DOTENV: Self = Self {
        os: true,
        commands: false,
    };
}

/// Why an evaluation ended early; inside this module only, so that `?` carries both reasons.
#[derive(Debug)]
enum Stop {
    Error(EvalError),
    Pending(Box<Substitution>),
}

impl From<EvalError> for Stop {
    fn from(e: EvalError) -> Self {
        Self::Error(e)
    }
}

fn settle<T>(result: Result<T, Stop>) -> Result<Outcome<T>, EvalError> {
    match result {
        Ok(value) => Ok(Outcome::Ready(value)),
        Err(Stop::Pending(what)) => Ok(Outcome::Pending(what)),
        Err(Stop::Error(e)) => Err(e),
    }
}

/// The part of a text between two byte positions; nothing if they are not on character boundaries.
fn cut(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

/// The text without NUL bytes, which neither arguments nor the environment can hold; shells drop them too.
fn without_nul(text: &str) -> String {
    if text.contains('\0') {
        text.replace('\0', "")
    } else {
        text.to_owned()
    }
}
