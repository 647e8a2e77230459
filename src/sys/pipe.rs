//! Pipes of which this process reads one end and a child writes the other.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, fcntl};

/// A new pipe: the end to read from, which never blocks, and the end to write to, which does. Both close on exec.
///
/// # Errors
/// When no descriptor is free.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    super::socket::set_nonblocking(reader.as_fd(), true)?;
    Ok((reader.into(), writer.into()))
}

/// Most bytes that the pipe can hold now. Whoever has an end of it can change that.
///
/// # Errors
/// When it is no pipe.
pub fn capacity(pipe: impl AsFd) -> io::Result<u64> {
    let size = fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?;
    u64::try_from(size).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn a_reader_never_waits_and_the_capacity_is_what_fits() {
        let (reader, writer) = pipe().unwrap();
        let size = usize::try_from(capacity(&reader).unwrap()).unwrap();
        let (mut reader, mut writer) = (File::from(reader), File::from(writer));
        let mut buffer = vec![0; size + 1];
        let nothing = reader.read(&mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        writer.write_all(&vec![b'x'; size]).unwrap();
        assert_eq!(reader.read(&mut buffer).unwrap(), size);
        drop(writer);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
        assert!(capacity(File::open("/dev/null").unwrap()).is_err());
    }
}
