//! Becoming another program.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::path::Path;

use std::os::unix::ffi::OsStrExt;

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Replaces this process by `program`, with exactly these arguments, the zeroth included, and this environment.
/// Descriptors that do not close on exec stay open.
///
/// # Errors
/// As `execve(2)`, `EINVAL` for a NUL byte; then the process goes on as it was.
pub fn exec(program: &Path, argv: &[String], env: &[(String, String)]) -> io::Result<Infallible> {
    let program = text(program.as_os_str().as_bytes())?;
    let argv = argv.iter().map(|word| text(word.as_bytes()));
    let argv = argv.collect::<io::Result<Vec<_>>>()?;
    let env = env
        .iter()
        .map(|(name, value)| text(format!("{name}={value}").as_bytes()));
    let env = env.collect::<io::Result<Vec<_>>>()?;
    Ok(nix::unistd::execve(&program, &argv, &env)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_executed_leaves_the_process_as_it_was() {
        let missing = exec(Path::new("/nonexistent"), &[], &[]).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let nul = exec(Path::new("/bin/true"), &["a\0b".to_owned()], &[]).unwrap_err();
        assert_eq!(nul.kind(), io::ErrorKind::InvalidInput);
    }
}
