//! Dotenv files: `NAME=value` lines, as common tools write and read them.
//!
//! Values are only taken apart here; references in them are expanded by [`super::expand()`] with
//! [`super::Mode::DOTENV`], unless the entry is literal.

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name.
    pub name: String,
    /// Value; still to be expanded unless it is literal.
    pub value: String,
    /// Whether it stood in single quotes and is taken as it is.
    pub literal: bool,
}

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Most entries that are taken from one file.
pub const MAX_ENTRIES: usize = 10_000;
/// Most warnings about one file.
const MAX_WARNINGS: usize = 20;

/// Reads the text of a dotenv file. What cannot be read is left out with a warning; the rest counts.
///
/// `export NAME=v`, `NAME = v`, `NAME: v`; `# comment` on its own line or after a blank; single quotes (literal, may
/// span lines), double quotes (may span lines, with `\n \r \t \" \\`), no quotes (trimmed).
#[must_use]
pub fn parse(text: &str) -> (Vec<Entry>, Vec<Warning>) {
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    };
    let mut entries = Vec::new();
    let mut warnings = Vec::new();
    while !reader.rest.is_empty() {
        let line = reader.line;
        match reader.entry() {
            Ok(Some(_)) if entries.len() == MAX_ENTRIES => {
                warnings.push(Warning {
                    line,
                    reason: "too many entries; the rest is left out",
                });
                break;
            }
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => {}
            Err(reason) => {
                if warnings.len() < MAX_WARNINGS {
                    warnings.push(Warning { line, reason });
                }
            }
        }
    }
    (entries, warnings)
}

struct Reader<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Reader<'t> {
    fn take(&mut self, len: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.line += taken.bytes().filter(|b| *b == b'\n').count();
        self.rest = rest;
        taken
    }

    fn take_line(&mut self) -> &'t str {
        let len = self.rest.find('\n').map_or(self.rest.len(), |n| n + 1);
        self.take(len).trim_end_matches(['\n', '\r'])
    }

    fn entry(&mut self) -> Result<Option<Entry>, &'static str> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let start = line.trim_start();
        if start.is_empty() || start.starts_with('#') {
            self.take_line();
            return Ok(None);
        }
        let declared = start
            .strip_prefix("export")
            .filter(|after| after.starts_with([' ', '\t']))
            .map_or(start, str::trim_start);
        let Some(sign) = declared.find(['=', ':']) else {
            self.take_line();
            return Err("no `=` after the name");
        };
        let name = declared.get(..sign).unwrap_or_default().trim_end().to_owned();
        if !is_name(&name) {
            self.take_line();
            return Err("not a variable name before the `=`");
        }
        let value = declared
            .get(sign + 1..)
            .unwrap_or_default()
            .trim_start_matches([' ', '\t']);
        self.take(line.len() - value.len());
        match value.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(name, quote).map(Some),
            _ => Ok(Some(Entry {
                name,
                value: unquoted(self.take_line()).to_owned(),
                literal: false,
            })),
        }
    }

    fn quoted(&mut self, name: String, quote: char) -> Result<Entry, &'static str> {
        let body = self.rest.get(1..).unwrap_or_default();
        let Some(len) = closing(body, quote) else {
            self.take_line();
            return Err("the quotes are not closed");
        };
        let raw = body.get(..len).unwrap_or_default();
        let value = if quote == '"' {
            unescape(raw)
        } else {
            raw.to_owned()
        };
        self.take(len + 2);
        let tail = self.take_line().trim();
        if !tail.is_empty() && !tail.starts_with('#') {
            return Err("text after the closing quote");
        }
        Ok(Entry {
            name,
            value,
            literal: quote == '\'',
        })
    }
}

fn is_name(name: &str) -> bool {
    name.chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn closing(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// A value without quotes ends at a `#` that follows a blank.
fn unquoted(value: &str) -> &str {
    let bytes = value.as_bytes();
    let comment = value
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|at| *at == 0 || bytes.get(at - 1).is_some_and(|b| *b == b' ' || *b == b'\t'));
    value
        .get(..comment.unwrap_or(value.len()))
        .unwrap_or(value)
        .trim()
}

/// Escapes of double quotes; `\$` is left for the expansion, which knows it too.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('"') => out.push('"'),
            // A pair stays a pair before a `$`, where the expansion counts them.
            Some('\\') if !chars.as_str().starts_with('$') => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}
