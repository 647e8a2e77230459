//! A command line's words, as a shell would see them, for execution without a shell.

use super::types::Command;

/// Splits a command line into words: blanks separate; `'…'` is literal; in `"…"` a backslash escapes `"`, `\`,
/// `$` and a backtick; elsewhere it escapes any character. Text between backticks stays together, backticks
/// included, so that a command substitution is one word. A quote that is not closed reaches to the end.
#[must_use]
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match c {
            '\'' => word.extend(chars.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' if chars.peek().is_some_and(|c| matches!(c, '"' | '\\' | '$' | '`')) => {
                            word.extend(chars.next());
                        }
                        c => word.push(c),
                    }
                }
            }
            '`' => {
                word.push('`');
                let mut escaped = false;
                for c in chars.by_ref() {
                    word.push(c);
                    if c == '`' && !escaped {
                        break;
                    }
                    escaped = c == '\\' && !escaped;
                }
            }
            '\\' => word.extend(chars.next()),
            c => word.push(c),
        }
    }
    words.extend(word);
    words
}

impl Command {
    /// The command line `raw`, with its words.
    #[must_use]
    pub fn new(raw: impl Into<String>) -> Self {
        let raw = raw.into();
        let mut words = split(&raw).into_iter();
        Self {
            program: words.next().unwrap_or_default(),
            args: words.collect(),
            raw,
        }
    }
}
