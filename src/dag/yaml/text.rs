//! Bytes to text: size, encoding, characters that YAML does not allow.

use crate::dag::diag::{Pos, Report};
use crate::model::limits::DAG_SOURCE_MAX;

pub(super) fn pos(file: u8, line: usize, column: usize) -> Pos {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Pos {
        file,
        line: number(line.max(1)),
        column: number(column),
    }
}

/// The place of a byte offset that is on a character boundary of the valid part of the text.
fn place(text: &[u8], offset: usize, file: u8) -> Pos {
    let before = String::from_utf8_lossy(text.get(..offset).unwrap_or_default());
    let unified = before.replace("\r\n", "\n");
    let mut line = 1;
    let mut column = 1;
    for c in unified.chars() {
        if matches!(c, '\n' | '\r') {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    pos(file, line, column)
}

/// The text if it is one: not too large, UTF-8, without control characters. A byte order mark is skipped.
pub(super) fn printable_text<'a>(bytes: &'a [u8], file: u8, report: &mut Report) -> Option<&'a str> {
    let start = pos(file, 1, 1);
    if bytes.len() > DAG_SOURCE_MAX {
        let mib = DAG_SOURCE_MAX / (1024 * 1024);
        report.error(
            start,
            format!(
                "the file is {} bytes long; at most {mib} MiB are allowed",
                bytes.len()
            ),
        );
        return None;
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        report.error_hint(start, "the file is UTF-16, not UTF-8", "save it as UTF-8");
        return None;
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let offset = error.valid_up_to();
            let byte = bytes.get(offset).copied().unwrap_or_default();
            let at = place(bytes, offset, file);
            report.error_hint(
                at,
                format!("byte 0x{byte:02x} is not UTF-8"),
                "save the file as UTF-8",
            );
            return None;
        }
    };
    // YAML 1.2, production 1 (c-printable).
    let bad = |c: char| {
        let control = c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
        control || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    if let Some((offset, c)) = text.char_indices().find(|(_, c)| bad(*c)) {
        let at = place(bytes, offset, file);
        let code = u32::from(c);
        report.error_hint(
            at,
            format!("the character U+{code:04X} is not allowed in YAML"),
            format!("write it in double quotes as \"\\u{code:04x}\""),
        );
        return None;
    }
    Some(text)
}
