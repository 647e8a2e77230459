//! As much of the shell's grammar as is needed to know in which quotes a reference stands (POSIX.1-2024, 2.2, 2.3, 2.7.4).
//!
//! If it loses its way in a rare construct (an unbalanced `)` of a `case` inside `$(...)`), a reference may be quoted wrongly;
//! a value cannot become code by it, because values are not in the text.

use std::collections::VecDeque;

use super::shell_text::References;
use super::shell_words::{Open, Pending, code_follows, delimiter, heredoc_end};
use super::{EvalError, MAX_DEPTH, cut};

/// A reference and what stands for it.
#[derive(Debug)]
pub(super) struct Found {
    /// Its length in bytes.
    pub(super) len: usize,
    /// Shell text of the same value.
    pub(super) replacement: String,
}

/// The rewritten text.
#[derive(Debug)]
pub(super) struct Rewrite {
    pub(super) text: String,
    /// Whether `$1`, `$@` or the like occur.
    pub(super) positional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// Commands; the number of open parentheses, of which the last one closed ends it, unless it is the outermost.
    Plain(usize),
    /// `...` in backticks.
    Tick,
    /// `'...'`.
    Single,
    /// `'...'` behind `-c` or `eval`: text for another shell.
    SingleCode,
    /// `$'...'`.
    Ansi,
    Double,
    /// `${...}`, and whether it is within double quotes.
    Param(bool),
    /// `$((...))`, with the number of open parentheses.
    Arith(usize),
    Heredoc,
}

struct Lexer<'t> {
    src: &'t str,
    at: usize,
    out: Vec<u8>,
    stack: Vec<Context>,
    ticks: usize,
    ansi: bool,
    waiting: VecDeque<Pending>,
    open: Vec<Open>,
    positional: bool,
}

