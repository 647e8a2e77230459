//! The verb `cron`, which needs no daemon.

use super::*;

/// A call in a directory without a daemon.
fn cron(args: &[&str]) -> Answer {
    let dir = tempfile::tempdir().unwrap();
    let answer = call(dir.path(), &[&["cron"], args].concat());
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "asking leaves no trace"
    );
    answer
}

#[test]
fn programs_get_the_times_with_their_offset() {
    let answer = cron(&[
        "--json",
        "--tz",
        "America/New_York",
        "--from",
        "2026-03-06T12:00:00-05:00",
        "--count",
        "2",
        "30 2 * * *",
    ]);
    assert_eq!(answer.exit, Exit::Ok);
    let times = ["2026-03-07T02:30:00-05:00", "2026-03-09T02:30:00-04:00"];
    let fire = |at: &str, local: &str| json!({ "at": at, "local": local, "dst": null, "wanted": null });
    let mut moved = fire("2026-03-08T03:00:00-04:00", "2026-03-08T03:00:00");
    moved["dst"] = json!("moved");
    moved["wanted"] = json!("2026-03-08T02:30:00");
    let fires = [fire("2026-03-07T02:30:00-05:00", "2026-03-07T02:30:00"), moved];
    assert_eq!(
        answer.json(),
        json!({ "valid": true, "next": times, "zone": "America/New_York", "schedule": true, "fires": fires })
    );
    let from = "2026-03-06T12:00:00Z";
    let one = cron(&["--json", "--tz", "UTC", "--from", from, "0 9 * * *"]);
    assert_eq!(one.json()["next"], json!(["2026-03-07T09:00:00Z"]));
    let named = cron(&["--json", "--tz", "UTC", "--from", from, "TZ=Asia/Tokyo 0 9 * * *"]);
    assert_eq!(named.json()["next"], json!(["2026-03-07T09:00:00+09:00"]));
    assert_eq!(named.json()["zone"], "Asia/Tokyo");
    let never = cron(&["--json", "--tz", "UTC", "--count", "1000", "0 0 30 2 *"]);
    assert_eq!((never.exit, &never.json()["next"]), (Exit::Ok, &json!([])));
}

#[test]
fn programs_learn_what_only_a_schedule_takes() {
    let from = [
        "--json",
        "--tz",
        "Europe/Berlin",
        "--from",
        "2026-10-25T01:59:50+02:00",
    ];
    for (expression, first) in [
        ("@daily", "2026-10-26T00:00:00+01:00"),
        ("*/20 * * * * *", "2026-10-25T02:00:00+02:00"),
    ] {
        let answer = cron(&[&from[..], &[expression]].concat());
        assert_eq!(answer.exit, Exit::Negative, "it is no five fields");
        let told = answer.json();
        assert_eq!((&told["valid"], &told["schedule"]), (&json!(false), &json!(true)));
        assert_eq!(told["next"], json!([]));
        assert_eq!(told["fires"][0]["at"], first);
        assert!(told["errors"][0]["message"].is_string(), "{told}");
        let people = cron(&["--tz", "UTC", expression]);
        assert_eq!(people.exit, Exit::Ok, "{}", people.stderr);
    }
    let first = cron(&[&from[..], &["30 2 * * *"]].concat()).json();
    assert_eq!(first["fires"][0]["dst"], "first");
    let neither = cron(&["--json", "@never"]).json();
    assert_eq!(
        (&neither["valid"], &neither["schedule"]),
        (&json!(false), &json!(false))
    );
}

#[test]
fn without_from_it_is_after_now() {
    let before = Time(crate::sys::clock::wall_micros());
    let answer = cron(&["--json", "--tz", "UTC", "* * * * *"]);
    let next = answer.json()["next"][0]
        .as_str()
        .and_then(Time::from_rfc3339)
        .unwrap();
    assert!(
        next > before && next.secs() <= before.secs() + 120,
        "{next:?} {before:?}"
    );
}

