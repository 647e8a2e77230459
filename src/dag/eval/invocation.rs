//! What a step's action becomes: program, arguments, script (seed-spec 7.16).
//!
//! It is made anew at each try, so that a repeated step sees the values of that moment (W38).

use super::expand::expand_or_stop;
use super::shell_text::{Dialect, ShellText, shell_text};
use super::{Cursor, EvalError, MAX_ENV_ENTRY, Mode, Outcome, Scope, Stop, settle, without_nul};
use crate::dag::types::{Action, Command, Shell, Step};

/// The shell program that means none.
const DIRECT: &str = "direct";

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// As it is.
    Text(String),
    /// The path of the script file, once it is written.
    ScriptPath,
}

/// A script to write to a file before the start, mode 0700, and to remove afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its text.
    pub text: String,
    /// Whether its `#!` line says who runs it; the arguments already follow from it.
    pub shebang: bool,
}

/// A process to start, with nothing on standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Program and arguments. The program is looked up in the `PATH` of the step's environment; it is never empty.
    pub argv: Vec<Arg>,
    /// The script, if there is one.
    pub script: Option<Script>,
    /// Variables to put on top of [`Scope::environ`].
    pub extra_env: Vec<(String, String)>,
}

/// What a plan depends on besides the step.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext<'a> {
    /// The DAG's shell.
    pub dag_shell: Option<&'a Shell>,
    /// The configured shell; not `direct`.
    pub default_shell: &'a Shell,
    /// The step's scope.
    pub scope: &'a Scope,
}

/// The command with this index, from 0; nothing behind the last one. Only a list of commands has more than one.
///
/// - A command: `<shell> [args] [-e] -c <text>`. `-e` is for sh, bash, zsh, ksh, ash and dash, if the step has no shell of its own.
/// - A script: the interpreter of its `#!` line if the step has no shell of its own, else the shell, with the same rule for `-e`.
/// - A command and a script: the command's words with the script's path behind them.
/// - The shell `direct`: the words, each expanded in full and never split again. A script then goes to its `#!` line,
///   else to the default shell.
/// - Nothing: the shell.
///
/// A `-c` at the end of the shell's arguments is not doubled. A text too long for an argument goes through a script file.
///
/// # Errors
/// Evaluation failed, or a command line has no program.
pub fn plan(
    step: &Step,
    index: usize,
    context: &PlanContext<'_>,
    cursor: &Cursor<'_>,
) -> Result<Outcome<Option<Plan>>, EvalError> {
    settle(plan_or_stop(step, index, context, cursor))
}

fn plan_or_stop(
    step: &Step,
    index: usize,
    context: &PlanContext<'_>,
    cursor: &Cursor<'_>,
) -> Result<Option<Plan>, Stop> {
    let scope = context.scope;
    let command = match &step.action {
        Action::Commands(list) => match list.get(index) {
            Some(command) => Some(command),
            None => return Ok(None),
        },
        _ if index > 0 => return Ok(None),
        _ => None,
    };
    let shell = Interpreter::of(step.shell.as_ref(), context, cursor)?;
    Ok(Some(match (&step.action, command) {
        (_, Some(command)) => match shell {
            None => Plan::of(direct_words(command, scope, cursor)?),
            Some(shell) => shell.command(shell_text(&command.raw, scope, shell.dialect())?, shell.errexit()),
        },
        (
            Action::Script {
                text,
                command: Some(command),
            },
            _,
        ) => {
            let words = direct_words(command, scope, cursor)?;
            let dialect = words.first().map_or(Dialect::Other, |p| Dialect::of(p));
            script_plan(words, shell_text(text, scope, dialect)?, false)
        }
        (Action::Script { text, command: None }, _) => script(text, step.shell.as_ref(), shell, context)?,
        _ => {
            let shell = shell.unwrap_or_else(|| Interpreter::plain(context.default_shell));
            Plan::of(shell.words(false))
        }
    }))
}

fn script(
    text: &str,
    own: Option<&Shell>,
    shell: Option<Interpreter>,
    context: &PlanContext<'_>,
) -> Result<Plan, EvalError> {
    let own = own.is_some_and(|s| s.program != DIRECT);
    if let Some((words, dialect)) = shebang(text).filter(|_| !own) {
        return Ok(script_plan(
            words,
            shell_text(text, context.scope, dialect)?,
            true,
        ));
    }
    let shell = shell.unwrap_or_else(|| Interpreter::plain(context.default_shell));
    let words = shell.words(shell.errexit());
    Ok(script_plan(
        words,
        shell_text(text, context.scope, shell.dialect())?,
        false,
    ))
}

