//! The writing side: one line is one write, and what could not be written whole is taken back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::format::{self, Header};
use super::{JournalError, Reader};
use crate::model::{Fact, Record, Time};

/// Bytes read at a time when a journal is taken up.
const RESUME_CHUNK: usize = 256 * 1024;

/// Where lines go: a file, or in tests one that fails.
pub trait Sink {
    /// Writes at this offset, which is the end of what is good, with one system call; says how much was taken.
    ///
    /// # Errors
    /// As `pwrite(2)`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts to this length.
    ///
    /// # Errors
    /// As `ftruncate(2)`.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// As `fdatasync(2)`.
    fn sync(&self) -> io::Result<()>;
}

impl Sink for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// An append that failed, wholly or in part.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct AppendError {
    /// The records that are in the journal nevertheless, and stay there: a reader may have seen them. Only the
    /// facts behind them are to be tried again.
    pub written: Vec<Record>,
    /// Why the rest is not.
    #[source]
    pub error: JournalError,
}

impl From<JournalError> for AppendError {
    fn from(error: JournalError) -> Self {
        Self {
            written: Vec::new(),
            error,
        }
    }
}

/// Appends to the journal of one attempt. There is one writer at a time.
///
/// The process should ignore `SIGXFSZ`, so that a file-size limit is an error here and not the end.
#[derive(Debug)]
pub struct Writer<S = File> {
    sink: S,
    header: Header,
    /// Length of the whole lines.
    len: u64,
    next_seq: u64,
    /// Whether there may be a part of a line behind `len`.
    torn: bool,
}

impl Writer<File> {
    /// Begins a journal in an empty file and syncs its header. The daemon does this before it hands the
    /// descriptor over. The file must be open for reading and writing, with `O_APPEND`.
    ///
    /// # Errors
    /// [`JournalError::Io`], also if the file is not empty.
    pub fn create(file: File, header: Header) -> Result<Self, JournalError> {
        let len = file.metadata().map_err(JournalError::io("inspect"))?.len();
        if len != 0 {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, "the file is not empty");
            return Err(JournalError::Io {
                operation: "create",
                source,
            });
        }
        Self::begin(file, header)
    }

    /// Takes a journal up where it ends, as the shim does with the descriptor it was given: checks every line,
    /// and cuts off a torn one at the end.
    ///
    /// # Errors
    /// Everything [`Reader`] may find; a damaged journal is not continued.
    pub fn resume(file: File) -> Result<Self, JournalError> {
        let copy = file.try_clone().map_err(JournalError::io("open"))?;
        let mut reader = Reader::new(copy)?;
        while !reader.read_new(RESUME_CHUNK)?.is_empty() {}
        let torn = reader.finish()? > 0;
        let (len, next_seq) = (reader.offset(), reader.next_seq().unwrap_or(0));
        let mut writer = Self {
            sink: file,
            header: reader.header().clone(),
            len,
            next_seq,
            torn,
        };
        writer.mend()?;
        Ok(writer)
    }

    /// Gives the file back, to hand its descriptor over.
    #[must_use]
    pub fn into_file(self) -> File {
        self.sink
    }
}

impl<S: Sink> Writer<S> {
    /// As [`Writer::create`], for any empty sink.
    ///
    /// # Errors
    /// [`JournalError::Io`] or [`JournalError::Short`].
    pub fn begin(sink: S, header: Header) -> Result<Self, JournalError> {
        let line = format::encode_header(&header)?;
        let mut writer = Self {
            sink,
            header,
            len: 0,
            next_seq: 0,
            torn: false,
        };
        writer.put(&line)?;
        writer.sync()?;
        Ok(writer)
    }

    /// Whose journal it is.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Length of the whole lines in bytes: where a reader is that has read everything.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.len
    }

    /// Appends one fact with one `write(2)`. Texts that are too long are cut; the record that is returned
    /// is as it was written.
    ///
    /// # Errors
    /// Nothing is appended then, and the same fact may be tried again: what was written of the line is cut off
    /// first.
    pub fn append(&mut self, at: Time, fact: Fact) -> Result<Record, JournalError> {
        let mut record = Record {
            seq: self.next_seq,
            at,
            fact,
        };
        let line = format::encode_record(&mut record)?;
        self.put(&line)?;
        self.next_seq += 1;
        Ok(record)
    }

    /// Appends several facts with one `write(2)`.
    ///
    /// # Errors
    /// [`AppendError::written`] are the first ones, which are in the journal; the others are not. One fact
    /// that cannot be encoded keeps all out.
    pub fn append_all(
        &mut self,
        at: Time,
        facts: impl IntoIterator<Item = Fact>,
    ) -> Result<Vec<Record>, AppendError> {
        let mut records = Vec::new();
        let mut lines = Vec::new();
        let mut ends = Vec::new();
        for (seq, fact) in (self.next_seq..).zip(facts) {
            let mut record = Record { seq, at, fact };
            lines.extend(format::encode_record(&mut record)?);
            ends.push(lines.len());
            records.push(record);
        }
        if records.is_empty() {
            return Ok(records);
        }
        let begin = self.len;
        match self.put(&lines) {
            Ok(()) => {
                self.next_seq += u64::try_from(records.len()).unwrap_or(u64::MAX);
                Ok(records)
            }
            Err(error) => {
                let written = match error {
                    JournalError::Short { written, .. } => written,
                    _ => 0,
                };
                let whole = ends.iter().take_while(|end| **end <= written).count();
                if let Some(end) = whole.checked_sub(1).and_then(|last| ends.get(last)) {
                    self.len = begin + u64::try_from(*end).unwrap_or(0);
                    self.next_seq += u64::try_from(whole).unwrap_or(0);
                }
                records.truncate(whole);
                Err(AppendError {
                    written: records,
                    error,
                })
            }
        }
    }

    /// Waits until everything appended is on the disk. Terminal records are only told to others after this.
    ///
    /// # Errors
    /// [`JournalError::Io`]. After a failed sync the kernel may have dropped the data; the attempt must not
    /// count on it.
    pub fn sync(&self) -> Result<(), JournalError> {
        self.sink.sync().map_err(JournalError::io("sync"))
    }

    /// Cuts off what a failed write left.
    fn mend(&mut self) -> Result<(), JournalError> {
        if self.torn {
            self.sink
                .set_len(self.len)
                .map_err(JournalError::io("cut a torn line off"))?;
            self.torn = false;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.mend()?;
        let written = loop {
            match self.sink.write_at(bytes, self.len) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match written.map_err(JournalError::io("write to"))? {
            written if written == bytes.len() => {
                self.len += u64::try_from(written).unwrap_or(0);
                Ok(())
            }
            written => {
                self.torn = true;
                Err(JournalError::Short {
                    written,
                    len: bytes.len(),
                })
            }
        }
    }
}
