//! What `schedule:` takes, what it means, and what is said of what it does not take.

use super::{at, schedule, zone};
use crate::dag::cron::{CronError, Dst, Schedule, Zone};

#[test]
fn writings_that_mean_the_same() {
    for (one, other) in [
        ("0 9 * * *", "0 0 9 * * *"),
        ("*/5 * * * * *", "0,5,10,15,20,25,30,35,40,45,50,55 * * * * *"),
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@Midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * sun"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @annually ", "0 0 1 jan *"),
        ("TZ=Asia/Tokyo @daily", "CRON_TZ=Asia/Tokyo 0 0 0 * * *"),
    ] {
        assert_eq!(schedule(one), schedule(other), "{one}");
    }
    assert_ne!(schedule("30 0 9 * * *"), schedule("0 9 * * *"));
    assert_eq!(schedule("TZ=Asia/Tokyo @daily").zone(), Some(zone("Asia/Tokyo")));
    assert_eq!(schedule("@daily").zone(), None);
    assert!(schedule("0 0 0 30 2 *").never_comes() && !schedule("@yearly").never_comes());
    assert!(!schedule("@yearly").is_once());
}

#[track_caller]
fn told(error: &CronError, (text, column, message, hint): (&str, u32, &str, &str)) {
    assert_eq!(error.column, column, "{text}: {error:?}");
    assert!(error.message.contains(message), "{text}: {error:?}");
    assert!(error.hint.contains(hint), "{text}: {error:?}");
}

#[test]
fn what_is_no_schedule() {
    for wrong in [
        ("", 1, "is empty", "or six, the seconds first"),
        ("TZ=UTC ", 7, "nothing behind the time zone", "five fields"),
        (
            "1",
            2,
            "expected 5 fields, or 6 with seconds first, found 1 field",
            "minute, hour",
        ),
        ("* * * *", 8, "found 4 fields", "five fields"),
        (
            "0 * * * * * 2026",
            13,
            "found 7 fields",
            "leave out the last field",
        ),
        (
            "60 * * * * *",
            1,
            "second 60 is above the maximum 59",
            "a second is 0 to 59",
        ),
        ("0 0 24 * * *", 5, "hour 24 is above", "0 to 23"),
        (
            "TZ=UTC @daily x",
            15,
            "nothing may stand behind `@daily`",
            "leave it out",
        ),
        ("@every 5m", 1, "`@every` is not accepted", "write `*/5 * * * *`"),
        ("@every 30s", 1, "not accepted", "write `*/30 * * * * *`"),
        ("@every 1s", 1, "not accepted", "write `* * * * * *`"),
        ("@every 60s", 1, "not accepted", "write `* * * * *`"),
        ("@every 7s", 1, "not accepted", "as a step"),
        ("@every", 1, "not accepted", "as a step"),
        ("@reboot", 1, "not accepted", "the start of the machine is none"),
        ("@dayly", 1, "not accepted", "did you mean `@daily`?"),
        ("@sometimes", 1, "not accepted", "five fields"),
        ("TZ=Mars @daily", 4, "no time zone `Mars`", "`Europe/Paris`"),
    ] {
        let errors = Schedule::parse(wrong.0).expect_err(wrong.0);
        assert_eq!(errors.len(), 1, "{errors:?}");
        told(&errors[0], wrong);
    }
    let several = Schedule::parse("TZ=Mars 60 61 25 * * *").expect_err("four errors");
    let columns: Vec<u32> = several.iter().map(|error| error.column).collect();
    assert_eq!(columns.len(), 4, "{several:?}");
    assert!(columns.contains(&4) && columns.contains(&9) && columns.contains(&12) && columns.contains(&15));
}

#[test]
fn single_times_come_once() {
    let berlin = zone("Europe/Berlin");
    for (text, due, dst) in [
        ("2026-11-23 08:30", "2026-11-23T08:30:00+01:00", None),
        ("2026-11-23T08:30:05", "2026-11-23T08:30:05+01:00", None),
        ("2026-11-23T08:30:05Z", "2026-11-23T09:30:05+01:00", None),
        ("2026-11-23T08:30:00-05:00", "2026-11-23T14:30:00+01:00", None),
        (
            "TZ=Asia/Tokyo 2026-11-23 08:30",
            "2026-11-23T08:30:00+09:00",
            None,
        ),
        ("2026-03-29 02:30", "2026-03-29T03:00:00+02:00", Some("moved")),
        ("2026-10-25 02:30", "2026-10-25T02:30:00+02:00", Some("first")),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00", None),
    ] {
        let once = Schedule::at(text, berlin).unwrap();
        assert!(once.is_once() && !once.never_comes());
        let fire = once.next(at("2026-01-01T00:00:00Z"), Zone::UTC).unwrap();
        assert_eq!((fire.rfc3339().as_str(), fire.dst.word()), (due, dst), "{text}");
        assert_eq!(once.next(fire.at, berlin), None, "strictly after");
        assert_eq!(once.previous(fire.at, berlin), None, "strictly before");
        assert_eq!(once.previous(at("2030-01-01T00:00:00Z"), berlin), Some(fire));
    }
    let moved = Schedule::at("2026-03-29 02:30", berlin).unwrap();
    let fire = moved.next(at("2026-01-01T00:00:00Z"), berlin).unwrap();
    assert!(matches!(fire.dst, Dst::Moved { wanted } if wanted.to_string() == "2026-03-29 02:30"));
}

#[test]
fn what_is_no_single_time() {
    for wrong in [
        ("", 1, "there is no time", "write `2026-11-23 08:30`"),
        ("tomorrow", 1, "`tomorrow` is no time", "RFC 3339"),
        ("2026-11-23", 1, "is no time", "RFC 3339"),
        ("2026-02-29 08:00", 1, "`2026-02-29 08:00` is no time", "RFC 3339"),
        ("2026-11-23 24:00", 1, "is no time", "RFC 3339"),
        ("2026-11-23 08:30:60", 1, "is no time", "RFC 3339"),
        ("2026-11-23 8:30", 1, "is no time", "RFC 3339"),
        ("2026-11-23 08:30 x", 1, "is no time", "RFC 3339"),
        ("2026-11-23-01 08:30", 1, "is no time", "RFC 3339"),
        ("2026-11-23 08:30:00:00", 1, "is no time", "RFC 3339"),
        ("+026-11-23 08:30", 1, "is no time", "RFC 3339"),
        ("2026-11-23T08:30:00.5Z", 1, "a whole second", "RFC 3339"),
        ("TZ=UTC ", 1, "there is no time", "RFC 3339"),
        (" TZ=UTC x", 9, "`x` is no time", "RFC 3339"),
        (
            "TZ=Mars 2026-11-23 08:30",
            4,
            "no time zone `Mars`",
            "`Europe/Paris`",
        ),
    ] {
        let error = Schedule::at(wrong.0, Zone::UTC).expect_err(wrong.0);
        told(&error, wrong);
    }
}