/// Interpreter and argument of a `#!` line, as the kernel takes it apart: all behind the first word is one argument.
fn shebang(text: &str) -> Option<(Vec<String>, Dialect)> {
    let line = text.strip_prefix("#!")?.lines().next()?.trim();
    let (program, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if program.is_empty() {
        return None;
    }
    let rest = rest.trim();
    let reader = if program.rsplit('/').next() == Some("env") {
        rest.split_whitespace()
            .find(|w| !w.starts_with('-') && !w.contains('='))
            .unwrap_or_default()
    } else {
        program
    };
    let words = [program, rest]
        .into_iter()
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
        .collect();
    Some((words, Dialect::of(reader)))
}

/// The words of a command for execution without a shell, each expanded in full, the operating system's variables
/// included.
///
/// # Errors
/// Evaluation failed, or the program is empty.
pub fn direct_argv(
    command: &Command,
    scope: &Scope,
    cursor: &Cursor<'_>,
) -> Result<Outcome<Vec<String>>, EvalError> {
    settle(direct_words(command, scope, cursor))
}

fn direct_words(command: &Command, scope: &Scope, cursor: &Cursor<'_>) -> Result<Vec<String>, Stop> {
    let mut words = Vec::with_capacity(1 + command.args.len());
    for word in std::iter::once(&command.program).chain(&command.args) {
        words.push(without_nul(&expand_or_stop(word, scope, Mode::FULL, cursor)?));
    }
    if words.first().is_none_or(String::is_empty) {
        return Err(EvalError::NoProgram(command.raw.clone()).into());
    }
    Ok(words)
}

/// How a condition without an expected value is run: `<shell> [args] -c <text>`, without `-e`; with the shell
/// `direct` the whole text is the program.
///
/// # Errors
/// Evaluation failed, or the text is empty.
pub fn condition_plan(
    text: &str,
    step_shell: Option<&Shell>,
    context: &PlanContext<'_>,
    cursor: &Cursor<'_>,
) -> Result<Outcome<Plan>, EvalError> {
    let make = || match Interpreter::of(step_shell, context, cursor)? {
        Some(shell) => Ok(shell.command(shell_text(text, context.scope, shell.dialect())?, false)),
        None => {
            let program = without_nul(&expand_or_stop(text, context.scope, Mode::FULL, cursor)?);
            if program.trim().is_empty() {
                return Err(EvalError::NoProgram(text.to_owned()).into());
            }
            Ok(Plan::of(vec![program]))
        }
    };
    settle(make())
}

/// How a shell runs a text, without `-e`: for command substitutions.
#[must_use]
pub fn shell_command(shell: &Shell, text: ShellText) -> Plan {
    Interpreter::plain(shell).command(text, false)
}

/// A shell whose words are evaluated.
#[derive(Debug)]
struct Interpreter {
    program: String,
    args: Vec<String>,
    /// Whether the step chose it.
    own: bool,
}

impl Interpreter {
    /// The shell in effect; none if it is `direct`.
    fn of(own: Option<&Shell>, context: &PlanContext<'_>, cursor: &Cursor<'_>) -> Result<Option<Self>, Stop> {
        let shell = own.or(context.dag_shell).unwrap_or(context.default_shell);
        if shell.program == DIRECT {
            return Ok(None);
        }
        let evaluate =
            |word: &String| expand_or_stop(word, context.scope, Mode::FULL, cursor).map(|w| without_nul(&w));
        let program = evaluate(&shell.program)?;
        if program.is_empty() {
            return Err(EvalError::NoProgram(shell.program.clone()).into());
        }
        let mut args = shell.args.iter().map(evaluate).collect::<Result<Vec<_>, _>>()?;
        args.retain(|a| !a.is_empty());
        Ok(Some(Self::new(program, args, own.is_some())))
    }

    fn plain(shell: &Shell) -> Self {
        let program = if shell.program == DIRECT {
            "sh"
        } else {
            &shell.program
        };
        Self::new(program.to_owned(), shell.args.clone(), false)
    }

    fn new(program: String, mut args: Vec<String>, own: bool) -> Self {
        // `bash -o pipefail -c` and `bash -ec` say where the text goes; it is put there anyway.
        let cluster = args.last().is_some_and(|a| {
            a.strip_prefix('-')
                .and_then(|f| f.strip_suffix('c'))
                .is_some_and(|f| f.bytes().all(|b| b.is_ascii_alphabetic()))
        });
        if let Some(last) = args
            .pop_if(|_| cluster)
            .map(|l| l.trim_end_matches('c').to_owned())
            && last != "-"
        {
            args.push(last);
        }
        Self { program, args, own }
    }

    fn dialect(&self) -> Dialect {
        Dialect::of(&self.program)
    }

    fn errexit(&self) -> bool {
        let name = self.program.rsplit('/').next().unwrap_or_default();
        !self.own
            && matches!(name, "sh" | "bash" | "zsh" | "ksh" | "ash" | "dash")
            && !self.args.iter().any(|a| a == "-e")
    }

    fn words(&self, errexit: bool) -> Vec<String> {
        let mut words = vec![self.program.clone()];
        words.extend(self.args.iter().cloned());
        if errexit {
            words.push("-e".to_owned());
        }
        words
    }

    fn command(&self, text: ShellText, errexit: bool) -> Plan {
        let mut words = self.words(errexit);
        // One argument is as long as one environment entry at most.
        if text.text.len() > MAX_ENV_ENTRY {
            return script_plan(words, text, false);
        }
        // Shells take a text like `-x` for an option.
        let blank = if self.dialect() != Dialect::Other && text.text.starts_with(['-', '+']) {
            " "
        } else {
            ""
        };
        words.extend(["-c".to_owned(), format!("{blank}{}", text.text)]);
        if !text.positional.is_empty() {
            // The first argument behind the text is `$0`.
            words.push(self.program.clone());
            words.extend(text.positional);
        }
        Plan {
            extra_env: text.extra_env,
            ..Plan::of(words)
        }
    }
}

impl Plan {
    fn of(words: Vec<String>) -> Self {
        Self {
            argv: words.into_iter().map(Arg::Text).collect(),
            script: None,
            extra_env: Vec::new(),
        }
    }
}

fn script_plan(words: Vec<String>, text: ShellText, shebang: bool) -> Plan {
    let mut plan = Plan::of(words);
    plan.argv.push(Arg::ScriptPath);
    plan.argv.extend(text.positional.into_iter().map(Arg::Text));
    plan.extra_env = text.extra_env;
    plan.script = Some(Script {
        text: text.text,
        shebang,
    });
    plan
}
