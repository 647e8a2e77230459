//! Torn, changed and foreign journals, and disks that are full.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io;

use proptest::prelude::*;

use super::super::*;
use super::{facts, file, header, read_all, sample};
use crate::model::{Fact, Node, RunStatus, Time, limits};

/// A disk of limited size, which may also fail to cut a file.
#[derive(Default)]
struct Disk {
    bytes: RefCell<Vec<u8>>,
    room: Cell<usize>,
    cut_fails: Cell<bool>,
}

impl Sink for &Disk {
    fn write_at(&self, bytes: &[u8], _: u64) -> io::Result<usize> {
        // As with O_APPEND: always at the end.
        let mut all = self.bytes.borrow_mut();
        let taken = bytes.len().min(self.room.get().saturating_sub(all.len()));
        if taken == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        all.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.cut_fails.get() {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.bytes.borrow_mut().truncate(usize::try_from(len).unwrap());
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let disk = Disk {
        room: Cell::new(1 << 20),
        ..Disk::default()
    };
    let mut writer = Writer::begin(&disk, header()).unwrap();
    let mut good = vec![writer.append(Time(1), Fact::Started { pid: 1 }).unwrap()];
    for room in 0..200 {
        disk.room.set(disk.bytes.borrow().len() + room);
        let before = disk.bytes.borrow().len();
        match writer.append(Time(2), Fact::TimedOut {}) {
            Ok(record) => {
                good.push(record);
                continue;
            }
            Err(JournalError::Short { written, .. }) => assert_eq!(written, room),
            Err(error) => assert!(matches!(error, JournalError::Io { .. }) && room == 0, "{error}"),
        }
        // A reader takes the rest of the line for torn, and the next try takes it back.
        let (read, torn) = read_all(&disk.bytes.borrow(), 4096);
        assert_eq!(
            (read, torn.unwrap()),
            (good.clone(), (disk.bytes.borrow().len() - before) as u64)
        );
        disk.room.set(1 << 20);
        disk.cut_fails.set(room > 0);
        if room > 0 {
            writer.append(Time(3), Fact::TimedOut {}).unwrap_err();
        }
        disk.cut_fails.set(false);
        good.push(writer.append(Time(3), Fact::KillEscalated {}).unwrap());
    }
    let (read, torn) = read_all(&disk.bytes.borrow(), 4096);
    assert_eq!((read, torn.unwrap()), (good, 0));
}

#[test]
fn a_batch_cut_short_keeps_its_whole_lines() {
    let all = facts();
    let disk = Disk {
        room: Cell::new(1 << 20),
        ..Disk::default()
    };
    let begin = {
        Writer::begin(&disk, header()).unwrap();
        disk.bytes.borrow().len()
    };
    for room in 1..400 {
        disk.bytes.borrow_mut().clear();
        disk.room.set(1 << 20);
        let mut writer = Writer::begin(&disk, header()).unwrap();
        disk.room.set(begin + room);
        let error = writer.append_all(Time(1), all.clone()).unwrap_err();
        let seen = read_all(&disk.bytes.borrow(), 4096).0;
        assert_eq!(seen, error.written, "what a reader may have seen stays");
        disk.room.set(1 << 20);
        let rest = writer.append_all(Time(1), all[seen.len()..].to_vec()).unwrap();
        let (read, torn) = read_all(&disk.bytes.borrow(), 4096);
        assert_eq!(read, [seen, rest].concat());
        assert_eq!((read.len(), torn.unwrap()), (all.len(), 0));
    }
}

#[test]
fn long_texts_are_cut_between_characters() {
    let mut writer = Writer::create(file(), header()).unwrap();
    let long = "\u{e4}".repeat(limits::TEXT_MAX);
    let record = writer
        .append(Time(1), Fact::PreconditionsUnmet { reason: long })
        .unwrap();
    let Fact::PreconditionsUnmet { reason } = &record.fact else {
        panic!()
    };
    assert!(reason.len() <= limits::TEXT_MAX && reason.ends_with("\u{e4}... [cut]"));

    // A value of a megabyte is kept whole; what cannot be in one line is cut until it can.
    let value = "x".repeat(1 << 20);
    let kept = writer
        .append(
            Time(2),
            Fact::NodeOutput {
                node: Node::Step(0),
                name: "A".to_owned(),
                value: value.clone(),
            },
        )
        .unwrap();
    assert!(matches!(&kept.fact, Fact::NodeOutput { value: v, .. } if *v == value));
    let outputs = (0..20)
        .map(|n| (n.to_string(), "\u{1}".repeat(1 << 16)))
        .collect();
    let cut = writer
        .append(
            Time(3),
            Fact::Ended {
                status: RunStatus::Succeeded,
                error: None,
                outputs,
                retry: false,
            },
        )
        .unwrap();
    let mut reader = Reader::new(writer.into_file()).unwrap();
    let mut read = Vec::new();
    while let [first, ..] = &reader.read_new(4096).unwrap()[..] {
        read.push(first.clone());
    }
    assert_eq!(read, [record, kept, cut]);
}

#[test]
fn very_many_outputs_do_not_keep_the_end_out() {
    let mut writer = Writer::create(file(), header()).unwrap();
    let outputs = |count: u32, text: &str| (0..count).map(|n| (format!("{n}"), text.to_owned())).collect();
    for (count, text, kept) in [
        (100_000, "x".repeat(20), 100_000),
        (30_000, "\u{1}".repeat(60), 4096),
    ] {
        let fact = Fact::Ended {
            status: RunStatus::Succeeded,
            error: None,
            outputs: outputs(count, &text),
            retry: false,
        };
        let record = writer.append(Time(1), fact).unwrap();
        assert!(matches!(&record.fact, Fact::Ended { outputs, .. } if outputs.len() == kept));
    }
}

#[test]
fn a_device_without_room_is_an_error() {
    let full = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/full")
        .unwrap();
    let error = Writer::begin(full, header()).unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::Io {
                operation: "write to",
                ..
            }
        ),
        "{error}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let (read, _) = read_all(&bytes, 1);
        prop_assert_eq!(read, []);
        let (mut good, written) = sample();
        good.extend(&bytes);
        prop_assert_eq!(&read_all(&good, 1).0[..written.len()], &written[..]);
    }

    #[test]
    fn any_texts_come_back(texts in proptest::collection::vec(".{0,40}|\\PC{0,40}", 0..20)) {
        let disk = Disk { room: Cell::new(1 << 20), ..Disk::default() };
        let mut writer = Writer::begin(&disk, header()).unwrap();
        let facts = texts.iter().map(|text| Fact::Params { params: vec![(text.clone(), text.clone())] });
        let written = writer.append_all(Time(-1), facts).unwrap();
        let (read, end) = read_all(&disk.bytes.borrow(), 1);
        prop_assert_eq!(read, written);
        prop_assert_eq!(end.unwrap(), 0);
    }

    #[test]
    fn lines_put_in_another_order_are_noticed(a in 1usize..7, b in 1usize..7) {
        prop_assume!(a != b);
        let text = String::from_utf8(sample().0).unwrap();
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.swap(a, b);
        let (read, end) = read_all(lines.concat().as_bytes(), 4096);
        prop_assert_eq!(read.len(), a.min(b) - 1);
        let noticed = matches!(end, Err(JournalError::Damaged { damage: Damage::Sequence { .. }, .. }));
        prop_assert!(noticed);
    }
}
