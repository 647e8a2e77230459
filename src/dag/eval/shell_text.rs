//! Text that a shell will run: commands, scripts, commands of conditions, and what stands between backticks.

use std::collections::HashMap;

use super::reference::{Dotted, JsonCache, MAX_REFERENCE, name_len, parse_bare, parse_braced};
use super::shell_lexer::{Found, Rewrite, rewrite};
use super::{EvalError, MAX_ENV_ENTRY, MAX_TEXT, Scope, cut, is_shell_name, without_nul};

/// What kind of program reads the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A shell with the POSIX grammar.
    Posix,
    /// The same, with `$'...'`: bash, zsh, ksh.
    Extended,
    /// Anything else: Python, perl, shells with another grammar.
    Other,
}

impl Dialect {
    /// The dialect of a program, by the last part of its path.
    #[must_use]
    pub fn of(program: &str) -> Self {
        match program.rsplit('/').next().unwrap_or(program) {
            "sh" | "dash" | "ash" | "busybox" | "posh" | "yash" => Self::Posix,
            "bash" | "rbash" | "zsh" | "ksh" | "ksh93" | "mksh" => Self::Extended,
            _ => Self::Other,
        }
    }
}

/// Text for a shell, and how its values reach it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShellText {
    /// The text.
    pub text: String,
    /// Generated variables (`PROCTOR_REF_1`, ...) to put on top of [`Scope::environ`].
    pub extra_env: Vec<(String, String)>,
    /// Values of `$1`, `$2`, ...; empty if the text asks for none, since arguments can be seen by every user.
    pub positional: Vec<String>,
}

/// Prepares a text for a shell. No value is ever put into the text (W27).
///
/// What the shell understands is left to it: `$X`, `${X:-d}`, `$1`, backticks, `$(...)`. What it does not understand
/// is replaced by a reference to a generated variable, which has the value in the environment:
///
/// | written | where | becomes |
/// |---|---|---|
/// | `${id.stdout}`, `${X.path}`, `$X.path` | unquoted, in `"..."`, in a here-document | `${PROCTOR_REF_1}` |
/// | the same | in `'...'` | `'"${PROCTOR_REF_1}"'`, so the value is part of the word, literally |
/// | the same | in `-c '...'`, `eval '...'` | `${PROCTOR_REF_1}`, for the inner shell to read |
/// | `${a-b}` with a user variable `a-b`, a name that no shell can hold | as above | as above |
///
/// So a reference behaves like a shell variable at its place: quoted it is one word, unquoted its value is split at
/// blanks (but not parsed: no quotes, operators or substitutions). Single quotes are closed for it, since documents
/// rely on `echo 'code ${id.exit_code}'`; but not in what another shell will run, where the value would become code.
/// Untouched are escaped references (`\${...}`), comments, here-documents with a quoted
/// delimiter, and what leads nowhere.
///
/// NUL bytes are left out, as shells do: an argument cannot hold them.
///
/// In text for another program ([`Dialect::Other`]) nothing is replaced but `${id.stdout}`, `${id.stderr}` and
/// `${id.exit_code}`: Proctor makes these values itself, and they are inserted if they consist of harmless characters only.
///
/// # Errors
/// The text is too long, or a referenced value is longer than an environment entry may be.
pub fn shell_text(text: &str, scope: &Scope, dialect: Dialect) -> Result<ShellText, EvalError> {
    if text.len() > MAX_TEXT {
        return Err(EvalError::TooLong);
    }
    if dialect == Dialect::Other {
        return other_text(text, scope);
    }
    let mut references = References::new(scope);
    let Rewrite { text, positional } = rewrite(text, dialect == Dialect::Extended, &mut references)?;
    if text.len() > MAX_TEXT {
        return Err(EvalError::TooLong);
    }
    mentions_left_out(&text, scope)?;
    Ok(ShellText {
        text: without_nul(&text),
        extra_env: references.values,
        positional: if positional {
            scope.positional()
        } else {
            Vec::new()
        },
    })
}

