//! A copy waits for nobody, and never for itself.

use super::*;

fn log(dir: &Path, text: &str) -> File {
    let path = dir.join("log");
    std::fs::write(&path, text).unwrap();
    File::open(path).unwrap()
}

fn open(log: &File, from: u64, path: PathBuf) -> Result<Copy, String> {
    Copy::open(log, from, path, |_, _| false)
}

#[test]
fn a_copy_begins_where_it_is_told_and_appends() {
    let temp = tempfile::tempdir().unwrap();
    let log = log(temp.path(), "one\ntwo\n");
    let target = temp.path().join("target");
    for from in [4, 0] {
        open(&log, from, target.clone()).unwrap().catch_up().unwrap();
    }
    assert_eq!(std::fs::read_to_string(target).unwrap(), "two\none\ntwo\n");
    open(&log, 0, PathBuf::from("/dev/null"))
        .unwrap()
        .catch_up()
        .unwrap();
}

#[test]
fn what_may_keep_its_writer_waiting_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let log = log(temp.path(), "text");
    let fifo = temp.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    for reader in [
        None,
        Some(OpenOptions::new().read(true).write(true).open(&fifo).unwrap()),
    ] {
        let error = open(&log, 0, fifo.clone()).unwrap_err();
        assert!(
            error.contains("neither a regular file nor"),
            "{reader:?}: {error}"
        );
    }
}

#[test]
fn catching_up_ends_though_the_log_grows_with_every_piece() {
    let temp = tempfile::tempdir().unwrap();
    let log = log(temp.path(), &"x".repeat(1000));
    // As it is when the copy is the log itself.
    let copy = open(&log, 0, temp.path().join("log")).unwrap();
    copy.catch_up().unwrap();
    assert_eq!(length(&log), 2000);
}

#[test]
fn a_log_is_refused_and_nothing_is_written_to_it() {
    let temp = tempfile::tempdir().unwrap();
    let log = log(temp.path(), "text");
    let path = temp.path().join("log");
    let error = Copy::open(&log, 0, path.clone(), |asked, _| asked == path).unwrap_err();
    assert!(error.contains("a log of this run"), "{error}");
    assert_eq!(length(&log), 4);
}
