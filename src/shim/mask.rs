//! Replaces the values of secrets in text with `*******`.
//!
//! It is an automaton of Aho and Corasick: one look at each byte, however many values there are. Everything that an
//! occurrence of a value covers is replaced, so of values that overlap or contain one another nothing is left;
//! occurrences that overlap become one mask, those that only touch become one each.
//!
//! A value is also looked for without the white space around it, since captured output is trimmed, and in the form that
//! a JSON text has. Of a value of several lines each line, and of a JSON value each text in it, is replaced where it
//! stands alone, if it has [`PART_MIN`] bytes: shorter ones are too often something else.

use std::collections::VecDeque;

/// What stands for a value.
pub(super) const MASK: &str = "*******";
/// Fewest bytes of a part of a value that is replaced where it stands alone.
const PART_MIN: usize = 8;

/// A state of the automaton: a beginning of some value.
#[derive(Clone, Copy, Default)]
struct State {
    /// The last byte of that beginning.
    byte: u8,
    /// The first state that is one byte longer, and the next one that is like this but for the last byte; 0 is none.
    child: u32,
    sibling: u32,
    /// The state of the longest proper end of this beginning.
    fallback: u32,
    /// Its length.
    depth: u32,
    /// Length of the longest value that is an end of it; 0 is none.
    found: u32,
}

/// Knows the values to replace.
pub(super) struct Masker {
    states: Vec<State>,
    /// The states of one byte.
    roots: Box<[u32; 256]>,
    longest: usize,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The states spell the values.
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}

impl Masker {
    /// One for these values; none if there is nothing to replace. Empty values and white space alone are no secrets, and
    /// values of asterisks alone look like what would stand for them.
    pub(super) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut masker = Self {
            states: vec![State::default()],
            roots: Box::new([0; 256]),
            longest: 0,
        };
        for value in values.into_iter().filter(|value| !value.trim().is_empty()) {
            forms(value, &mut |form| masker.add(form.as_bytes()));
        }
        masker.link();
        (masker.longest > 0).then_some(masker)
    }

    /// Length of the longest text that is looked for.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// The text with all values replaced.
    pub(super) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.end_of(text.as_bytes(), text.len())).into_owned()
    }

    /// Whether there is a value in the text.
    pub(super) fn finds(&self, text: &str) -> bool {
        let mut at = 0;
        text.bytes().any(|byte| {
            at = self.step(at, byte);
            self.state(at).found > 0
        })
    }

    /// The last `last` bytes, with all values replaced, also one that begins before them. `bytes` reaches
    /// [`Masker::longest`] bytes further back, or to the beginning of the text.
    pub(super) fn end_of(&self, bytes: &[u8], last: usize) -> Vec<u8> {
        let mut stream = Stream {
            silent: position(bytes.len().saturating_sub(last)),
            ..Stream::default()
        };
        let mut out = Vec::with_capacity(last);
        stream.feed(self, bytes, &mut out);
        stream.finish(&mut out);
        out
    }

    fn state(&self, at: u32) -> State {
        let at = usize::try_from(at).unwrap_or(0);
        self.states.get(at).copied().unwrap_or_default()
    }

    fn state_mut(&mut self, at: u32) -> Option<&mut State> {
        self.states.get_mut(usize::try_from(at).ok()?)
    }

    /// The state one byte longer; 0 is none.
    fn child(&self, of: u32, byte: u8) -> u32 {
        if of == 0 {
            return self.roots.get(usize::from(byte)).copied().unwrap_or(0);
        }
        let mut at = self.state(of).child;
        while at != 0 {
            let state = self.state(at);
            if state.byte == byte {
                break;
            }
            at = state.sibling;
        }
        at
    }

    fn add(&mut self, form: &[u8]) {
        if form.iter().all(|byte| *byte == b'*') {
            return;
        }
        let mut at = 0;
        for byte in form {
            let next = self.child(at, *byte);
            at = if next == 0 { self.push(at, *byte) } else { next };
        }
        if let Some(state) = self.state_mut(at) {
            state.found = state.depth;
        }
        self.longest = self.longest.max(form.len());
    }

    fn push(&mut self, parent: u32, byte: u8) -> u32 {
        let new = u32::try_from(self.states.len()).unwrap_or(0);
        let above = self.state(parent);
        self.states.push(State {
            byte,
            depth: above.depth + 1,
            sibling: if parent == 0 { 0 } else { above.child },
            ..State::default()
        });
        if parent == 0 {
            if let Some(root) = self.roots.get_mut(usize::from(byte)) {
                *root = new;
            }
        } else if let Some(parent) = self.state_mut(parent) {
            parent.child = new;
        }
        new
    }

    /// Finds the fallbacks, shorter states first.
    fn link(&mut self) {
        let mut open: VecDeque<u32> = self.roots.iter().copied().filter(|root| *root != 0).collect();
        while let Some(at) = open.pop_front() {
            let above = self.state(at).fallback;
            let mut next = self.state(at).child;
            while next != 0 {
                let child = self.state(next);
                let fallback = self.step(above, child.byte);
                let found = child.found.max(self.state(fallback).found);
                if let Some(child) = self.state_mut(next) {
                    child.fallback = fallback;
                    child.found = found;
                }
                open.push_back(next);
                next = child.sibling;
            }
        }
    }

    /// How many of the bytes are of no value, where none has begun before: the quick way over what is most of the text.
    fn plain(&self, bytes: &[u8]) -> usize {
        let mut rest = bytes.iter().enumerate();
        let begun = rest.position(|(at, byte)| {
            let root = self.child(0, *byte);
            // Many bytes begin a value; far fewer do with the byte behind them.
            let goes_on = |next: &u8| self.child(root, *next) != 0 || self.state(root).found > 0;
            root != 0 && bytes.get(at + 1).is_none_or(goes_on)
        });
        begun.unwrap_or(bytes.len())
    }

    /// The state after one more byte.
    fn step(&self, mut at: u32, byte: u8) -> u32 {
        loop {
            let next = self.child(at, byte);
            if next != 0 || at == 0 {
                return next;
            }
            at = self.state(at).fallback;
        }
    }
}

