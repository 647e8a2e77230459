//! Opening: look before touching. A file that is not ours, damaged or newer is refused and stays as it is, and a
//! new database appears under its name only when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::OpenError;
use super::schema::{self, APPLICATION_ID};

/// Bytes up to which a database that was not closed properly is checked page by page (about a tenth of a
/// second). SQLite survives a crash by design, so for a larger one it is `doctor` that looks at every page.
const QUICK_CHECK_MAX: u64 = 64 * 1024 * 1024;
/// Bytes to which the write-ahead log is cut when it starts over.
const WAL_KEEP: i64 = 16 * 1024 * 1024;
/// The fixed part of a database file.
const HEADER: usize = 100;
const STATEMENTS: usize = 64;

/// A path beside the database: the same name and `suffix`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens the database for the writer; makes it if there is none.
pub(super) fn writer(path: &Path, wait: Duration, migrations: &[&str]) -> Result<Connection, OpenError> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    if !dir.is_dir() {
        return Err(OpenError::DirectoryMissing(dir.to_owned()));
    }
    let wal = match fs::metadata(beside(path, "-wal")) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(OpenError::io(path, error)),
    };
    match File::open(path) {
        Ok(file) => look(path, file, wal, schema::newest(migrations))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if wal > 0 {
                return Err(OpenError::corrupt(
                    path,
                    "the file is gone but its write-ahead log is there",
                ));
            }
            create(path, dir, migrations)?;
        }
        Err(error) => return Err(OpenError::io(path, error)),
    }
    // Not opened for writing by SQLite alone: it would fall back to reading and fail much later.
    OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|error| OpenError::io(path, error))?;
    let sqlite = |error: rusqlite::Error| OpenError::sqlite(path, &error);
    let mut connection = connect(path, wait).map_err(sqlite)?;
    if wal > 0 {
        check_pages(&connection, path)?;
    }
    schema::migrate(&mut connection, path, migrations)?;
    Ok(connection)
}

/// Checks that the newest schema is whole.
pub(super) fn check_schema(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    match schema::missing(connection).map_err(|error| OpenError::sqlite(path, &error))? {
        None => Ok(()),
        Some(name) => Err(OpenError::corrupt(
            path,
            format!("table or index `{name}` is missing"),
        )),
    }
}

/// Opens the database for reading.
pub(super) fn reader(path: &Path, wait: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection, wait)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path, wait: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection, wait)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEEP)?;
    Ok(connection)
}

fn prepare(connection: &Connection, wait: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(wait)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Nothing of ours is ever put in a directory for temporary files.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// Reads the header without SQLite, which would already make files beside it.
fn look(path: &Path, file: File, wal: u64, known: u32) -> Result<(), OpenError> {
    let other = |what: &str| OpenError::NotADatabase {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let meta = file.metadata().map_err(|error| OpenError::io(path, error))?;
    if !meta.is_file() {
        return Err(other("it is not a regular file"));
    }
    let mut header = Vec::with_capacity(HEADER);
    file.take(100)
        .read_to_end(&mut header)
        .map_err(|error| OpenError::io(path, error))?;
    if header.is_empty() {
        // A new database gets its name when it is complete, so an empty file has lost its content.
        return Err(OpenError::corrupt(path, "the file is empty"));
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(other("the file has another format"));
    }
    let (Some(version), Some(application)) = (number(&header, 60), number(&header, 68)) else {
        return Err(OpenError::corrupt(path, "the file ends inside its header"));
    };
    if application != APPLICATION_ID {
        return Err(other("it is the SQLite database of another program"));
    }
    if version > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
            known,
        });
    }
    match promised(&header) {
        // With a log the file may be behind its header: the log has the pages.
        Some(bytes) if wal == 0 && meta.len() < bytes => {
            let what = format!("it has {} bytes of {bytes}", meta.len());
            Err(OpenError::corrupt(path, what))
        }
        _ => Ok(()),
    }
}

/// The size of the file as its header tells it, if the header's number of pages is valid (file format, 1.3.7).
fn promised(header: &[u8]) -> Option<u64> {
    let page = match u64::from(number(header, 16)? >> 16) {
        1 => 65536,
        size => size,
    };
    let valid = number(header, 24)? == number(header, 92)?;
    valid.then_some(page * u64::from(number(header, 28)?))
}

fn number(header: &[u8], at: usize) -> Option<u32> {
    let bytes = header.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// Makes a complete database under another name, then gives it its own. A crash leaves nothing or all of it.
fn create(path: &Path, dir: &Path, migrations: &[&str]) -> Result<(), OpenError> {
    let new = beside(path, ".new");
    discard(&new).map_err(|error| OpenError::io(path, error))?;
    let made = make(&new, path, migrations);
    if made.is_err() {
        // Best effort: the next start does it again, and the error that is told is the first one.
        drop(discard(&new));
        return made;
    }
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| OpenError::io(path, error))
}

fn make(new: &Path, path: &Path, migrations: &[&str]) -> Result<(), OpenError> {
    let io = |error: io::Error| OpenError::io(path, error);
    // SQLite gives the files beside the database the mode of the database.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)
        .map_err(io)?;
    fill(new, path, migrations)?;
    file.sync_all().map_err(io)?;
    // A link, not a rename: it cannot replace anything.
    fs::hard_link(new, path).map_err(io)?;
    fs::remove_file(new).map_err(io)
}

fn discard(new: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(new, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn fill(new: &Path, path: &Path, migrations: &[&str]) -> Result<(), OpenError> {
    let sqlite = |error: rusqlite::Error| OpenError::sqlite(path, &error);
    let mut connection = connect(new, Duration::ZERO).map_err(sqlite)?;
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(sqlite)?;
    schema::migrate(&mut connection, path, migrations)?;
    // Closing moves the write-ahead log into the file; an error there must not be lost.
    connection.close().map_err(|(_, error)| sqlite(error))?;
    match fs::metadata(beside(new, "-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OpenError::io(path, error)),
        Ok(_) => Err(OpenError::DiskFull(path.to_owned())),
    }
}

fn check_pages(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let size = fs::metadata(path)
        .map_err(|error| OpenError::io(path, error))?
        .len();
    if size > QUICK_CHECK_MAX {
        return Ok(());
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| OpenError::sqlite(path, &error))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(OpenError::corrupt(path, verdict))
    }
}
