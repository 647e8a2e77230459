//! What is an expression, what it means, and what is said of what is none.

use super::{Cron, cron};
use crate::dag::Diagnostic;

/// The error of an expression that has one.
#[track_caller]
fn wrong(text: &str) -> (u32, String, String) {
    let mut errors = Cron::parse(text).expect_err(text);
    assert_eq!(errors.len(), 1, "{text}: {errors:?}");
    let error = errors.remove(0);
    (error.column, error.message, error.hint)
}

#[test]
fn writings_that_mean_the_same() {
    for (one, other) in [
        ("* * * * *", "? ? ? ? ?"),
        ("* * * * *", "  *\t* *  * * \n"),
        ("* * * * *", "*/1 * * * *"),
        ("*/15 * * * *", "0,15,30,45 * * * *"),
        ("0/15 * * * *", "0-59/15 * * * *"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("20-35/15 * * * *", "20,35 * * * *"),
        ("*/70 * * * *", "0 * * * *"),
        ("0 08 * * *", "0 8 * * *"),
        ("0 8-18/5 * * *", "0 8,13,18 * * *"),
        ("0 0 * jan,MAR-May *", "0 0 * 1,3-5 *"),
        ("0 0 * * sun,Tue-THU/2", "0 0 * * 0,2,4"),
        ("0 0 1,1-3,2 * *", "0 0 1-3 * *"),
        ("TZ=Asia/Tokyo 0 0 * * *", "CRON_TZ=Asia/Tokyo 0 0 * * *"),
    ] {
        assert_eq!(cron(one), cron(other), "{one}");
    }
    assert_ne!(
        cron("0 0 1-31 * 1"),
        cron("0 0 * * 1"),
        "a range over all restricts the day"
    );
    assert_ne!(cron("0 0 */2 * 1"), cron("0 0 1-31/2 * *"));
}

#[test]
fn the_zone_is_part_of_it() {
    assert_eq!(cron("0 0 * * *").zone(), None);
    assert_eq!(cron("TZ=UTC 0 0 * * *").zone().unwrap().name(), "UTC");
    assert_eq!(
        cron("CRON_TZ=America/New_York  0 0 * * *").zone().unwrap().name(),
        "America/New_York"
    );
}

/// Expressions with one error each: its column, and parts of what is said and of the cure.
#[track_caller]
fn each(table: &[(&str, u32, &str, &str)]) {
    for (text, column, message, hint) in table {
        let told = wrong(text);
        assert_eq!(told.0, *column, "{text}: {told:?}");
        assert!(told.1.contains(message), "{text}: {told:?}");
        assert!(told.2.contains(hint), "{text}: {told:?}");
    }
}

#[test]
fn what_is_no_five_fields() {
    each(&[
        ("", 1, "is empty", "write five fields: minute, hour"),
        ("  ", 1, "is empty", "write five fields"),
        ("1", 2, "exactly 5 fields, found 1 field", "write five fields"),
        (
            "* * * * ",
            8,
            "exactly 5 fields, found 4 fields",
            "write five fields",
        ),
        ("invalid cron", 13, "found 2 fields", "write five fields"),
        ("0 * * * * *", 11, "found 6 fields", "seconds are not supported"),
        ("0 * * * * * 2026", 11, "found 7 fields", "seconds and years"),
        ("TZ=UTC", 7, "nothing behind the time zone", "write five fields"),
        ("TZ=UTC 0 0", 11, "found 2 fields", "write five fields"),
        ("@daily", 1, "`@daily` is not accepted", "write `0 0 * * *`"),
        ("@Midnight", 1, "`@Midnight` is not accepted", "write `0 0 * * *`"),
        ("@hourly", 1, "not accepted", "write `0 * * * *`"),
        ("@weekly", 1, "not accepted", "write `0 0 * * 0`"),
        ("@monthly", 1, "not accepted", "write `0 0 1 * *`"),
        ("@yearly", 1, "not accepted", "write `0 0 1 1 *`"),
        ("TZ=UTC @annually", 8, "not accepted", "write `0 0 1 1 *`"),
        ("@every 5m", 1, "not accepted", "write `*/5 * * * *`"),
        ("@every 1m", 1, "not accepted", "write `* * * * *`"),
        ("@every 60m", 1, "not accepted", "write `0 * * * *`"),
        ("@every 6h", 1, "not accepted", "write `0 */6 * * *`"),
        ("@every 1h", 1, "not accepted", "write `0 * * * *`"),
        ("@every 24h", 1, "not accepted", "write `0 0 * * *`"),
        ("@every 7m", 1, "not accepted", "as a step"),
        ("@every", 1, "not accepted", "as a step"),
        ("@reboot", 1, "not accepted", "start of the machine"),
        ("@fortnightly", 1, "not accepted", "write five fields"),
    ]);
}

#[test]
fn values_that_a_field_has_not() {
    each(&[
        ("60 * * * *", 1, "minute 60 is above the maximum 59", "0 to 59"),
        ("0 24 * * *", 3, "hour 24 is above the maximum 23", "0 to 23"),
        ("0 0 0 * *", 5, "day of month 0 is below the minimum 1", "1 to 31"),
        ("0 0 32 * *", 5, "day of month 32 is above", "1 to 31"),
        (
            "0 0 * 0 *",
            7,
            "month 0 is below the minimum 1",
            "1 to 12, or `jan`",
        ),
        ("0 0 * 13 *", 7, "month 13 is above", "1 to 12"),
        (
            "99999999999 * * * *",
            1,
            "minute `99999999999` is above",
            "0 to 59",
        ),
        (
            "0 0 * * 7",
            9,
            "day of week 7 is above the maximum 6",
            "Sunday is 0: write `0`",
        ),
        ("0 0 * * 1-7", 9, "day of week 7 is above", "write `*`"),
        ("0 0 * * 0-7", 9, "day of week 7 is above", "write `*`"),
        ("0 0 * * 5-7", 9, "day of week 7 is above", "write `0,5-6`"),
        ("0 0 * * 6-7", 9, "day of week 7 is above", "write `0,6`"),
        ("0 0 * * 8", 9, "day of week 8 is above", "0 (Sunday) to 6"),
        ("5 j * * *", 3, "`j` is no hour", "0 to 23"),
        ("xyz * * * *", 1, "`xyz` is no minute", "0 to 59"),
        ("mon * * * *", 1, "`mon` is no minute", "0 to 59"),
        (
            "0 0 * * monday",
            9,
            "`monday` is no day of week",
            "did you mean `mon`?",
        ),
        ("0 0 * * we", 9, "`we` is no day of week", "did you mean `wed`?"),
        (
            "0 0 * September *",
            7,
            "`September` is no month",
            "did you mean `sep`?",
        ),
        ("0 0 * jan-x *", 7, "`x` is no month", "`jan` to `dec`"),
        ("0 0 L * *", 5, "`L` is no day of month", "not supported"),
        ("0 0 15W * *", 5, "`15W` is no day of month", "not supported"),
        ("0 0 * * 1#2", 9, "`1#2` is no day of week", "not supported"),
        ("H * * * *", 1, "`H` is no minute", "0 to 59"),
    ]);
}

#[test]
fn ranges_steps_lists_and_zones() {
    each(&[
        ("+5 * * * *", 1, "`+5` is no minute", "0 to 59"),
        ("1.5 * * * *", 1, "`1.5` is no minute", "0 to 59"),
        ("é * * * *", 1, "`é` is no minute", "0 to 59"),
        ("-5 * * * *", 1, "lacks an end", "such as `0-59`"),
        ("5- * * * *", 1, "lacks an end", "such as `0-59`"),
        (
            "5--5 * * * *",
            1,
            "`5--5` has too many hyphens",
            "a range is two values",
        ),
        ("1-2-3 * * * *", 1, "too many hyphens", "a range is two values"),
        ("*-5 * * * *", 1, "`*` cannot be an end", "a range is two values"),
        ("0-? * * * *", 1, "`?` cannot be an end", "a range is two values"),
        (
            "0 22-6 * * *",
            3,
            "`22-6` of the hour goes backwards",
            "write `22-23,0-6`",
        ),
        ("0 0 * * fri-mon", 9, "goes backwards", "write `5-6,0-1`"),
        ("0 0 * * sat-sun", 9, "goes backwards", "write `6,0`"),
        ("*/0 * * * *", 1, "the step of `*/0` is 0", "whole number from 1"),
        (
            "TZ=America/New_York 15/0 * * * *",
            21,
            "is 0",
            "whole number from 1",
        ),
        ("*/ * * * *", 1, "`*/` lacks the step", "whole number from 1"),
        (
            "*/-12 * * * *",
            1,
            "the step `-12` of the minute is no number",
            "from 1",
        ),
        ("*/a * * * *", 1, "the step `a`", "from 1"),
        ("*//2 * * * *", 1, "`*//2` has too many slashes", "from 1"),
        ("/5 * * * *", 1, "`` is no minute", "0 to 59"),
        ("1,,2 * * * *", 3, "empty item", "comma"),
        ("0 1, * * *", 5, "empty item", "comma"),
        ("0 1,2,25,x * * *", 7, "hour 25 is above", "0 to 23"),
        ("TZ= 0 0 * * *", 4, "no time zone ``", "such as `Europe/Berlin`"),
        (
            "CRON_TZ=Europe/Berln 0 0 * * *",
            9,
            "no time zone `Europe/Berln`",
            "`Europe/Berlin`",
        ),
    ]);
}

#[test]
fn all_errors_are_told_at_once_from_left_to_right() {
    let errors = Cron::parse("TZ=Nowhere 60 24 * 13 *").unwrap_err();
    let columns: Vec<u32> = errors.iter().map(|error| error.column).collect();
    assert_eq!(columns, [4, 12, 15, 20]);
    let both = Cron::parse("TZ=Nowhere * *").unwrap_err();
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn columns_count_characters_and_long_texts_are_cut() {
    assert_eq!(wrong("é60 * * * *").0, 1);
    assert_eq!(wrong("* é * * *").0, 3);
    assert_eq!(wrong("1,é * * * *").0, 3);
    let (_, message, _) = wrong(&format!("{} * * * *", "x".repeat(100_000)));
    assert_eq!(message, format!("`{}…` is no minute", "x".repeat(40)));
}

#[test]
fn an_error_is_a_diagnostic_with_its_column() {
    let error = Cron::parse("0 24 * * *").unwrap_err().remove(0);
    let diagnostic = Diagnostic::from(error);
    assert_eq!((diagnostic.line, diagnostic.column), (None, Some(3)));
    assert_eq!(
        diagnostic.to_string(),
        "hour 24 is above the maximum 23; an hour is 0 to 23"
    );
}
