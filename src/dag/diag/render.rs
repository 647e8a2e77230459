//! Diagnostics for people: message, place, the source line with a caret, hint.

use unicode_width::UnicodeWidthChar;

use super::{Diagnostic, Severity};

/// Widest part of a source line that is shown, in columns of a terminal.
const WIDTH: usize = 100;
/// Columns from one tab stop to the next.
const TAB: usize = 4;

/// Shows diagnostics for people, each with its source line and a caret below the place.
///
/// `sources` are the texts by the names they were loaded under (the DAG file, the base configuration); a
/// diagnostic whose text is not there is shown without a source line. Control characters of a text never reach
/// the terminal. `colour` adds ANSI escapes.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &[(&str, &[u8])], colour: bool) -> String {
    let paint = |code: &'static str| if colour { code } else { "" };
    let (bold, dim, off) = (paint("\x1b[1m"), paint("\x1b[2m"), paint("\x1b[0m"));
    let mut out = String::new();
    for diagnostic in diagnostics {
        let (word, hue) = match diagnostic.severity {
            Severity::Error => ("error", paint("\x1b[1;31m")),
            Severity::Warning => ("warning", paint("\x1b[1;33m")),
        };
        out.push_str(&format!(
            "{hue}{word}{off}{bold}: {}{off}\n",
            printable(&diagnostic.message)
        ));
        if let Some(file) = &diagnostic.file {
            out.push_str(&format!("  {dim}-->{off} {}", printable(file)));
            if let (Some(line), Some(column)) = (diagnostic.line, diagnostic.column) {
                out.push_str(&format!(":{line}:{column}"));
                let text = sources.iter().find(|(name, _)| name == file);
                if let Some(source) = text.and_then(|(_, text)| source_line(text, line)) {
                    let (shown, caret) = window(&source, column);
                    let gutter = " ".repeat(line.to_string().len());
                    out.push_str(&format!("\n{dim}{gutter} |{off}\n{dim}{line} |{off} {shown}"));
                    out.push_str(&format!(
                        "\n{dim}{gutter} |{off} {}{hue}^{off}",
                        " ".repeat(caret)
                    ));
                }
            }
            out.push('\n');
        }
        if let Some(hint) = &diagnostic.hint {
            out.push_str(&format!("  {dim}={off} {bold}hint{off}: {}\n", printable(hint)));
        }
    }
    out
}

fn source_line(text: &[u8], line: u32) -> Option<String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut rest = text;
    for _ in 1..line {
        let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r'))?;
        let crlf = rest.get(end..end + 2) == Some(b"\r\n");
        rest = rest.get(end + 1 + usize::from(crlf)..)?;
    }
    let end = rest
        .iter()
        .position(|b| matches!(b, b'\n' | b'\r'))
        .unwrap_or(rest.len());
    let bytes = rest.get(..end)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// The part of a line around a column, from 1, and how many terminal columns the caret is in. Tabs reach to the next
/// stop, and characters that take two columns count as two.
fn window(line: &str, column: u32) -> (String, usize) {
    let at = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    let mut cells = Vec::new();
    let mut reached = 0;
    let mut caret = None;
    for (index, c) in line.chars().enumerate() {
        if index == at {
            caret = Some(reached);
        }
        let width = if c == '\t' {
            TAB - reached % TAB
        } else {
            visible(c).width().unwrap_or(0)
        };
        cells.push((reached, c, width));
        reached += width;
    }
    let caret = caret.unwrap_or(reached);
    let first = if caret < WIDTH { 0 } else { caret - WIDTH / 2 };
    let inside = |at: usize, width: usize| at >= first && at + width <= first + WIDTH;
    let mut shown = String::new();
    let mut start = None;
    for (at, c, width) in &cells {
        if !inside(*at, *width) {
            continue;
        }
        start.get_or_insert(*at);
        match c {
            '\t' => shown.push_str(&" ".repeat(*width)),
            c => shown.push(visible(*c)),
        }
    }
    if reached > first + WIDTH {
        shown.push('…');
    }
    let start = start.unwrap_or(first);
    let lead = usize::from(start > 0);
    if lead > 0 {
        shown.insert(0, '…');
    }
    (shown, caret.saturating_sub(start) + lead)
}

/// The character, or a sign for one that can do more than be shown: controls, line and paragraph separators,
/// zero-width characters, and what changes the direction of writing.
const fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        '\0'..='\x1f'
        | '\x7f'..='\u{9f}'
        | '\u{061c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        c => c,
    }
}

/// The text with a sign for each character that can do more than be shown.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}
