//! Tests of files: atomic writing, directories that cannot be swapped, trees.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

mod swaps;

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
    // Where others may put files, a second name can be that of anything.
    let others = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(temp.path(), others).unwrap();
    assert!(!dir.is_ours().unwrap());
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

/// T26: somebody who gives our file a second name elsewhere does not take it away from us (CVE-2007-1856).
#[test]
fn t26_a_second_name_elsewhere_takes_no_file_out_of_a_directory_that_is_ours() {
    let (temp, dir) = scratch();
    let (elsewhere, _) = scratch();
    std::fs::write(temp.path().join("ours"), "text").unwrap();
    std::fs::hard_link(temp.path().join("ours"), elsewhere.path().join("theirs")).unwrap();
    for (mode, ours) in [(0o755, true), (0o775, false), (0o757, false), (0o700, true)] {
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(dir.is_ours().unwrap(), ours, "{mode:o}");
        assert_eq!(dir.open_regular("ours").is_ok(), ours, "{mode:o}");
        // To be written, a file must be ours alone in any case.
        assert!(dir.create_file("ours", 0o600, Create::Open).is_err());
    }
}

#[test]
fn an_empty_file_is_known_without_being_opened() {
    let (temp, dir) = scratch();
    let at = |name: &str| temp.path().join(name);
    std::fs::write(at("empty"), "").unwrap();
    std::fs::write(at("full"), "x").unwrap();
    std::fs::write(at("twice"), "").unwrap();
    std::fs::hard_link(at("twice"), at("again")).unwrap();
    symlink("empty", at("link")).unwrap();
    std::fs::create_dir(at("dir")).unwrap();
    nix::unistd::mkfifo(&at("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let empty = ["again", "dir", "empty", "fifo", "full", "link", "twice"]
        .map(|name| dir.is_empty_file(name).unwrap());
    assert_eq!(empty, [false, false, true, false, false, false, false]);
    // A FIFO that was opened for reading would have let a writer in.
    let writer = nix::fcntl::open(&at("fifo"), OFlag::O_WRONLY | OFlag::O_NONBLOCK, Mode::empty());
    assert_eq!(writer.unwrap_err(), nix::errno::Errno::ENXIO);
    assert_eq!(
        dir.is_empty_file("gone").unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
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

/// A chain of directories by descriptor, since its path is longer than a path may be.
fn chain(top: &Dir, name: &str, levels: usize) -> Dir {
    let mut level = top.ensure_dir(name, 0o700).unwrap();
    for _ in 1..levels {
        level = level.ensure_dir("d", 0o700).unwrap();
    }
    level
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_tree_of_any_depth_goes_with_few_descriptors() {
    let (temp, dir) = scratch();
    for name in ["one", "two"] {
        let bottom = chain(&dir.ensure_dir("deep", 0o700).unwrap(), name, 5_000);
        bottom.create_file("file", 0o600, Create::New).unwrap();
    }
    // Names that are needed on the way are taken.
    std::fs::write(temp.path().join("deep/.lifted-1"), "x").unwrap();
    std::fs::create_dir_all(temp.path().join("deep/.lifted-2/full")).unwrap();
    let (mut most, before) = (0, open_descriptors());
    let removal = dir.remove_tree_while("deep", &mut || {
        most = most.max(open_descriptors());
        true
    });
    assert!(removal.failure.is_none(), "{removal:?}");
    assert_eq!(removal.entries, 1 + 2 * 5_001 + 3);
    // Other tests have descriptors of their own at the same time.
    assert!(most < before + 1_000, "{most} descriptors, {before} before");
    assert_eq!(dir.list().unwrap(), []);
}

#[test]
fn a_tree_that_its_owner_closed_goes_all_the_same() {
    let (temp, dir) = scratch();
    let tree = temp.path().join("tree");
    for below in ["closed/inner/deep", "no-write/inner", "no-search/inner"] {
        std::fs::create_dir_all(tree.join(below)).unwrap();
        std::fs::write(tree.join(below).join("file"), "x").unwrap();
    }
    for (below, mode) in [
        ("closed/inner", 0),
        ("closed", 0),
        ("no-write", 0o500),
        ("no-search", 0o600),
    ] {
        std::fs::set_permissions(tree.join(below), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    std::fs::set_permissions(&tree, std::fs::Permissions::from_mode(0o000)).unwrap();
    dir.remove_tree("tree").unwrap();
    assert_eq!(dir.list().unwrap(), []);
}

#[test]
fn names_may_have_any_bytes_and_directories_many_entries() {
    let (temp, dir) = scratch();
    let tree = temp.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for byte in (1..=255u8).filter(|byte| *byte != b'/') {
        let name = OsString::from_vec(vec![b'n', byte, b'f']);
        std::fs::write(tree.join(&name), "x").unwrap();
        std::fs::create_dir_all(tree.join(OsString::from_vec(vec![byte, b'd'])).join(&name)).unwrap();
    }
    for number in 0..3_000 {
        std::fs::write(tree.join(number.to_string()), "").unwrap();
    }
    let (measured, whole) = dir.measure_tree("tree", &mut || true).unwrap();
    let removal = dir.remove_tree_while("tree", &mut || true);
    assert!(removal.failure.is_none(), "{removal:?}");
    assert_eq!(removal.entries, 1 + 254 * 3 + 3_000);
    assert!(
        whole && measured >= removal.bytes && removal.bytes >= 254 * 512,
        "{measured}, {removal:?}"
    );
    assert_eq!(dir.list().unwrap(), []);
}

#[test]
fn removing_a_tree_can_be_interrupted_and_taken_up_again() {
    let (temp, dir) = scratch();
    let tree = temp.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for number in 0..20 {
        std::fs::write(tree.join(number.to_string()), "x").unwrap();
    }
    let mut left = 10;
    let removal = dir.remove_tree_while("tree", &mut || {
        left -= 1;
        left > 0
    });
    assert_eq!(removal.failure.unwrap().kind(), io::ErrorKind::Interrupted);
    assert!((1..10).contains(&removal.entries), "{}", removal.entries);
    assert_eq!(
        std::fs::read_dir(&tree).unwrap().count() as u64,
        20 - removal.entries
    );
    dir.remove_tree("tree").unwrap();
}

#[test]
fn a_mount_is_not_entered_and_the_rest_goes() {
    let (temp, dir) = scratch();
    let mounted = temp.path().join("tree/mounted");
    std::fs::create_dir_all(&mounted).unwrap();
    std::fs::create_dir_all(temp.path().join("tree/other/deep")).unwrap();
    let flags = nix::mount::MsFlags::empty();
    let made = nix::mount::mount(
        Some("files-test"),
        &mounted,
        Some("tmpfs"),
        flags,
        Some("size=64k"),
    );
    if let Err(errno) = made {
        eprintln!("skipped: no file system can be mounted here: {errno}");
        return;
    }
    std::fs::write(mounted.join("precious"), "x").unwrap();
    let tree = dir.open_child_dir("tree").unwrap();
    let entered = tree.open_child_dir("mounted").map(drop);
    let (_, whole) = dir.measure_tree("tree", &mut || true).unwrap();
    let removal = dir.remove_tree_while("tree", &mut || true);
    let kept = mounted.join("precious").exists();
    nix::mount::umount2(&mounted, nix::mount::MntFlags::MNT_DETACH).unwrap();
    assert!(kept && !whole);
    assert_eq!(entered.unwrap_err().raw_os_error(), Some(libc::EXDEV));
    assert_eq!(removal.failure.unwrap().raw_os_error(), Some(libc::EXDEV));
    assert!(!temp.path().join("tree/other").exists());
    dir.remove_tree("tree").unwrap();
}

#[test]
fn what_was_not_finished_is_swept_away() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap();
    std::fs::write(temp.path().join(".new-1-2"), "half").unwrap();
    std::fs::write(temp.path().join(".other"), "whole").unwrap();
    dir.replace_file("a", b"text", 0o600).unwrap();
    dir.sweep_unfinished().unwrap();
    let mut names: Vec<OsString> = dir.list().unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    assert_eq!(names, [".other", "a"]);
}

#[test]
fn writers_of_one_file_do_not_disturb_each_other() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap();
    std::thread::scope(|scope| {
        for text in [[b'a'; 4096], [b'b'; 4096], [b'c'; 4096], [b'd'; 4096]] {
            let dir = &dir;
            scope.spawn(move || {
                for _ in 0..5 {
                    dir.replace_file("state", &text, 0o600).unwrap();
                }
            });
        }
    });
    let text = std::fs::read(temp.path().join("state")).unwrap();
    assert!(text.len() == 4096 && text.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(dir.list().unwrap().len(), 1);
}