/// Text that says `${X}` of a variable that was left out of the environment would silently see it empty.
fn mentions_left_out(text: &str, scope: &Scope) -> Result<(), EvalError> {
    let left_out = scope.left_out();
    if left_out.is_empty() {
        return Ok(());
    }
    for behind in text.split('$').skip(1) {
        let name = match behind.strip_prefix('{') {
            Some(inside) => inside.strip_prefix(['#', '!']).unwrap_or(inside),
            None => behind,
        };
        let name = cut(name, 0, name_len(name).unwrap_or(0));
        if let Some(error) = left_out.get(name) {
            return Err(error.clone());
        }
    }
    Ok(())
}

/// The generated variables of one text.
pub(super) struct References<'a> {
    scope: &'a Scope,
    values: Vec<(String, String)>,
    by_text: HashMap<String, usize>,
    json: JsonCache,
}

impl<'a> References<'a> {
    fn new(scope: &'a Scope) -> Self {
        Self {
            scope,
            values: Vec::new(),
            by_text: HashMap::new(),
            json: JsonCache::default(),
        }
    }

    /// The reference at the start of a text that begins with `$`, if the shell needs help with it.
    pub(super) fn find(&mut self, text: &str) -> Result<Option<Found>, EvalError> {
        let found = self.lookup(text);
        self.json.check()?;
        let Some((written, value)) = found else {
            return Ok(None);
        };
        let number = match self.by_text.get(written) {
            Some(number) => *number,
            None => {
                let size = value.len();
                if size + "PROCTOR_REF_".len() + 20 > MAX_ENV_ENTRY {
                    return Err(EvalError::ValueTooLarge {
                        name: written.to_owned(),
                        size,
                    });
                }
                let number = self.values.len() + 1;
                self.values
                    .push((format!("PROCTOR_REF_{number}"), without_nul(&value)));
                self.by_text.insert(written.to_owned(), number);
                number
            }
        };
        Ok(Some(Found {
            len: written.len(),
            replacement: format!("${{PROCTOR_REF_{number}}}"),
        }))
    }

    fn lookup<'t>(&mut self, text: &'t str) -> Option<(&'t str, String)> {
        if let Some(inside) = braced_interior(text) {
            if name_len(inside) == Some(inside.len()) {
                return None;
            }
            let value = match self.scope.get(inside, false) {
                Some(value) if !is_shell_name(inside) => value.to_string(),
                _ => self.resolve(&parse_braced(inside)?)?,
            };
            return Some((cut(text, 0, inside.len() + 3), value));
        }
        let (dotted, len) = parse_bare(text.strip_prefix('$')?)?;
        Some((cut(text, 0, len + 1), self.resolve(&dotted)?))
    }

    fn resolve(&mut self, dotted: &Dotted<'_>) -> Option<String> {
        dotted.resolve(self.scope, false, &mut self.json)
    }
}

/// What is in the braces of `${...}` at the start of the text, if nothing in it is itself shell syntax.
fn braced_interior(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("${")?;
    let end = inside
        .bytes()
        .take(MAX_REFERENCE)
        .position(|b| b"}${`\\\n'".contains(&b))?;
    (inside.as_bytes().get(end) == Some(&b'}'))
        .then(|| cut(inside, 0, end))
        .filter(|i| !i.is_empty())
}

fn other_text(text: &str, scope: &Scope) -> Result<ShellText, EvalError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let value = braced_interior(tail)
            .filter(|_| !before.ends_with('\\'))
            .and_then(|inside| Some((inside, parse_braced(inside)?.resolve_step(scope)?)))
            .filter(|(_, value)| value.bytes().all(is_harmless));
        let used = match value {
            Some((inside, value)) => {
                out.push_str(&value);
                inside.len() + 3
            }
            None => {
                out.push_str("${");
                2
            }
        };
        rest = tail.get(used..).unwrap_or_default();
        if out.len() > MAX_TEXT {
            return Err(EvalError::TooLong);
        }
    }
    out.push_str(rest);
    if out.len() > MAX_TEXT {
        return Err(EvalError::TooLong);
    }
    Ok(ShellText {
        text: without_nul(&out),
        ..ShellText::default()
    })
}

fn is_harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&byte)
}
