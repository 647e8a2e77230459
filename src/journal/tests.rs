//! Tests of the journal: what is appended is read, and nothing else.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use super::*;
use crate::model::{
    Cause, DagName, Exit, Fact, Node, OomScope, OomVictim, Record, RunId, RunRef, RunStatus, StepStatus,
};
use crate::model::{Time, Usage};

fn header() -> Header {
    let run = RunRef {
        dag: DagName::new("etl.daily").unwrap(),
        id: RunId::new("run-001").unwrap(),
    };
    let attempt = AttemptId::derive(&run, 1);
    Header::new(run, attempt, 1, Time::from_secs(1_738_367_999))
}

/// A file in memory where there is one to be had: these tests are about bytes, not about disks.
fn file() -> File {
    tempfile::tempfile_in("/dev/shm")
        .or_else(|_| tempfile::tempfile())
        .unwrap()
}

fn with_bytes(bytes: &[u8]) -> File {
    let mut file = file();
    file.write_all(bytes).unwrap();
    file
}

fn bytes_of(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn facts() -> Vec<Fact> {
    let node = Node::Step(0);
    vec![
        Fact::Started { pid: 42 },
        Fact::NodeStarted {
            node,
            stdout: "a.out".to_owned(),
            stderr: "a.err".to_owned(),
        },
        Fact::NodeExited {
            node,
            exit: Exit::Signal {
                signal: 9,
                core: false,
            },
            cause: Some(Cause::OutOfMemory {
                killed: 1,
                total: 2,
                scope: OomScope::Attempt { limit: Some(3) },
                victim: OomVictim::Below {},
            }),
        },
        Fact::NodeOutput {
            node,
            name: "X".to_owned(),
            value: "line\nfeed \u{1b}[31m \u{202e} \0".to_owned(),
        },
        Fact::NodeEnded {
            node,
            status: StepStatus::Failed,
            exit_code: Some(-1),
            error: Some("killed".to_owned()),
            done_count: 1,
            tolerated: false,
            cause: Some(Cause::StepTimeout {}),
        },
        Fact::Used {
            usage: Usage {
                cpu_user_usec: Some(u64::MAX),
                ..Usage::UNKNOWN
            },
        },
        Fact::Ended {
            status: RunStatus::Failed,
            error: None,
            outputs: Vec::new(),
            retry: true,
        },
    ]
}

/// A journal with all of [`facts`] and the records as they were written.
fn sample() -> (Vec<u8>, Vec<Record>) {
    static SAMPLE: LazyLock<(Vec<u8>, Vec<Record>)> = LazyLock::new(|| {
        let mut writer = Writer::create(file(), header()).unwrap();
        let records = facts()
            .into_iter()
            .map(|fact| writer.append(Time(7), fact).unwrap())
            .collect();
        writer.sync().unwrap();
        (bytes_of(&writer.into_file()), records)
    });
    SAMPLE.clone()
}

/// Everything that can be read, and the error that ended it, if one did.
fn read_all(bytes: &[u8], chunk: usize) -> (Vec<Record>, Result<u64, JournalError>) {
    let mut reader = match Reader::new(with_bytes(bytes)) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut all = Vec::new();
    loop {
        match reader.read_new(chunk) {
            Ok(records) if records.is_empty() => return (all, reader.finish()),
            Ok(records) => all.extend(records),
            Err(error) => return (all, Err(error)),
        }
    }
}

#[test]
fn the_first_line_is_as_documented() {
    let (bytes, _) = sample();
    let text = String::from_utf8(bytes).unwrap();
    let first = text.lines().next().unwrap();
    let (crc, json) = first.split_at(9);
    assert_eq!(crc, format!("{:08x} ", crc32fast::hash(json.as_bytes())));
    assert_eq!(
        json,
        "{\"proctor_journal\":1,\"run\":{\"dag\":\"etl.daily\",\"id\":\"run-001\"},\
         \"attempt\":\"67fbe16c3a6d1f5e\",\"number\":1,\"created_at\":1738367999000000}"
            .replace("67fbe16c3a6d1f5e", header().attempt.as_str())
    );
    assert_eq!(text.lines().count(), 1 + facts().len());
}

#[test]
fn what_is_written_is_read() {
    let (bytes, written) = sample();
    assert_eq!(
        written.iter().map(|r| r.seq).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
    assert_eq!(
        written.iter().map(|r| r.fact.clone()).collect::<Vec<_>>(),
        facts()
    );
    let (read, end) = read_all(&bytes, 1);
    assert_eq!(read, written);
    assert_eq!(end.unwrap(), 0);
}

#[test]
fn t08_a_torn_tail_at_every_byte_is_cut_and_written_over() {
    let (bytes, written) = sample();
    let ends: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    for cut in 0..bytes.len() {
        let whole = ends.iter().take_while(|end| **end <= cut).count();
        let (read, end) = read_all(&bytes[..cut], 4096);
        if whole == 0 {
            assert!(
                matches!(end, Err(JournalError::NoHeader { len }) if len == cut as u64),
                "{cut}"
            );
            continue;
        }
        assert_eq!(read, written[..whole - 1], "{cut}");
        assert_eq!(end.unwrap(), (cut - ends[whole - 1]) as u64, "{cut}");

        let mut writer = Writer::resume(with_bytes(&bytes[..cut])).unwrap();
        let record = writer.append(Time(8), Fact::TimedOut {}).unwrap();
        assert_eq!(record.seq, whole as u64 - 1);
        let (read, end) = read_all(&bytes_of(&writer.into_file()), 4096);
        assert_eq!(
            (read.last(), read.len(), end.unwrap()),
            (Some(&record), whole, 0),
            "{cut}"
        );
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (bytes, written) = sample();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let (read, end) = read_all(&damaged, 4096);
            // What was before the damage is still handed out, and nothing false is.
            assert!(
                read.len() < written.len() && read == written[..read.len()],
                "byte {at} bit {bit}"
            );
            match end {
                Err(JournalError::Damaged { line, offset, .. }) => {
                    assert!(
                        offset <= at as u64
                            && line == Some(read.len() as u64 + if offset == 0 { 1 } else { 2 })
                    );
                }
                // The last line feed is gone: a torn line.
                Ok(torn) => assert!(torn > 0 && at == bytes.len() - 1),
                Err(error) => panic!("byte {at} bit {bit}: {error}"),
            }
        }
    }
}

#[test]
fn an_error_stays() {
    let (mut bytes, _) = sample();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    let mut reader = Reader::new(with_bytes(&bytes)).unwrap();
    assert_eq!(reader.read_new(1 << 20).unwrap().len(), 6);
    for _ in 0..2 {
        let error = reader.read_new(1 << 20).unwrap_err();
        assert!(error.is_damage());
        assert!(
            error
                .to_string()
                .contains(&format!("byte {}, line 8: its checksum", reader.offset())),
            "{error}"
        );
    }
    assert!(Writer::resume(with_bytes(&bytes)).is_err());
}

fn line(json: &str) -> String {
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

#[test]
fn other_headers_are_refused_each_for_its_reason() {
    let reject = |text: &str| Reader::new(with_bytes(text.as_bytes())).unwrap_err();
    let newer = reject(&line("{\"proctor_journal\":2,\"other\":[]}"));
    assert!(matches!(newer, JournalError::Newer { found: 2 }));
    assert!(newer.to_string().contains("upgrade proctord"));
    assert!(matches!(reject(""), JournalError::NoHeader { len: 0 }));
    for json in [
        "{}",
        "[]",
        "{\"proctor_journal\":0}",
        "{\"proctor_journal\":1}",
        "x",
    ] {
        let error = reject(&line(json));
        assert!(
            matches!(
                error,
                JournalError::Damaged {
                    line: Some(1),
                    damage: Damage::Content(_),
                    ..
                }
            ),
            "{error}"
        );
    }
    let endless = reject(&"x".repeat(5000));
    assert!(matches!(
        endless,
        JournalError::Damaged {
            damage: Damage::TooLong,
            ..
        }
    ));
    let other = AttemptId::new("ffff").unwrap();
    let (bytes, _) = sample();
    let error = Reader::new(with_bytes(&bytes))
        .unwrap()
        .expect_attempt(&other)
        .unwrap_err();
    assert!(matches!(error, JournalError::OtherAttempt { .. }));
    assert!(Writer::create(with_bytes(&bytes), header()).is_err());
}

#[test]
fn a_record_out_of_turn_or_of_an_unknown_kind_is_damage() {
    let head = String::from_utf8(bytes_of(&Writer::create(file(), header()).unwrap().into_file())).unwrap();
    let check = |json: &str| match read_all(format!("{head}{}", line(json)).as_bytes(), 4096).1 {
        Err(JournalError::Damaged {
            damage,
            line: Some(2),
            ..
        }) => damage,
        other => panic!("{other:?}"),
    };
    let skipped = check("{\"seq\":1,\"at\":7,\"fact\":{\"fact\":\"timed_out\"}}");
    assert_eq!(
        skipped,
        Damage::Sequence {
            found: 1,
            expected: 0
        }
    );
    let unknown = check("{\"seq\":0,\"at\":7,\"fact\":{\"fact\":\"\u{1b}[2J\"}}");
    assert!(
        matches!(&unknown, Damage::Content(text) if !text.contains('\u{1b}')),
        "{unknown}"
    );
    assert!(matches!(check(&"[".repeat(100_000)), Damage::Content(_)));
}

#[test]
fn reading_goes_on_where_it_stopped() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let open = || {
        OpenOptions::new()
            .read(true)
            .append(true)
            .open(path.path())
            .unwrap()
    };
    let mut writer = Writer::create(open(), header()).unwrap();
    let mut reader = Reader::new(open()).unwrap();
    assert_eq!(reader.read_new(4096).unwrap(), []);
    let first = writer.append(Time(1), Fact::Started { pid: 1 }).unwrap();
    assert_eq!(reader.read_new(4096).unwrap(), [first]);
    assert_eq!(reader.offset(), writer.offset());
    let rest = writer
        .append_all(Time(2), [Fact::TimedOut {}, Fact::KillEscalated {}])
        .unwrap();

    for next_seq in [Some(1), None] {
        let mut again = Reader::new(open()).unwrap();
        again.resume_at(reader.offset(), next_seq).unwrap();
        assert_eq!(again.read_new(4096).unwrap(), rest);
        assert_eq!((again.next_seq(), again.offset()), (Some(3), writer.offset()));
        again.resume_at(0, None).unwrap();
        assert_eq!(again.read_new(1 << 20).unwrap().len(), 3);
    }
    let mut astray = Reader::new(open()).unwrap();
    let error = astray.resume_at(reader.offset() - 1, None).unwrap_err();
    assert!(matches!(
        error,
        JournalError::Damaged {
            damage: Damage::NotALineStart,
            ..
        }
    ));
    assert!(matches!(
        astray.resume_at(1 << 40, None).unwrap_err(),
        JournalError::Shrunk { .. }
    ));
    reader.read_new(1 << 20).unwrap();
    open().set_len(10).unwrap();
    assert!(matches!(
        reader.read_new(4096).unwrap_err(),
        JournalError::Shrunk { len: 10, .. }
    ));
}

#[test]
fn a_line_without_end_is_refused_in_bounded_memory() {
    let file = Writer::create(file(), header()).unwrap().into_file();
    // A hole of a terabyte, as the job's user could make it.
    file.set_len(1 << 40).unwrap();
    let error = Reader::new(file).unwrap().read_new(1 << 20).unwrap_err();
    assert!(matches!(
        error,
        JournalError::Damaged {
            damage: Damage::TooLong,
            ..
        }
    ));
}

mod faults;