#[test]
fn people_get_a_table_that_marks_the_days_when_the_clock_changes() {
    let from = "2026-03-28T01:00:00+01:00";
    let zone = ["--tz", "Europe/Berlin", "--from", from];
    let answer = cron(&[&zone[..], &["--count", "4", "30 2 * * *"]].concat());
    assert_eq!(answer.exit, Exit::Ok);
    assert_eq!(
        answer.stdout,
        "`30 2 * * *` in Europe/Berlin\n\
         DAY  LOCAL TIME        OFFSET  AWAY         NOTE\n\
         Sat  2026-03-28 02:30  +01:00  in 1 h 30 m\n\
         Sun  2026-03-29 03:00  +02:00  in 1 d 1 h   DST: in place of 2026-03-29 02:30\n\
         Mon  2026-03-30 02:30  +02:00  in 2 d\n\
         Tue  2026-03-31 02:30  +02:00  in 3 d\n"
    );
    let autumn = [
        "--tz",
        "Europe/Berlin",
        "--from",
        "2026-10-25T00:00:00Z",
        "--count",
        "2",
    ];
    let answer = cron(&[&autumn[..], &["15 30 2 * * *"]].concat());
    assert_eq!(
        answer.stdout,
        "`15 30 2 * * *` in Europe/Berlin\n\
         DAY  LOCAL TIME           OFFSET  AWAY          NOTE\n\
         Sun  2026-10-25 02:30:15  +02:00  in 30 m 15 s  DST: shown twice, counts once\n\
         Mon  2026-10-26 02:30:15  +01:00  in 1 d 1 h    DST\n"
    );
    // The first one is compared with the start.
    let first = cron(&[
        "--tz",
        "Europe/Berlin",
        "--from",
        "2026-03-29T01:30:00+01:00",
        "0 4 * * *",
    ]);
    let lines: Vec<&str> = first.stdout.lines().collect();
    assert_eq!(lines.len(), 2 + 5, "five for people: {lines:?}");
    assert!(lines[2].ends_with("in 1 h 30 m  DST"), "{lines:?}");
    assert!(!lines[3].contains("DST"), "{lines:?}");
    let never = cron(&["--tz", "UTC", "0 0 30 2 *"]);
    assert_eq!(never.exit, Exit::Ok);
    assert!(
        never.stdout.contains("`0 0 30 2 *` in UTC never comes"),
        "{}",
        never.stdout
    );
    let over = cron(&["--tz", "UTC", "--from", "9999-12-31T23:59:00Z", "* * * * *"]);
    assert!(over.stdout.contains("does not come again"), "{}", over.stdout);
}

#[test]
fn an_invalid_expression_is_told_with_its_place() {
    let answer = cron(&["--json", "0 25 * 13 *"]);
    assert_eq!(answer.exit, Exit::Negative);
    assert_eq!(answer.json()["valid"], false);
    let errors = answer.json()["errors"].clone();
    assert_eq!(errors[0]["message"], "hour 25 is above the maximum 23");
    assert_eq!(
        (&errors[0]["file"], &errors[0]["line"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&errors[0]["column"], &errors[1]["column"]),
        (&json!(3), &json!(8))
    );
    assert_eq!(errors.as_array().map(Vec::len), Some(2));
    assert_eq!(cron(&["--json", ""]).json()["valid"], false);

    let answer = cron(&["@daily\x1b"]);
    assert_eq!((answer.exit, answer.stdout.as_str()), (Exit::Negative, ""));
    assert!(!answer.stderr.contains('\x1b'), "{:?}", answer.stderr);
    let answer = cron(&["0 25 * * *"]);
    assert_eq!(
        answer.stderr,
        "error: hour 25 is above the maximum 23\n  \
         --> expression:1:3\n  \
         |\n\
         1 | 0 25 * * *\n  \
         |   ^\n  \
         = hint: an hour is 0 to 23\n\
         proctorctl: the expression is not valid\n"
    );
}

#[test]
fn wrong_options_are_refused_with_a_cure() {
    let answer = cron(&["--tz", "Europe/Belrin", "0 0 * * *"]);
    assert_eq!(answer.exit, Exit::Usage);
    assert!(
        answer.stderr.contains("no time zone `Europe/Belrin`"),
        "{}",
        answer.stderr
    );
    assert!(
        answer.stderr.contains("did you mean `Europe/Berlin`?"),
        "{}",
        answer.stderr
    );
    for (args, word) in [
        (["--count", "0"], "1..=1000"),
        (["--count", "1001"], "1..=1000"),
        (["--from", "2026-11-23"], "RFC 3339"),
    ] {
        let line = [&["proctorctl", "cron"][..], &args, &["0 0 * * *"]].concat();
        let error = Cli::try_parse_from(line).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
