//! Nothing of a value is left, however the text comes in pieces; everything else stays.

use proptest::prelude::*;

use super::*;

fn masker(values: &[&str]) -> Masker {
    Masker::new(values.iter().copied()).unwrap()
}

/// Masks a text that comes in pieces of these lengths, over and over.
fn in_pieces(masker: &Masker, text: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut stream, mut out, mut rest) = (Stream::default(), Vec::new(), text);
    for length in lengths.iter().cycle() {
        let (piece, more) = rest.split_at((*length).clamp(1, rest.len().max(1)).min(rest.len()));
        stream.feed(masker, piece, &mut out);
        assert!(stream.held.len() <= masker.longest());
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    stream.finish(&mut out);
    out
}

/// What the masker is to do, found the slow way.
fn slowly(values: &[String], text: &[u8]) -> Vec<u8> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for start in 0..text.len() {
        let found = values
            .iter()
            .filter(|value| text[start..].starts_with(value.as_bytes()));
        if let Some(length) = found.map(String::len).max() {
            match spans.last_mut() {
                Some((_, end)) if *end > start => *end = (*end).max(start + length),
                _ => spans.push((start, start + length)),
            }
        }
    }
    let (mut out, mut at) = (Vec::new(), 0);
    for (start, end) in spans {
        out.extend_from_slice(&text[at..start]);
        out.extend_from_slice(MASK.as_bytes());
        at = end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

#[test]
fn what_a_value_covers_is_replaced() {
    for (values, text, expected) in [
        (&["token"][..], "a token here", "a ******* here"),
        (&["token"], "tokentoken", "**************"),
        (&["token"], "tok\nen", "tok\nen"),
        (&["abc", "abcdef"], "abcdef abcdex", "******* *******dex"),
        (&["abcdef", "cd"], "abcdeg", "ab*******eg"),
        (&["abc", "cde"], "abcde", "*******"),
        (&["aa"], "aaaaa", "*******"),
        (&["x"], "axbx", "a*******b*******"),
        (&["one two\nthree"], "one two\nthree one two", "******* one two"),
        (&[" padded "], "padded is padded", "******* is *******"),
        (&["", "***", "secret"], "*** and secret", "*** and *******"),
        (&["schlüssel"], "der schlüssel", "der *******"),
    ] {
        let masker = masker(values);
        assert_eq!(masker.text(text), expected, "{values:?} in {text:?}");
        assert_eq!(masker.finds(text), expected != text, "{values:?} in {text:?}");
    }
    assert!(Masker::new(["", "*"]).is_none());
    assert!(Masker::new([]).is_none());
}

#[test]
fn the_forms_and_parts_of_a_value_are_replaced_too() {
    let key = masker(&["-----BEGIN KEY-----\nc2VjcmV0IQ==\nok\n-----END KEY-----"]);
    assert_eq!(key.text("| c2VjcmV0IQ==\r\n| ok"), "| *******\r\n| ok");
    let quoted = masker(&["say \"friend\" and enter"]);
    assert_eq!(
        quoted.text(r#"{"a":"say \"friend\" and enter"}"#),
        r#"{"a":"*******"}"#
    );
    // However short it is, like the value itself.
    assert_eq!(masker(&["a\"b"]).text(r#"{"a":"a\"b"}"#), r#"{"a":"*******"}"#);
    let json = masker(&[r#"{"user": "root", "password": ["correct horse", 12]}"#]);
    assert_eq!(json.text("root has correct horse"), "root has *******");
}

#[test]
fn the_end_of_a_text_shows_no_end_of_a_value() {
    let masker = masker(&["secret", "et t"]);
    let text = b"a secret text";
    for (last, expected) in [
        (0, ""),
        (3, "ext"),
        (4, "*******ext"),
        (8, "*******ext"),
        (11, "*******ext"),
        (12, " *******ext"),
        (13, "a *******ext"),
    ] {
        let end = String::from_utf8(masker.end_of(text, last)).unwrap();
        assert_eq!(end, expected, "the last {last}");
    }
}

#[test]
fn nothing_is_held_back_that_cannot_become_a_value() {
    let masker = masker(&["secret"]);
    let (mut stream, mut out) = (Stream::default(), Vec::new());
    stream.feed(&masker, b"that was sec", &mut out);
    assert_eq!(out, b"that was ");
    stream.feed(&masker, b"ond\n", &mut out);
    assert_eq!(out, b"that was second\n");
    stream.feed(&masker, b"se", &mut out);
    stream.finish(&mut out);
    assert_eq!(out, b"that was second\nse");
}

proptest! {
    /// Few letters, so that values overlap, contain one another and nearly occur.
    #[test]
    fn no_value_survives_any_chunking(
        values in prop::collection::vec("[abc\n]{0,7}", 1..5),
        text in "[abcd\n]{0,80}",
        lengths in prop::collection::vec(1_usize..9, 1..6),
    ) {
        let secrets = values.iter().filter(|value| !value.trim().is_empty());
        let all: Vec<String> = secrets.flat_map(|v| [v.clone(), v.trim().to_owned()]).collect();
        let Some(masker) = Masker::new(values.iter().map(String::as_str)) else { return Ok(()) };
        let out = in_pieces(&masker, text.as_bytes(), &lengths);
        prop_assert_eq!(&out, &slowly(&all, text.as_bytes()));
        let out = String::from_utf8(out).unwrap();
        for value in &all {
            prop_assert!(!out.contains(value.as_str()), "{:?} in {:?}", value, out);
        }
        prop_assert_eq!(&masker.text(&text), &out);
        prop_assert_eq!(masker.text(&out), out);
    }

    #[test]
    fn text_without_values_is_unchanged(
        values in prop::collection::vec("[a-z]{1,20}", 1..5),
        text in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 0..200),
        lengths in prop::collection::vec(1_usize..50, 1..6),
    ) {
        let absent = values.iter().all(|v| !text.windows(v.len()).any(|w| w == v.as_bytes()));
        prop_assume!(absent);
        let masker = Masker::new(values.iter().map(String::as_str)).unwrap();
        prop_assert_eq!(in_pieces(&masker, &text, &lengths), text);
    }

    /// However much of the beginning is cut off, no end of a value shows.
    #[test]
    fn an_end_is_the_end_of_the_masked_text(
        values in prop::collection::vec("[ab]{1,5}", 1..4),
        text in "[abc]{0,60}",
        last in 0_usize..60,
    ) {
        let masker = Masker::new(values.iter().map(String::as_str)).unwrap();
        let whole = masker.text(&text);
        let from = text.len().saturating_sub(last + masker.longest());
        let end = masker.end_of(&text.as_bytes()[from..], last);
        let end = String::from_utf8(end).unwrap();
        // A mask at the place of the cut stands whole.
        prop_assert!(whole.ends_with(&end), "{:?} of {:?}", end, whole);
    }
}
