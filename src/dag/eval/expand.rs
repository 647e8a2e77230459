//! Expansion of a text that no shell will see (seed-spec 7.9, "all").
//!
//! One pass from left to right. In the seed each rule is a pass of its own over the result of the one before, so
//! that a value with backticks in it is run; here an inserted value is never looked at again (W27).

use std::collections::HashMap;

use super::reference::{JsonCache, name_len, parse_bare, parse_braced};
use super::shell_text::{Dialect, shell_text};
use super::{
    Cursor, EvalError, MAX_DEPTH, MAX_TEXT, Mode, Outcome, Scope, Stop, Substitution, cut, operators, settle,
};

/// Expands a text.
///
/// - `\$` is a literal `$`, and `` \` `` a literal backtick, if the number of backslashes is odd.
/// - `"${X}"` and `"${X.path}"` become the value as a JSON string, quotes included, if it is defined.
/// - `${id.stdout}`, `${X.path}`, `$X.path`: a step's property, else a place in the variable's JSON.
/// - `$X`, `${X}`: the value. In `'$X'` and `'${X}'` nothing is replaced.
/// - `` `command` ``: its output, trimmed. The command gets variables through its environment.
/// - `${X:-d}` `${X-d}` `${X:=d}` `${X=d}` `${X:?e}` `${X?e}` `${X:+a}` `${X+a}` `${X:0:3}` `${#X}` `${X%p}`
///   `${X%%p}` `${X#p}` `${X##p}` as in a shell; `:=` assigns nothing.
///
/// What is not defined stays as it is unless the mode includes the operating system's variables; then it is empty.
/// A dotted reference that leads nowhere, an unclosed `${` or backtick and an empty pair of backticks stay.
///
/// # Errors
/// A substitution failed, a `:?` variable has no value, a pattern is too large, or a limit was reached.
pub fn expand(
    text: &str,
    scope: &Scope,
    mode: Mode,
    cursor: &Cursor<'_>,
) -> Result<Outcome<String>, EvalError> {
    settle(expand_or_stop(text, scope, mode, cursor))
}

pub(super) fn expand_or_stop(
    text: &str,
    scope: &Scope,
    mode: Mode,
    cursor: &Cursor<'_>,
) -> Result<String, Stop> {
    Expander::new(scope, mode, cursor).text(text)
}

/// Expands texts in one scope. Those that one of them expands share the bound on work, and parse each value once.
pub(super) struct Expander<'a> {
    scope: &'a Scope,
    mode: Mode,
    cursor: &'a Cursor<'a>,
    json: JsonCache,
}

impl<'a> Expander<'a> {
    pub(super) fn new(scope: &'a Scope, mode: Mode, cursor: &'a Cursor<'a>) -> Self {
        Self {
            scope,
            mode,
            cursor,
            json: JsonCache::default(),
        }
    }

    pub(super) fn text(&mut self, text: &str) -> Result<String, Stop> {
        if text.len() > MAX_TEXT {
            return Err(EvalError::TooLong.into());
        }
        if !text.contains(['$', '`', '\\']) {
            return Ok(text.to_owned());
        }
        self.run(text, 0)
    }

