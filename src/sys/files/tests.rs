//! Tests of files: atomic writing, directories that cannot be swapped, trees.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn scratch() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap();
    (temp, dir)
}

#[test]
fn removing_a_tree_removes_links_and_not_what_they_lead_to() {
    let (outside, _) = scratch();
    std::fs::write(outside.path().join("precious"), "x").unwrap();
    let (temp, dir) = scratch();
    let tree = temp.path().join("tree");
    std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
    std::fs::write(tree.join("a/b/file"), "x").unwrap();
    symlink(outside.path(), tree.join("a/link")).unwrap();
    symlink(outside.path(), temp.path().join("top")).unwrap();
    symlink("dangling", tree.join("dangling")).unwrap();
    nix::unistd::mkfifo(&tree.join("fifo"), Mode::S_IRUSR).unwrap();
    dir.remove_tree("tree").unwrap();
    assert!(!tree.exists());
    dir.remove_tree("top").unwrap();
    assert!(outside.path().join("precious").exists());
    assert_eq!(dir.list().unwrap(), []);
    assert_eq!(
        dir.remove_tree("tree").unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    for name in ["..", ".", "a/b", ""] {
        assert_eq!(
            dir.remove_tree(name).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}

#[test]
fn opens_nothing_but_a_plain_file_with_one_name() {
    let (temp, dir) = scratch();
    std::fs::write(temp.path().join("plain"), "text").unwrap();
    let mut text = String::new();
    dir.open_regular("plain")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "text");
    symlink("plain", temp.path().join("link")).unwrap();
    std::fs::hard_link(temp.path().join("plain"), temp.path().join("second")).unwrap();
    nix::unistd::mkfifo(&temp.path().join("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    std::fs::create_dir(temp.path().join("dir")).unwrap();
    for name in ["link", "second", "fifo", "dir"] {
        assert!(dir.open_regular(name).is_err(), "{name}");
        assert!(dir.create_file(name, 0o600, Create::Append).is_err(), "{name}");
        assert!(dir.create_file(name, 0o600, Create::Open).is_err(), "{name}");
        assert!(dir.create_file(name, 0o600, Create::New).is_err(), "{name}");
    }
    symlink("dir", temp.path().join("dirlink")).unwrap();
    assert!(dir.open_child_dir("dirlink").is_err());
    assert!(dir.ensure_dir("dirlink", 0o700).is_err());
    assert!(dir.ensure_dir("dir", 0o700).is_ok());
}

#[test]
fn replacing_a_file_leaves_one_file_with_the_mode() {
    let (temp, dir) = scratch();
    dir.replace_file("state", b"one", 0o640).unwrap();
    dir.replace_file("state", b"two", 0o600).unwrap();
    let path = temp.path().join("state");
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::create_dir(temp.path().join("taken")).unwrap();
    assert!(dir.replace_file("taken", b"x", 0o600).is_err());
    let mut names: Vec<_> = dir
        .list()
        .unwrap()
        .into_iter()
        .map(|e| (e.name, e.is_dir))
        .collect();
    names.sort();
    assert_eq!(names, [("state".into(), false), ("taken".into(), true)]);
}

#[test]
fn reading_is_bounded_and_writing_in_place() {
    let (_temp, dir) = scratch();
    let mut file = dir.create_file("f", 0o600, Create::New).unwrap();
    write_all_at(&file, b"12345678", 0).unwrap();
    write_all_at(&file, b"xx", 2).unwrap();
    assert_eq!(read_at_most(&mut file, 8).unwrap(), b"12xx5678");
    let mut again = dir.open_regular("f").unwrap();
    assert_eq!(
        read_at_most(&mut again, 7).unwrap_err().kind(),
        io::ErrorKind::FileTooLarge
    );
    assert!(disk_full(&io::Error::from_raw_os_error(libc::ENOSPC)));
    assert!(!disk_full(&io::Error::from_raw_os_error(libc::EIO)));
}

#[test]
fn a_tree_nested_too_deep_is_refused_without_overflow() {
    let (_temp, dir) = scratch();
    let mut level = dir.ensure_dir("d", 0o700).unwrap();
    for _ in 0..140 {
        level = level.ensure_dir("d", 0o700).unwrap();
    }
    assert_eq!(
        dir.remove_tree("d").unwrap_err().raw_os_error(),
        Some(libc::ELOOP)
    );
}
