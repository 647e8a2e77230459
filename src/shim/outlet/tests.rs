//! Tests of the way to the journal.

use std::os::unix::net::UnixDatagram;

use super::*;

fn outlet() -> (tempfile::TempDir, UnixDatagram, Shared) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_nonblocking(true).unwrap();
    let mut head = Vec::new();
    field(&mut head, "DAG", b"d");
    let outlet = Outlet {
        journal: Journal::connect(&path).unwrap(),
        head,
        waiting: VecDeque::new(),
        bytes: 0,
        lost: 0,
        incomplete: BTreeSet::new(),
    };
    (dir, journal, Rc::new(RefCell::new(outlet)))
}

/// The records that have come, as lines of fields.
fn records(journal: &UnixDatagram) -> Vec<String> {
    let mut bytes = vec![0; 64 * 1024];
    std::iter::from_fn(|| {
        let count = journal.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..count].to_vec()).unwrap())
    })
    .collect()
}

fn messages(journal: &UnixDatagram) -> Vec<String> {
    let message = |record: &String| {
        let line = record.lines().find_map(|line| line.strip_prefix("MESSAGE="));
        line.unwrap().to_owned()
    };
    records(journal).iter().map(message).collect()
}

#[test]
fn lines_come_as_they_are_whole_with_the_fields_of_their_stream() {
    let (_dir, journal, outlet) = outlet();
    let mut lines = Lines::new(&outlet, "build", "0001-build.out", false);
    lines.feed(b"one\ntw");
    let wanted = format!(
        "DAG=d\nSTEP=build\nSTREAM=stdout\nPRIORITY=6\nMESSAGE_ID={}\nMESSAGE=one\n",
        native::STEP_OUTPUT
    );
    assert_eq!(records(&journal), [wanted]);
    lines.feed(b"o\n\n\nthree");
    assert_eq!(messages(&journal), ["two"]);
    lines.finish();
    lines.finish();
    assert_eq!(messages(&journal), ["three"]);
    let mut errors = Lines::new(&outlet, "build", "0001-build.err", true);
    errors.feed(b"oh\n");
    assert!(records(&journal)[0].contains("STREAM=stderr\nPRIORITY=5\n"));
}

#[test]
fn a_long_line_comes_in_pieces_and_no_character_is_cut() {
    let (_dir, journal, outlet) = outlet();
    let mut lines = Lines::new(&outlet, "s", "l", false);
    let text = format!("x{}", "€".repeat(LINE_MAX));
    for piece in text.as_bytes().chunks(1000) {
        lines.feed(piece);
    }
    lines.feed(b"\n");
    let pieces = messages(&journal);
    assert!(pieces.len() >= 3, "{}", pieces.len());
    assert!(pieces.iter().all(|piece| piece.len() <= LINE_MAX));
    assert_eq!(pieces.concat(), text);
    // What has no characters is cut where it is too long.
    assert_eq!(cut(&vec![0x80; LINE_MAX + 1]), LINE_MAX);
}

#[test]
fn what_a_slow_journal_does_not_take_waits_in_order_and_nothing_waits_without_limit() {
    let (_dir, journal, outlet) = outlet();
    let mut lines = Lines::new(&outlet, "s", "l", false);
    for number in 0..2000 {
        lines.feed(format!("{number}\n").as_bytes());
    }
    assert!(!outlet.borrow().is_empty(), "no socket takes so many");
    let mut got = Vec::new();
    while got.len() < 2000 {
        got.extend(messages(&journal));
        outlet.borrow_mut().flush();
    }
    let wanted: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    assert_eq!(got, wanted);
    assert!(outlet.borrow().has_all_of("l"));
    // Nobody reads any more.
    let line = [b'x'; 1000];
    for _ in 0..3000 {
        lines.feed(&line);
        lines.feed(b"\n");
    }
    {
        let outlet = outlet.borrow();
        assert!(
            outlet.bytes <= WAITING_MAX && outlet.lost > 1000,
            "{}",
            outlet.lost
        );
        assert!(!outlet.has_all_of("l") && outlet.has_all_of("other"));
    }
    let lost = outlet.borrow().lost;
    let mut last = Vec::new();
    while !outlet.borrow().is_empty() || outlet.borrow().lost > 0 {
        last.extend(records(&journal));
        outlet.borrow_mut().flush();
    }
    last.extend(records(&journal));
    let told = last.last().unwrap();
    assert!(told.contains(native::STEP_OUTPUT_LOST), "{told}");
    assert!(told.contains(&format!("COUNT={lost}\n")), "{told}");
}

#[test]
fn a_journal_that_is_gone_takes_nothing_and_nobody_waits() {
    let (dir, journal, outlet) = outlet();
    drop(journal);
    drop(dir);
    let mut lines = Lines::new(&outlet, "s", "l", false);
    lines.feed(b"one\ntwo\n");
    assert!(!outlet.borrow().has_all_of("l"));
    assert!(outlet.borrow().is_empty());
}