    fn run(&mut self, text: &str, depth: usize) -> Result<String, Stop> {
        if depth > MAX_DEPTH {
            return Err(EvalError::TooDeep.into());
        }
        let bytes = text.as_bytes();
        let braces = matching_braces(text);
        let mut out = Output::default();
        let mut ticks_end = false;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|r| !r.is_empty()) {
            let plain = rest
                .iter()
                .position(|b| b"\\$`'\"".contains(b))
                .unwrap_or(rest.len());
            out.push(cut(text, at, at + plain))?;
            at += plain;
            let Some(special) = bytes.get(at) else { break };
            at = match special {
                b'\\' => self.backslashes(text, at, &mut out)?,
                b'\'' => self.single_quote(text, at, &braces, &mut out)?,
                b'"' => self.double_quote(text, at, &braces, &mut out)?,
                b'`' if self.mode.commands && !ticks_end => match closing_tick(bytes, at + 1) {
                    Some(end) => {
                        out.push(&self.command(cut(text, at + 1, end))?)?;
                        end + 1
                    }
                    None => {
                        ticks_end = true;
                        out.push("`")?;
                        at + 1
                    }
                },
                b'$' => self.dollar(text, at, &braces, depth, &mut out)?,
                _ => {
                    out.push("`")?;
                    at + 1
                }
            };
        }
        self.json.check()?;
        Ok(out.0)
    }

    fn backslashes(&self, text: &str, at: usize, out: &mut Output) -> Result<usize, Stop> {
        let bytes = text.as_bytes();
        let count = bytes.iter().skip(at).take_while(|b| **b == b'\\').count();
        let after = at + count;
        let escapes = match bytes.get(after) {
            Some(b'$') => true,
            Some(b'`') => self.mode.commands,
            _ => false,
        };
        if escapes && count % 2 == 1 {
            out.push(cut(text, at, after - 1))?;
            out.push(cut(text, after, after + 1))?;
            return Ok(after + 1);
        }
        out.push(cut(text, at, after))?;
        Ok(after)
    }

    fn single_quote(&self, text: &str, at: usize, braces: &Braces, out: &mut Output) -> Result<usize, Stop> {
        let end = reference_end(text, at + 1, braces)
            .filter(|end| text.as_bytes().get(*end) == Some(&b'\''))
            .filter(|end| parse_braced(interior(cut(text, at + 1, *end))).is_none());
        let next = end.map_or(at + 1, |end| end + 1);
        out.push(cut(text, at, next))?;
        Ok(next)
    }

    fn double_quote(
        &mut self,
        text: &str,
        at: usize,
        braces: &Braces,
        out: &mut Output,
    ) -> Result<usize, Stop> {
        let quoted = braces
            .get(&(at + 1))
            .filter(|close| text.as_bytes().get(**close + 1) == Some(&b'"'))
            .and_then(|close| Some((*close, self.value(cut(text, at + 3, *close))?)));
        if let Some((close, value)) = quoted {
            out.push(&serde_json::Value::String(value).to_string())?;
            return Ok(close + 2);
        }
        out.push("\"")?;
        Ok(at + 1)
    }

    fn dollar(
        &mut self,
        text: &str,
        at: usize,
        braces: &Braces,
        depth: usize,
        out: &mut Output,
    ) -> Result<usize, Stop> {
        if let Some(close) = braces.get(&at).copied() {
            let inside = cut(text, at + 2, close);
            match self.braced(inside, depth)? {
                Some(value) => out.push(&value)?,
                None => out.push(cut(text, at, close + 1))?,
            }
            return Ok(close + 1);
        }
        let rest = cut(text, at + 1, text.len());
        if let Some((dotted, len)) = parse_bare(rest)
            && let Some(value) = dotted.resolve(self.scope, self.mode.os, &mut self.json)
        {
            out.push(&value)?;
            return Ok(at + 1 + len);
        }
        let Some(len) = name_len(rest) else {
            out.push("$")?;
            return Ok(at + 1);
        };
        match self.scope.get(cut(rest, 0, len), self.mode.os) {
            Some(value) => out.push(value)?,
            None if self.mode.os => {}
            None => out.push(cut(text, at, at + 1 + len))?,
        }
        Ok(at + 1 + len)
    }

    /// What `${inside}` stands for; nothing if it stays as written.
    fn braced(&mut self, inside: &str, depth: usize) -> Result<Option<String>, Stop> {
        if let Some(value) = self.value(inside) {
            return Ok(Some(value));
        }
        if name_len(inside) == Some(inside.len()) {
            return Ok(self.mode.os.then(String::new));
        }
        let Some(form) = operators::parse(inside) else {
            return Ok(None);
        };
        let value = self.scope.get(form.name, self.mode.os).cloned();
        if value.is_none() && !self.mode.os {
            return Ok(None);
        }
        self.json.charge(value.as_ref().map_or(0, |v| v.len()));
        self.json.check()?;
        operators::apply(&form, value.as_deref(), |word| self.run(word, depth + 1)).map(Some)
    }

    fn value(&mut self, inside: &str) -> Option<String> {
        if let Some(value) = self.scope.get(inside, self.mode.os) {
            return Some(value.to_string());
        }
        parse_braced(inside)?.resolve(self.scope, self.mode.os, &mut self.json)
    }

    fn command(&self, raw: &str) -> Result<String, Stop> {
        if raw.is_empty() {
            return Ok("``".to_owned());
        }
        let text = raw.replace("\\`", "`");
        match self.cursor.take()? {
            Some(Ok(output)) => Ok(output.clone()),
            Some(Err(reason)) => Err(EvalError::Substitution {
                command: text,
                reason: reason.clone(),
            }
            .into()),
            None => {
                let command = shell_text(&text, self.scope, Dialect::Posix)?;
                Err(Stop::Pending(Box::new(Substitution {
                    command,
                    scope: self.scope.clone(),
                })))
            }
        }
    }
}

/// A text that may not grow over [`MAX_TEXT`].
#[derive(Default)]
struct Output(String);

impl Output {
    fn push(&mut self, more: &str) -> Result<(), EvalError> {
        if self.0.len() + more.len() > MAX_TEXT {
            return Err(EvalError::TooLong);
        }
        self.0.push_str(more);
        Ok(())
    }
}

/// Position of the `$` of each closed `${`, and that of its `}`.
pub(in crate::dag) type Braces = HashMap<usize, usize>;

/// Finds all pairs in one pass, so that many unclosed ones cost no more than closed ones.
pub(in crate::dag) fn matching_braces(text: &str) -> Braces {
    let mut open = Vec::new();
    let mut pairs = Braces::new();
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'$' if bytes.peek().is_some_and(|(_, b)| *b == b'{') => {
                bytes.next();
                open.push(at);
            }
            b'}' => {
                if let Some(start) = open.pop() {
                    pairs.insert(start, at);
                }
            }
            _ => {}
        }
    }
    pairs
}

/// End of the reference that begins with the `$` at this position.
fn reference_end(text: &str, at: usize, braces: &Braces) -> Option<usize> {
    if let Some(close) = braces.get(&at) {
        return Some(close + 1);
    }
    if text.as_bytes().get(at) != Some(&b'$') {
        return None;
    }
    name_len(cut(text, at + 1, text.len())).map(|len| at + 1 + len)
}

fn interior(reference: &str) -> &str {
    reference
        .strip_prefix("${")
        .and_then(|r| r.strip_suffix('}'))
        .unwrap_or(reference)
}

fn closing_tick(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'`' => return Some(at),
            _ => at += 1,
        }
    }
}
