//! Tests of the way to the journal.

use std::io::Write;
use std::os::unix::net::UnixDatagram;

use super::*;

const OUT: LogOf<'static> = LogOf {
    name: "0001-build.out",
    step: "build",
    is_error: false,
};

/// A journal, an outlet that leads to it, and a directory with logs.
struct World {
    dir: tempfile::TempDir,
    journal: UnixDatagram,
    outlet: Outlet,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_nonblocking(true).unwrap();
        let mut head = Vec::new();
        field(&mut head, "DAG", b"d");
        let outlet = Outlet::to(Journal::connect(&path).unwrap(), head);
        Self { dir, journal, outlet }
    }

    fn logs(&self) -> Dir {
        Dir::open(self.dir.path()).unwrap()
    }

    /// Has a log that is sent from now on.
    fn add(&mut self, log: &LogOf<'_>) -> File {
        let path = self.dir.path().join(log.name);
        let file = File::options().append(true).create(true).open(&path).unwrap();
        self.outlet.add(log, File::open(path));
        file
    }

    /// The records that have come.
    fn records(&self) -> Vec<String> {
        let mut bytes = vec![0; 64 * 1024];
        std::iter::from_fn(|| {
            let count = self.journal.recv(&mut bytes).ok()?;
            Some(String::from_utf8(bytes[..count].to_vec()).unwrap())
        })
        .collect()
    }

    /// What they say.
    fn messages(&self) -> Vec<String> {
        let message = |record: &String| {
            let line = record.lines().find_map(|line| line.strip_prefix("MESSAGE="));
            line.unwrap().to_owned()
        };
        self.records().iter().map(message).collect()
    }

    /// Sends and reads until nothing is left.
    fn all(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while self.outlet.pump() {
            all.extend(self.messages());
        }
        all.extend(self.messages());
        all
    }
}

#[test]
fn lines_come_when_they_are_whole_with_the_fields_of_their_stream() {
    let mut world = World::new();
    let mut log = world.add(&OUT);
    log.write_all(b"one\ntw").unwrap();
    assert!(!world.outlet.pump());
    let wanted = format!(
        "DAG=d\nSTEP=build\nSTREAM=stdout\nPRIORITY=6\nMESSAGE_ID={}\nMESSAGE=one\n",
        native::STEP_OUTPUT
    );
    assert_eq!(world.records(), [wanted]);
    log.write_all(b"o\n\n\nthree").unwrap();
    assert_eq!(world.all(), ["two"]);
    // The step is over: its last line needs no end, and its log is not held any more.
    world.outlet.end(OUT.name);
    assert_eq!(world.all(), ["three"]);
    assert!(world.outlet.open.is_empty() && world.outlet.has_all_of(OUT.name));
    // A further try goes on in the same file.
    world.add(&OUT);
    log.write_all(b"\nfour\n").unwrap();
    assert_eq!(world.all(), ["four"]);
    world.outlet.end(OUT.name);
    assert_eq!(world.all(), Vec::<String>::new());
    // What is left in the background writes on.
    log.write_all(b"five").unwrap();
    assert_eq!(world.all(), Vec::<String>::new());
    let logs = world.logs();
    world.outlet.end_for_good(&OUT, &logs);
    assert!(!world.outlet.has_all_of(OUT.name));
    assert_eq!(world.all(), ["five"]);
    assert!(world.outlet.has_all_of(OUT.name));
    let err = LogOf {
        name: "0001-build.err",
        is_error: true,
        ..OUT
    };
    world.add(&err).write_all(b"oh\n").unwrap();
    world.outlet.pump();
    assert!(world.records()[0].contains("STREAM=stderr\nPRIORITY=5\n"));
}

