//! Files that the shim makes in the attempt's log directory, and small ones of the user's that it reads. Everything is
//! opened with the rights of the job's user.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::children::Streams;
use crate::dag::types::LogOutput;
use crate::model::Node;
use crate::sys::files::{Create, Dir};

/// Most bytes read at a time.
const COPY_PIECE: usize = 64 * 1024;

/// The log files of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogNames {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl LogNames {
    /// `0003-build.out` and `0003-build.err`, or one `.log`; a handler's begin with its kind.
    pub(super) fn of(node: Node, name: &str, output: LogOutput) -> Self {
        let prefix = match node {
            Node::Step(index) => format!("{:04}", index.saturating_add(1)),
            Node::Handler(handler) => format!("on-{}", handler.as_str()),
        };
        let stem = format!("{prefix}-{}", safe_name(name));
        match output {
            LogOutput::Separate => Self {
                stdout: format!("{stem}.out"),
                stderr: format!("{stem}.err"),
            },
            LogOutput::Merged => Self {
                stdout: format!("{stem}.log"),
                stderr: format!("{stem}.log"),
            },
        }
    }

    /// Opens both for appending: a retry goes on in the same files.
    pub(super) fn open(&self, dir: &Dir) -> io::Result<Streams> {
        let stdout = open_log(dir, &self.stdout)?;
        let stderr = if self.stdout == self.stderr {
            stdout.try_clone()?
        } else {
            open_log(dir, &self.stderr)?
        };
        Ok(Streams { stdout, stderr })
    }
}

/// Opened for reading too, for captured output and error tails; appending is set behind it.
fn open_log(dir: &Dir, name: &str) -> io::Result<File> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let file = dir.create_file(name, 0o600, Create::Open)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
    Ok(file)
}

/// A name as part of a file name: other characters become `_`, at most 60 bytes.
fn safe_name(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c
        } else {
            '_'
        }
    };
    name.chars().take(60).map(plain).collect()
}

/// How long a file is.
pub(super) fn length(file: &File) -> u64 {
    file.metadata().map(|data| data.len()).unwrap_or(0)
}

/// What was written to a log behind `from`, trimmed: the captured output.
///
/// # Errors
/// In words, when it is larger than `limit`.
pub(super) fn captured(file: &File, from: u64, limit: u64) -> Result<String, String> {
    let size = length(file).saturating_sub(from);
    check_captured(size, limit)?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)
        .map_err(|error| format!("reading the captured output: {error}"))?;
    Ok(trimmed(&bytes))
}

/// Whether a captured output is small enough.
pub(super) fn check_captured(size: u64, limit: u64) -> Result<(), String> {
    if size > limit {
        return Err(format!(
            "the captured output has {size} bytes; at most {limit} are allowed (max_output_size)"
        ));
    }
    Ok(())
}

/// Captured bytes as a value.
pub(super) fn trimmed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Reads what was written behind `from`, piece by piece, as long as the reader wants more.
pub(super) fn read_pieces(log: &File, from: u64, mut reader: impl FnMut(&[u8]) -> bool) {
    let mut at = from;
    let mut piece = vec![0; COPY_PIECE];
    while let Ok(n @ 1..) = log.read_at(&mut piece, at)
        && reader(piece.get(..n).unwrap_or_default())
    {
        at += n as u64;
    }
}

/// Reads a small text file of the user's (a dotenv file, a secret). `None` if there is no regular file of that name; a
/// FIFO or device does not hold the shim up.
pub(super) fn read_small(path: &Path, limit: u64) -> io::Result<Option<String>> {
    let opened = without_waiting(OpenOptions::new().read(true)).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let bytes = crate::sys::files::read_at_most(&mut file, limit)?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8"))
}

/// Opens so that neither a FIFO without another end holds the shim up nor a terminal becomes its own.
pub(super) fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
}