/// Replaces what `references` finds, each according to its quotes.
pub(super) fn rewrite(src: &str, ansi: bool, references: &mut References<'_>) -> Result<Rewrite, EvalError> {
    let mut lexer = Lexer {
        src,
        at: 0,
        out: Vec::with_capacity(src.len()),
        stack: vec![Context::Plain(0)],
        ticks: 0,
        ansi,
        waiting: VecDeque::new(),
        open: Vec::new(),
        positional: false,
    };
    loop {
        lexer.end_heredocs();
        let Some(byte) = lexer.peek(0) else { break };
        lexer.step(byte, references)?;
    }
    let text =
        String::from_utf8(lexer.out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
    Ok(Rewrite {
        text,
        positional: lexer.positional,
    })
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.src.as_bytes().get(self.at + ahead).copied()
    }

    fn rest(&self) -> &str {
        cut(self.src, self.at, self.src.len())
    }

    fn top(&self) -> Context {
        self.stack.last().copied().unwrap_or(Context::Plain(0))
    }

    fn copy(&mut self, count: usize) {
        let end = (self.at + count).min(self.src.len());
        self.out
            .extend_from_slice(self.src.as_bytes().get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    fn push(&mut self, context: Context, opening: usize) {
        if context == Context::Tick {
            self.ticks += 1;
        }
        self.copy(opening);
        self.stack.push(context);
    }

    fn pop(&mut self) {
        if self.stack.len() > 1 && self.stack.pop() == Some(Context::Tick) {
            self.ticks -= 1;
        }
    }

    fn set_top(&mut self, context: Context) {
        if let Some(top) = self.stack.last_mut() {
            *top = context;
        }
    }

    /// Whether quotes mean something here.
    fn quotes_work(&self) -> bool {
        matches!(
            self.top(),
            Context::Plain(_) | Context::Tick | Context::Param(false)
        )
    }

    fn step(&mut self, byte: u8, references: &mut References<'_>) -> Result<(), EvalError> {
        if byte == b'$' {
            return self.dollar(references);
        }
        match self.top() {
            Context::Single | Context::SingleCode => {
                self.copy(1);
                if byte == b'\'' {
                    self.pop();
                }
            }
            Context::Ansi => {
                self.copy(if byte == b'\\' { 2 } else { 1 });
                if byte == b'\'' {
                    self.pop();
                }
            }
            _ => self.active(byte),
        }
        Ok(())
    }

    fn active(&mut self, byte: u8) {
        let top = self.top();
        match byte {
            b'\\' => self.copy(2),
            b'`' if self.ticks > 0 => {
                while self.stack.len() > 1 && self.top() != Context::Tick {
                    self.pop();
                }
                self.pop();
                self.copy(1);
            }
            b'`' => self.push(Context::Tick, 1),
            b'"' if top == Context::Double => {
                self.pop();
                self.copy(1);
            }
            b'"' if self.quotes_work() || matches!(top, Context::Param(_)) => self.push(Context::Double, 1),
            b'\'' if self.quotes_work() => {
                let code = code_follows(self.src, self.at);
                let context = if code {
                    Context::SingleCode
                } else {
                    Context::Single
                };
                self.push(context, 1);
            }
            b'}' if matches!(top, Context::Param(_)) => {
                self.pop();
                self.copy(1);
            }
            b'(' | b')' => self.parenthesis(byte),
            b'#' if self.at_comment() => self.comment(),
            b'<' if matches!(top, Context::Plain(_) | Context::Tick) => self.less(),
            b'\n' if matches!(top, Context::Plain(_) | Context::Tick) => {
                self.copy(1);
                self.start_heredocs();
            }
            _ => self.copy(1),
        }
    }

    fn parenthesis(&mut self, byte: u8) {
        let outermost = self.stack.len() == 1;
        match (self.top(), byte) {
            (Context::Plain(n), b'(') => self.set_top(Context::Plain(n + 1)),
            (Context::Arith(n), b'(') => self.set_top(Context::Arith(n + 1)),
            (Context::Plain(n) | Context::Arith(n), _) if n <= 1 && !outermost => self.pop(),
            (Context::Plain(n), _) => self.set_top(Context::Plain(n.saturating_sub(1))),
            (Context::Arith(n), _) => self.set_top(Context::Arith(n - 1)),
            _ => {}
        }
        self.copy(1);
    }

    fn dollar(&mut self, references: &mut References<'_>) -> Result<(), EvalError> {
        let top = self.top();
        if let Some(found) = references.find(self.rest())? {
            let (before, after) = match top {
                Context::Single => ("'\"", "\"'"),
                Context::Ansi => ("'\"", "\"$'"),
                _ => ("", ""),
            };
            for part in [before, &found.replacement, after] {
                self.out.extend_from_slice(part.as_bytes());
            }
            self.at += found.len;
            return Ok(());
        }
        if matches!(top, Context::Single | Context::SingleCode | Context::Ansi) {
            self.copy(1);
            return Ok(());
        }
        self.positional |= asks_for_arguments(self.peek(1), self.peek(2));
        let quoted = !self.quotes_work();
        match (self.peek(1), self.peek(2)) {
            (Some(b'('), Some(b'(')) => self.push(Context::Arith(2), 3),
            (Some(b'('), _) => self.push(Context::Plain(1), 2),
            (Some(b'{'), Some(b'#')) => self.push(Context::Param(quoted), 3),
            (Some(b'{'), _) => self.push(Context::Param(quoted), 2),
            (Some(b'\''), _) if self.ansi && !quoted => self.push(Context::Ansi, 2),
            (Some(b'#' | b'$'), _) => self.copy(2),
            _ => self.copy(1),
        }
        Ok(())
    }

    fn at_comment(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|i| self.src.as_bytes().get(i));
        matches!(self.top(), Context::Plain(_) | Context::Tick)
            && before.is_none_or(|b| b" \t\n;&|()`".contains(b))
    }

    fn comment(&mut self) {
        let limit = self.open.last().map_or(self.src.len(), |o| o.end).max(self.at);
        let ends: &[u8] = if self.ticks > 0 { b"\n`" } else { b"\n" };
        let text = self.src.as_bytes().get(self.at..limit).unwrap_or_default();
        let len = text.iter().position(|b| ends.contains(b)).unwrap_or(text.len());
        self.copy(len.max(1));
    }

    /// `<`, `<<<` or the operator of a here-document, whose delimiter is read and remembered.
    fn less(&mut self) {
        if self.rest().starts_with("<<<") {
            return self.copy(3);
        }
        let Some(after) = self.rest().strip_prefix("<<") else {
            return self.copy(1);
        };
        let strip_tabs = after.starts_with('-');
        let after = after.get(usize::from(strip_tabs)..).unwrap_or_default();
        let blanks = after.bytes().take_while(|b| *b == b' ' || *b == b'\t').count();
        let (delimiter, len, quoted) = delimiter(after.get(blanks..).unwrap_or_default());
        if len == 0 {
            return self.copy(2);
        }
        self.waiting.push_back(Pending {
            delimiter,
            strip_tabs,
            quoted,
        });
        self.copy(2 + usize::from(strip_tabs) + blanks + len);
    }

    /// At the start of a line: reads the here-documents that were announced before it.
    fn start_heredocs(&mut self) {
        // Each level may look through the rest of the text for its end.
        if self.open.len() >= MAX_DEPTH {
            self.waiting.clear();
        }
        while let Some(pending) = self.waiting.pop_front() {
            let limit = self.open.last().map_or(self.src.len(), |o| o.end).max(self.at);
            let (end, after) = heredoc_end(self.src, self.at, limit, &pending);
            if pending.quoted {
                self.copy(after - self.at);
                continue;
            }
            let waiting = std::mem::take(&mut self.waiting);
            self.open.push(Open {
                end,
                after,
                depth: self.stack.len(),
                waiting,
            });
            self.stack.push(Context::Heredoc);
            return;
        }
    }

    fn end_heredocs(&mut self) {
        while self.open.last().is_some_and(|o| self.at >= o.end) {
            let Some(open) = self.open.pop() else { return };
            while self.stack.len() > open.depth {
                self.pop();
            }
            self.waiting = open.waiting;
            self.copy(open.after.saturating_sub(self.at));
            self.start_heredocs();
        }
    }
}

fn asks_for_arguments(first: Option<u8>, second: Option<u8>) -> bool {
    let asks = |b: Option<u8>| b.is_some_and(|b| matches!(b, b'1'..=b'9' | b'@' | b'*' | b'#'));
    asks(first) || (first == Some(b'{') && (asks(second) || second == Some(b'!')))
}