/// The texts to look for because of one value.
fn forms(value: &str, add: &mut impl FnMut(&str)) {
    add(value);
    add(value.trim());
    let json = serde_json::Value::String(value.to_owned()).to_string();
    add(json.get(1..json.len() - 1).unwrap_or_default());
    let mut part = |text: &str| {
        if text.len() >= PART_MIN {
            add(text);
        }
    };
    for line in value.lines() {
        part(line.trim());
    }
    if value.trim_start().starts_with(['{', '[', '"'])
        && let Ok(json) = serde_json::from_str::<serde_json::Value>(value)
    {
        let mut open = vec![&json];
        while let Some(json) = open.pop() {
            match json {
                serde_json::Value::String(text) => part(text.trim()),
                serde_json::Value::Array(items) => open.extend(items),
                serde_json::Value::Object(items) => open.extend(items.values()),
                _ => {}
            }
        }
    }
}

/// A stream that is masked piece by piece. It holds back what may be the beginning of a value, and so never more than
/// [`Masker::longest`] bytes.
#[derive(Debug, Default)]
pub(super) struct Stream {
    state: u32,
    /// What is not decided yet, and the position of its first byte in the stream.
    held: VecDeque<u8>,
    base: u64,
    /// What is covered from there on, in order and apart; the first may have begun before.
    spans: VecDeque<(u64, u64)>,
    /// Whether the mask of the first is written.
    masked: bool,
    /// Nothing before this position is written.
    silent: u64,
}

impl Stream {
    /// Takes further bytes, and appends what is decided to `out`.
    pub(super) fn feed(&mut self, masker: &Masker, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some((byte, rest)) = bytes.split_first() {
            if self.state == 0 {
                let (plain, more) = bytes.split_at(masker.plain(bytes));
                if !plain.is_empty() {
                    self.pass(plain, out);
                    bytes = more;
                    continue;
                }
            }
            self.held.push_back(*byte);
            bytes = rest;
            self.state = masker.step(self.state, *byte);
            let state = masker.state(self.state);
            let end = self.base + position(self.held.len());
            if state.found > 0 {
                self.cover(end - u64::from(state.found), end);
            }
            // What will be found begins at the earliest where this state does.
            self.decide(end - u64::from(state.depth), out);
        }
    }

    /// The stream is over: appends what was held back.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.decide(self.base + position(self.held.len()), out);
        self.state = 0;
    }

    /// Bytes that belong to no value, while nothing is held.
    fn pass(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let skip = self.silent.saturating_sub(self.base);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(plain.len());
        out.extend_from_slice(plain.get(skip..).unwrap_or_default());
        self.base += position(plain.len());
    }

    fn cover(&mut self, mut start: u64, end: u64) {
        while let Some((before, _)) = self.spans.back().copied().filter(|(_, until)| *until > start) {
            start = start.min(before);
            self.spans.pop_back();
        }
        self.spans.push_back((start, end));
    }

    /// Writes everything before `until`.
    fn decide(&mut self, until: u64, out: &mut Vec<u8>) {
        while self.base < until {
            let span = self.spans.front().copied();
            let to = match span {
                Some((start, end)) if start <= self.base => end.min(until),
                Some((start, _)) => start.min(until),
                None => until,
            };
            let count = usize::try_from(to - self.base).unwrap_or(usize::MAX);
            let bytes = self.held.drain(..count.min(self.held.len()));
            if let Some((_, end)) = span.filter(|(start, _)| *start <= self.base) {
                drop(bytes);
                if !self.masked && to > self.silent {
                    out.extend_from_slice(MASK.as_bytes());
                    self.masked = true;
                }
                if to == end {
                    self.spans.pop_front();
                    self.masked = false;
                }
            } else {
                let skip = usize::try_from(self.silent.saturating_sub(self.base)).unwrap_or(usize::MAX);
                out.extend(bytes.skip(skip));
            }
            self.base = to;
        }
    }
}

/// A length as a position in a stream.
fn position(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
