//! Words of shell text that the lexer must know: delimiters of here-documents, and text for another shell.

use std::collections::VecDeque;

use super::cut;
use super::shell_text::Dialect;

/// A here-document that was announced.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) delimiter: String,
    pub(super) strip_tabs: bool,
    pub(super) quoted: bool,
}

/// A here-document that is being read.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) end: usize,
    pub(super) after: usize,
    pub(super) depth: usize,
    pub(super) waiting: VecDeque<Pending>,
}

/// The delimiter word: its text without quotes, its length as written, and whether any of it was quoted.
pub(super) fn delimiter(text: &str) -> (String, usize, bool) {
    let mut word = String::new();
    let mut quoted = false;
    let mut quote = None;
    let mut escaped = false;
    let mut len = 0;
    for c in text.chars() {
        match (c, quote) {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            ('\\', None) => {
                quoted = true;
                escaped = true;
            }
            ('\'' | '"', None) => {
                quoted = true;
                quote = Some(c);
            }
            (_, Some(q)) if c == q => quote = None,
            ('\n', _) | (' ' | '\t' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`', None) => break,
            _ => word.push(c),
        }
        len += c.len_utf8();
    }
    (word, len, quoted)
}

/// Where the body ends and where the line after the delimiter begins.
pub(super) fn heredoc_end(src: &str, from: usize, limit: usize, pending: &Pending) -> (usize, usize) {
    let mut at = from;
    while at < limit {
        let rest = cut(src, at, limit);
        let len = rest.find('\n').map_or(rest.len(), |n| n + 1).max(1);
        let line = cut(src, at, at + len).trim_end_matches('\n');
        let line = if pending.strip_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        if line == pending.delimiter {
            return (at, at + len);
        }
        at += len;
    }
    (limit, limit)
}

/// How far back the words of a command are looked for, in bytes.
const LOOK_BACK: usize = 256;

/// Whether the word that begins here is text for another shell: the argument of `eval`, or of `-c` (also `-ec` and
/// the like) of a shell or of a program that hands it to one.
pub(super) fn code_follows(src: &str, at: usize) -> bool {
    let bytes = src.as_bytes().get(..at).unwrap_or_default();
    let tail = bytes
        .get(bytes.len().saturating_sub(LOOK_BACK)..)
        .unwrap_or_default();
    let command = tail
        .rsplit(|b| b";&|()`\n".contains(b))
        .next()
        .unwrap_or_default();
    if !command.last().is_some_and(|b| *b == b' ' || *b == b'\t') {
        return false;
    }
    let mut words = command
        .split(u8::is_ascii_whitespace)
        .rev()
        .filter(|w| !w.is_empty());
    match words.next() {
        Some(b"eval") => true,
        Some(option) if option.starts_with(b"-") && option.ends_with(b"c") => words.any(is_shell),
        _ => false,
    }
}

fn is_shell(word: &[u8]) -> bool {
    let name = str::from_utf8(word).unwrap_or_default();
    Dialect::of(name) != Dialect::Other
        || matches!(
            name.rsplit('/').next(),
            Some("su" | "runuser" | "flock" | "script")
        )
}
