//! The reading side: from the last good offset to the last whole line, in bounded memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::format::{self, HEADER_MAX, Header, LINE_MAX};
use super::{Damage, JournalError};
use crate::model::{AttemptId, Record};

/// Least number of bytes read at a time.
const CHUNK_MIN: usize = 4096;

/// Reads the journal of one attempt while it grows.
///
/// It reads with `pread(2)`, so the descriptor may be a copy of the writer's. It keeps no bytes between calls.
#[derive(Debug)]
pub struct Reader {
    file: File,
    header: Header,
    offset: u64,
    next_seq: Option<u64>,
}

impl Reader {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`JournalError::NoHeader`] if the first line is not complete, [`JournalError::Newer`] if a newer release
    /// wrote it, [`JournalError::Damaged`].
    pub fn new(file: File) -> Result<Self, JournalError> {
        let mut bytes = vec![0; HEADER_MAX];
        let got = read_full(&file, &mut bytes, 0)?;
        bytes.truncate(got);
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return Err(if got < HEADER_MAX {
                JournalError::NoHeader {
                    len: u64::try_from(got).unwrap_or(0),
                }
            } else {
                JournalError::Damaged {
                    line: Some(1),
                    offset: 0,
                    damage: Damage::TooLong,
                }
            });
        };
        let header = format::decode_header(bytes.get(..end).unwrap_or_default())?;
        let offset = u64::try_from(end + 1).unwrap_or(0);
        Ok(Self {
            file,
            header,
            offset,
            next_seq: Some(0),
        })
    }

    /// Refuses the journal of another attempt.
    ///
    /// # Errors
    /// [`JournalError::OtherAttempt`].
    pub fn expect_attempt(self, expected: &AttemptId) -> Result<Self, JournalError> {
        if self.header.attempt == *expected {
            Ok(self)
        } else {
            let found = self.header.attempt;
            Err(JournalError::OtherAttempt {
                found,
                expected: expected.clone(),
            })
        }
    }

    /// Whose journal it is.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Where the next line begins: everything before it has been handed out.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of the next record; not known right after [`Self::resume_at`] without one.
    #[must_use]
    pub const fn next_seq(&self) -> Option<u64> {
        self.next_seq
    }

    /// Goes on from an offset that [`Self::offset`] gave earlier. Without the number that belongs to it, the next
    /// record's own is taken, and the ones behind must follow it. Offset 0 is the beginning.
    ///
    /// # Errors
    /// [`JournalError::Shrunk`] if the journal is shorter, [`JournalError::Damaged`] if no line begins there.
    pub fn resume_at(&mut self, offset: u64, next_seq: Option<u64>) -> Result<(), JournalError> {
        let Some(before) = offset.checked_sub(1) else {
            *self = Self::new(self.file.try_clone().map_err(JournalError::io("open"))?)?;
            return Ok(());
        };
        let mut byte = [0];
        if read_full(&self.file, &mut byte, before)? == 0 {
            return Err(JournalError::Shrunk {
                offset,
                len: self.len()?,
            });
        }
        if byte != *b"\n" {
            let line = next_seq.map(|seq| seq.saturating_add(2));
            return Err(JournalError::Damaged {
                line,
                offset,
                damage: Damage::NotALineStart,
            });
        }
        self.offset = offset;
        self.next_seq = next_seq;
        Ok(())
    }

    /// The records that were appended since the last call, from about `max_bytes` of journal and always at least
    /// one if there is one. An empty answer means that there is no further whole line yet.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] and [`JournalError::Shrunk`]. Good records before the damage are handed out first;
    /// the error comes with the next call, and again with each one after it.
    pub fn read_new(&mut self, max_bytes: usize) -> Result<Vec<Record>, JournalError> {
        // A poke brings a few lines; room for `max_bytes` would cost more to clear than they do to read.
        let there = usize::try_from(self.finish()?).unwrap_or(usize::MAX);
        if there == 0 {
            return Ok(Vec::new());
        }
        let mut want = max_bytes.min(there).clamp(CHUNK_MIN, LINE_MAX);
        let mut bytes = Vec::new();
        loop {
            let have = bytes.len();
            bytes.resize(want, 0);
            let room = bytes.get_mut(have..).unwrap_or_default();
            let at = self
                .offset
                .saturating_add(u64::try_from(have).unwrap_or(u64::MAX));
            let got = read_full(&self.file, room, at)?;
            bytes.truncate(have + got);
            if bytes.is_empty() {
                return self.nothing();
            }
            if bytes.contains(&b'\n') {
                return self.take(&bytes);
            }
            if bytes.len() < want {
                // The rest of this line is not there yet, or never will be.
                return Ok(Vec::new());
            }
            if want >= LINE_MAX {
                return Err(self.damaged(Damage::TooLong));
            }
            want = want.saturating_mul(2).min(LINE_MAX);
        }
    }

    /// To be called when the writer is gone and [`Self::read_new`] gives nothing more: how many bytes of a torn
    /// line there are behind the last record. They count as not written.
    ///
    /// # Errors
    /// [`JournalError::Io`], and [`JournalError::Shrunk`] if less is there than was read.
    pub fn finish(&self) -> Result<u64, JournalError> {
        let len = self.len()?;
        len.checked_sub(self.offset).ok_or(JournalError::Shrunk {
            offset: self.offset,
            len,
        })
    }

    fn len(&self) -> Result<u64, JournalError> {
        Ok(self.file.metadata().map_err(JournalError::io("inspect"))?.len())
    }

    fn nothing(&self) -> Result<Vec<Record>, JournalError> {
        self.finish().map(|_| Vec::new())
    }

    fn damaged(&self, damage: Damage) -> JournalError {
        // The header is line 1 and record 0 is line 2.
        let line = self.next_seq.map(|seq| seq.saturating_add(2));
        JournalError::Damaged {
            line,
            offset: self.offset,
            damage,
        }
    }

    /// Decodes the whole lines and moves on behind them.
    fn take(&mut self, bytes: &[u8]) -> Result<Vec<Record>, JournalError> {
        let mut records = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some((b'\n', text)) = line.split_last() else {
                break;
            };
            match format::decode_record(text, self.next_seq) {
                Ok(record) => {
                    self.offset += u64::try_from(line.len()).unwrap_or(0);
                    self.next_seq = Some(record.seq.saturating_add(1));
                    records.push(record);
                }
                Err(damage) if records.is_empty() => return Err(self.damaged(damage)),
                Err(_) => break,
            }
        }
        Ok(records)
    }
}

/// Fills the buffer as far as the file goes.
fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, JournalError> {
    let mut done = 0;
    while let Some(room) = buffer.get_mut(done..).filter(|room| !room.is_empty()) {
        let at = offset.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
        match file.read_at(room, at) {
            Ok(0) => break,
            Ok(got) => done += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(JournalError::io("read")(error)),
        }
    }
    Ok(done)
}
