//! T1: names that somebody swaps while they are used.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// As [`scratch`], where possible in memory: so often no disk is written in good time.
fn quick() -> (tempfile::TempDir, Dir) {
    let Ok(temp) = tempfile::tempdir_in("/dev/shm") else {
        return scratch();
    };
    let dir = Dir::open(temp.path()).unwrap();
    (temp, dir)
}

/// Puts other things in the place of `name`, again and again: links, second names, FIFOs, directories, devices.
fn swap(dir: &Path, name: &str, outside: &Path, times: u32) {
    let (spare, place) = (dir.join("spare"), dir.join(name));
    let mode = Mode::S_IRWXU;
    for turn in 0..times {
        let made = match turn % 7 {
            0 => symlink(outside.join("precious"), &spare),
            1 => std::fs::hard_link(outside.join("precious"), &spare),
            2 => nix::unistd::mkfifo(&spare, mode).map_err(io::Error::from),
            3 => std::fs::create_dir(&spare),
            4 => symlink(outside, &spare),
            // Only root can.
            5 => nix::sys::stat::mknod(&spare, SFlag::S_IFCHR, mode, libc::makedev(1, 3))
                .map_err(io::Error::from),
            _ => std::fs::write(&spare, "own").and_then(|()| {
                // Only root can give it away, who is needed here.
                std::os::unix::fs::chown(&spare, Some(65534), Some(65534))
            }),
        };
        drop(made.and_then(|()| std::fs::rename(&spare, &place)));
        if turn % 2 == 0 {
            drop(std::fs::remove_file(&place).or_else(|_| std::fs::remove_dir(&place)));
        }
        drop(std::fs::remove_file(&spare).or_else(|_| std::fs::remove_dir(&spare)));
    }
}

/// T1: what is made, read, replaced and removed by name in a directory of somebody else's, by root and by him.
#[test]
fn t01_no_file_outside_is_read_or_written_while_names_are_swapped() {
    let (outside, _) = quick();
    let precious = outside.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    std::fs::set_permissions(&precious, std::fs::Permissions::from_mode(0o600)).unwrap();
    let before = precious.metadata().unwrap();
    let (temp, dir) = quick();
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root reads what is somebody else's");
        return;
    }
    fchown(&dir, 65534, 65534).unwrap();
    let (done, mut opened, mut made) = (AtomicBool::new(false), 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            swap(temp.path(), "name", outside.path(), 100_000);
            done.store(true, Ordering::Relaxed);
        });
        let mut turn = 0;
        while !done.load(Ordering::Relaxed) {
            turn += 1;
            for how in [Create::Open, Create::Append, Create::New] {
                if let Ok(mut file) = dir.create_file("name", 0o600, how) {
                    made += 1;
                    drop(file.write_all(b"ours"));
                    drop(fchmod(&file, 0o640));
                }
            }
            if let Ok(mut file) = dir.open_regular("name") {
                opened += 1;
                let text = read_at_most(&mut file, 100).unwrap_or_default();
                assert!(!text.starts_with(b"precious"), "a file of others was read");
            }
            if let Ok(below) = dir.open_child_dir("name") {
                assert_eq!(
                    below.list().unwrap_or_default(),
                    [],
                    "a directory of others was entered"
                );
            }
            drop(dir.is_empty_file("name"));
            if turn % 64 == 0 {
                drop(dir.replace_file("name", b"ours", 0o600));
                drop(dir.remove_tree("name"));
            }
        }
    });
    let after = precious.metadata().unwrap();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    let about = |about: &std::fs::Metadata| (about.mode(), about.uid(), about.mtime());
    assert_eq!(about(&after), about(&before));
    assert!(
        opened > 10 && made > 10,
        "nothing was ever there: {opened} and {made}"
    );
}

/// T1b: somebody swaps directories for links to the outside, and back, as fast as they can be walked.
#[test]
fn t01b_nothing_outside_goes_while_names_are_swapped() {
    let (outside, _) = quick();
    let precious = outside.path().join("precious");
    std::fs::write(&precious, "x").unwrap();
    let (temp, dir) = quick();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (tree, spare) = (temp.path().join("tree"), temp.path().join("spare"));
            drop(symlink(outside.path(), &spare));
            while !done.load(Ordering::Relaxed) {
                drop(std::fs::create_dir_all(tree.join("a/b")));
                drop(std::fs::write(tree.join("a/b/file"), ""));
                for swapped in ["a/b", "a"] {
                    let away = temp.path().join("away");
                    drop(std::fs::rename(tree.join(swapped), &away));
                    drop(symlink(outside.path(), tree.join(swapped)));
                    drop(std::fs::remove_file(tree.join(swapped)));
                    drop(std::fs::rename(&away, tree.join(swapped)));
                }
            }
        });
        for _ in 0..3_000 {
            // What comes of it depends on who is faster.
            drop(dir.remove_tree("tree"));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(precious.exists());
}
