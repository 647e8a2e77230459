//! Making text from runs harmless before it reaches a terminal.
//!
//! A step's name, an error or a log line may hold anything: escape sequences that retitle the window or answer
//! into the shell, carriage returns that hide what was before, characters that turn the direction of writing.

use std::borrow::Cow;

/// Whether a character can do more than be shown: C0 and C1 controls, line and paragraph separators, zero-width
/// characters, and what changes the direction of writing (Unicode TR 36).
const fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line: every unsafe character is shown as its escape in Rust's notation.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    escape_but(text, |_| false)
}

/// The text over several lines: line feeds and tabs stay.
pub(crate) fn escape_block(text: &str) -> Cow<'_, str> {
    escape_but(text, |c| c == '\n' || c == '\t')
}

fn escape_but(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(|c| is_unsafe(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !is_unsafe(c) || keep(c) => out.push(c),
            '\n' | '\r' | '\t' => out.extend(c.escape_default()),
            '\0'..='\x7f' => out += &format!("\\x{:02x}", u32::from(c)),
            _ => out += &format!("\\u{{{:x}}}", u32::from(c)),
        }
    }
    Cow::Owned(out)
}

/// A JSON value as text on one line. Characters that JSON allows in strings but a terminal would obey are written
/// as `\uXXXX`, which means the same.
pub(crate) fn json_text(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if !text.contains(is_unsafe) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out += &format!("\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_stays() {
        for text in ["", "build", "größer 日本 👩", "a b"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(escape("\x1b]0;x\x07"), "\\x1b]0;x\\x07");
        assert_eq!(escape("a\r\n\tb"), "a\\r\\n\\tb");
        assert_eq!(escape("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(escape("a\u{202e}b\u{2066}"), "a\\u{202e}b\\u{2066}");
        assert_eq!(escape_block("a\n\tb\x1b"), "a\n\tb\\x1b");
    }

    #[test]
    fn json_says_the_same_without_them() {
        let value = serde_json::json!({"k\u{202e}": "\u{9b}\x1b\n\u{e0001}é"});
        let text = json_text(&value);
        assert!(!text.contains(is_unsafe), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in "\\PC*|(?s).{0,40}") {
            prop_assert!(!escape(&text).contains(is_unsafe));
            prop_assert!(!escape_block(&text).contains(|c| is_unsafe(c) && c != '\n' && c != '\t'));
        }
    }
}
