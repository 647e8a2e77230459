//! Tests of how errors are shown: place, line, hint.

use super::*;

fn at(line: u32, column: u32) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        message: "bad".to_owned(),
        file: Some("d.yaml".to_owned()),
        line: Some(line),
        column: Some(column),
        hint: Some("mend it".to_owned()),
    }
}

#[test]
fn the_source_line_is_shown_with_a_caret() {
    let text = render(&[at(2, 5)], &[("d.yaml", b"a: 1\r\nb: \xc3\xa4x\n")], false);
    let expected = "error: bad\n  --> d.yaml:2:5\n  |\n2 | b: äx\n  |     ^\n  = hint: mend it\n";
    assert_eq!(text, expected);
}

#[test]
fn colour_only_adds_escapes() {
    let sources: [(&str, &[u8]); 1] = [("d.yaml", b"a: 1\n")];
    let plain = render(&[at(1, 4)], &sources, false);
    let coloured = render(&[at(1, 4)], &sources, true);
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[1;31m"));
    let mut stripped = coloured;
    for code in ["\x1b[1;31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain);
}

#[test]
fn control_characters_of_a_text_do_not_reach_the_terminal() {
    let text = render(&[at(1, 2)], &[("d.yaml", b"\x1b[2J\tx\xff")], false);
    assert!(!text.contains('\x1b') && !text.contains('\t'), "{text:?}");
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let line = format!("{}HERE{}", "x".repeat(5_000), "y".repeat(5_000));
    let text = render(&[at(1, 5_001)], &[("d.yaml", line.as_bytes())], false);
    assert!(text.contains("HERE") && text.len() < 600, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let caret = lines[4].chars().position(|c| c == '^').expect("a caret");
    assert_eq!(lines[3].chars().nth(caret), Some('H'));
}

/// The source line and the line below it, as a terminal shows them: one entry a column.
fn columns(line: &str, column: u32) -> (Vec<char>, usize) {
    use unicode_width::UnicodeWidthChar;
    let text = render(&[at(1, column)], &[("d.yaml", line.as_bytes())], false);
    let lines: Vec<&str> = text.lines().collect();
    let wide = |c: char| std::iter::repeat_n(c, c.width().unwrap_or(0));
    let caret = lines[4].chars().position(|c| c == '^').expect("a caret");
    (lines[3].chars().flat_map(wide).collect(), caret)
}

#[test]
fn the_caret_is_below_its_place_behind_tabs_and_wide_characters() {
    for line in [
        "\tX",
        "a\t\tX",
        "日本 X",
        "👩\t日\tX",
        "e\u{301}\u{301}X",
        "\u{200b}\x07X",
    ] {
        let column = line.chars().position(|c| c == 'X').expect("a place");
        let (shown, caret) = columns(line, u32::try_from(column).expect("short") + 1);
        assert_eq!(shown.get(caret), Some(&'X'), "{line:?}");
    }
    let (shown, caret) = columns("ab", 3);
    assert_eq!(caret, shown.len(), "just behind the end");
}

#[test]
fn a_long_line_of_wide_characters_is_cut_around_the_place() {
    let line = format!("{}X{}", "本".repeat(2_001), "本".repeat(2_000));
    let (shown, caret) = columns(&line, 2_002);
    assert!(shown.len() <= 106, "{}", shown.len());
    assert_eq!(shown.get(caret), Some(&'X'));
}

#[test]
fn a_place_outside_the_text_and_no_place_are_shown_without_a_line() {
    let text = render(
        &[at(99, 1), Diagnostic::nowhere("lost")],
        &[("d.yaml", b"a")],
        false,
    );
    assert_eq!(
        text,
        "error: bad\n  --> d.yaml:99:1\n  = hint: mend it\nerror: lost\n"
    );
}

#[test]
fn one_line_says_it_all() {
    assert_eq!(at(3, 4).to_string(), "d.yaml:3:4: bad; mend it");
    assert_eq!(Diagnostic::nowhere("lost").to_string(), "lost");
}

#[test]
fn the_nearest_word_is_suggested() {
    let known = ["command", "continue_on", "depends", "max_active_steps", "env"];
    assert_eq!(closest("comand", known), Some("command"));
    assert_eq!(closest("dpeends", known), Some("depends"));
    assert_eq!(closest("maxActiveSteps", known), Some("max_active_steps"));
    assert_eq!(closest("continue-on", known), Some("continue_on"));
    assert_eq!(closest("banana", known), None);
    assert_eq!(closest("", known), None);
    assert_eq!(closest("x", ["y"]), None, "one wrong letter of one is not close");
    assert_eq!(closest(&"x".repeat(10_000), known), None);
}

#[test]
fn errors_come_in_the_order_of_the_text_and_are_bounded() {
    let mut report = Report::new(vec!["d.yaml".to_owned()]);
    for line in (1..=300).rev() {
        report.error(
            Pos {
                file: 0,
                line,
                column: 1,
            },
            "x",
        );
    }
    let errors = report.finish().expect_err("errors");
    assert_eq!(errors.len(), DIAGNOSTICS_MAX + 1);
    assert!(errors[0].line < errors[1].line);
    assert!(errors[DIAGNOSTICS_MAX].message.contains("more errors"));
}

#[test]
fn a_diagnostic_is_one_line_whatever_the_text_has_in_it() {
    let diagnostic = Diagnostic {
        file: Some("a\nb.yaml".to_owned()),
        ..Diagnostic::nowhere("unknown key `a\n\x1b[2J`").with_hint("write\rsomething else")
    };
    let sign = '\u{fffd}';
    assert_eq!(
        diagnostic.to_string(),
        format!("a{sign}b.yaml: unknown key `a{sign}{sign}[2J`; write{sign}something else")
    );
}