#[test]
fn a_long_line_comes_in_pieces_and_no_character_is_cut() {
    let mut world = World::new();
    let mut log = world.add(&OUT);
    let text = format!("x{}", "€".repeat(LINE_MAX));
    let mut pieces = Vec::new();
    for piece in text.as_bytes().chunks(1000) {
        log.write_all(piece).unwrap();
        pieces.extend(world.all());
    }
    log.write_all(b"\nnext\n").unwrap();
    pieces.extend(world.all());
    assert_eq!(pieces.pop().as_deref(), Some("next"));
    assert!(pieces.len() >= 3, "{}", pieces.len());
    assert!(pieces.iter().all(|piece| piece.len() <= LINE_MAX));
    assert_eq!(pieces.concat(), text);
    // What has no characters is cut where it is too long.
    assert_eq!(cut(&vec![0x80; LINE_MAX + 1]), LINE_MAX);
}

#[test]
fn a_slow_journal_gets_everything_in_order_and_one_that_does_not_read_holds_up_nobody() {
    let mut world = World::new();
    let mut log = world.add(&OUT);
    let lines: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    log.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    world.outlet.end(OUT.name);
    assert!(
        world.outlet.pump() && world.outlet.pump(),
        "no socket takes so many"
    );
    assert_eq!(world.all(), lines);
    assert!(world.outlet.has_all_of(OUT.name));
    world.add(&OUT);
    log.write_all(&b"0123456789\n".repeat(20_000)).unwrap();
    let logs = world.logs();
    world.outlet.end_for_good(&OUT, &logs);
    for _ in 0..1000 {
        assert!(world.outlet.pump());
    }
    let taken = world.records().len();
    let lost = world.outlet.give_up(&logs);
    assert!(!world.outlet.has_all_of(OUT.name));
    let told = world.records().pop().unwrap();
    assert!(told.contains(native::STEP_OUTPUT_LOST), "{told}");
    let bytes = (20_000 - taken) * 11;
    assert!(told.contains(&format!("BYTES={bytes}\n")), "{told}");
    assert_eq!(lost, u64::try_from(bytes).unwrap());
}

#[test]
fn a_journal_that_is_gone_gets_nothing_and_nobody_waits() {
    let mut world = World::new();
    let mut log = world.add(&OUT);
    log.write_all(b"one\ntwo\n").unwrap();
    std::fs::remove_file(world.dir.path().join("socket")).unwrap();
    let (other, _) = UnixDatagram::pair().unwrap();
    drop(std::mem::replace(&mut world.journal, other));
    assert!(!world.outlet.pump());
    assert!(world.outlet.open.is_empty() && !world.outlet.has_all_of(OUT.name));
    // Later tries do not begin in the middle.
    world.add(&OUT);
    assert!(world.outlet.open.is_empty());
    // Nor does it take it in the end.
    let logs = world.logs();
    world.outlet.end_for_good(&OUT, &logs);
    assert!(!world.outlet.pump());
    assert_eq!(world.outlet.give_up(&logs), 8);
    assert!(!world.outlet.has_all_of(OUT.name));
}

#[test]
fn a_journal_that_was_away_gets_the_rest_in_the_end() {
    let mut world = World::new();
    let mut log = world.add(&OUT);
    log.write_all(b"one\n").unwrap();
    assert!(!world.outlet.pump());
    assert_eq!(world.messages(), ["one"]);
    log.write_all(b"two\n").unwrap();
    let path = world.dir.path().join("socket");
    std::fs::remove_file(&path).unwrap();
    let (other, _) = UnixDatagram::pair().unwrap();
    drop(std::mem::replace(&mut world.journal, other));
    assert!(!world.outlet.pump());
    world.journal = UnixDatagram::bind(&path).unwrap();
    world.journal.set_nonblocking(true).unwrap();
    let logs = world.logs();
    world.outlet.end_for_good(&OUT, &logs);
    assert!(!world.outlet.pump());
    assert_eq!(world.messages(), ["two"]);
    assert!(world.outlet.has_all_of(OUT.name));
    assert_eq!(world.outlet.give_up(&logs), 0);
}
