//! Tests of spawning: descriptors, groups, cgroups, credentials, failures.

use super::*;
use crate::sys::pidfd::WaitStatus;
use crate::sys::testing::{Shell, cgroups};
use std::io::Write;

/// The numbers of the descriptors that a process has.
fn descriptors(pid: u32) -> Vec<i32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: Vec<i32> = names.map(|name| name.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn the_child_has_descriptors_0_to_2_and_the_given_environment_only() {
    // One that is inheritable, as a careless library would leave it.
    let leaked = std::fs::File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(
        &leaked,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    let mut shell = Shell::run_with("echo up; read x; exit 0", |spawn| spawn.new_session = true);
    assert_eq!(shell.line(), "up");
    let pid = shell.child.pid;
    assert_eq!(descriptors(pid), [0, 1, 2]);
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert_eq!(environment, b"PATH=/usr/sbin:/usr/bin:/sbin:/bin\0");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for key in ["SigBlk:\t", "SigIgn:\t"] {
        let mask = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        assert_eq!(u64::from_str_radix(mask, 16).unwrap(), 0, "{key}");
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(
        (fields[2], fields[3]),
        (pid.to_string().as_str(), pid.to_string().as_str()),
        "own session"
    );
    shell.close_input();
    assert_eq!(shell.child.pidfd.wait().unwrap(), WaitStatus::Code(0));
    drop(leaked);
}

#[test]
fn no_descriptor_of_the_parent_is_a_working_directory() {
    use std::os::fd::AsRawFd;
    // Below and above that of the error pipe, which is made later.
    let mut many: Vec<std::fs::File> = (0..100).map(|_| std::fs::File::open("/").unwrap()).collect();
    let ends = [many.remove(0), many.pop().unwrap()];
    drop(many);
    for dir in &ends {
        for place in ["self", "thread-self"] {
            for way in [Way::Best, Way::Legacy] {
                let mut spawn = Spawn::new("/bin/true");
                spawn.cwd = WorkDir::Path(format!("/proc/{place}/fd/{}", dir.as_raw_fd()).into());
                let error = spawn.start(way).unwrap_err();
                assert_eq!((error.stage, error.errno), ("chdir", libc::ENOENT), "{error}");
            }
        }
    }
}

#[test]
fn the_given_descriptors_are_in_place() {
    let mut shell = Shell::run("read x; echo out $x; echo err >&2; exit 5");
    shell.input.as_ref().unwrap().write_all(b"in\n").unwrap();
    assert_eq!((shell.line().as_str(), shell.line().as_str()), ("out in", "err"));
    assert_eq!(shell.child.pidfd.wait().unwrap(), WaitStatus::Code(5));
}

#[test]
fn every_way_says_why_a_program_cannot_run_and_leaves_no_zombie() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        path
    };
    let cases = [
        (dir.path().join("missing"), SpawnErrorKind::NotFound),
        (dir.path().to_owned(), SpawnErrorKind::IsDirectory),
        (file("plain", 0o644, "x"), SpawnErrorKind::Permission),
        (
            file("garbage", 0o755, "neither script nor binary"),
            SpawnErrorKind::NotExecutable,
        ),
        (
            file("script", 0o755, "#!/no/such/interpreter\n"),
            SpawnErrorKind::NotFound,
        ),
    ];
    for way in [Way::Best, Way::Legacy] {
        for (program, kind) in &cases {
            let error = Spawn::new(program).start(way).unwrap_err();
            assert_eq!((error.stage, error.kind), ("exec", *kind), "{error}");
            assert!(error.to_string().contains(program.to_str().unwrap()));
        }
        let nowhere = Spawn {
            cwd: WorkDir::Path("/no/such/dir".into()),
            ..Spawn::new("/bin/sh")
        };
        let error = nowhere.start(way).unwrap_err();
        assert_eq!((error.stage, error.kind), ("chdir", SpawnErrorKind::NotFound));
    }
    let error = Spawn::new("/bin/\0sh").spawn().unwrap_err();
    assert_eq!((error.stage, error.kind), ("prepare", SpawnErrorKind::Invalid));
}

#[test]
fn starts_in_the_working_directory_by_descriptor_and_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    let held = crate::sys::files::Dir::open(&path).unwrap();
    for cwd in [WorkDir::Dir(held.as_fd()), WorkDir::Path(path.clone())] {
        let mut shell = Shell::run_with("pwd -P", |spawn| spawn.cwd = cwd);
        assert_eq!(shell.line(), path.to_str().unwrap());
        shell.child.pidfd.wait().unwrap();
    }
}

#[test]
fn a_program_held_open_is_what_runs() {
    let held = std::fs::File::open("/bin/sh").unwrap();
    let argv = ["sh", "-c", "exit 9"].map(Into::into).to_vec();
    let spawn = Spawn {
        program_fd: Some(held.as_fd()),
        argv,
        ..Spawn::new("held")
    };
    assert_eq!(spawn.spawn().unwrap().pidfd.wait().unwrap(), WaitStatus::Code(9));
}

#[test]
fn the_child_is_in_its_cgroup_from_the_start_on_every_way() {
    let Some(root) = cgroups() else { return };
    let cgroup = root
        .create(&format!("proctor-test-spawn-{}", std::process::id()))
        .unwrap();
    for way in [Way::Best, Way::Legacy] {
        let (reader, writer) = io::pipe().unwrap();
        let argv = ["sh", "-c", "read x"].map(Into::into).to_vec();
        let mut spawn = Spawn {
            argv,
            cgroup: Some(&cgroup),
            ..Spawn::new("/bin/sh")
        };
        spawn.stdin = Some(reader.as_fd());
        let child = spawn.start(way).unwrap();
        assert_eq!(cgroup.procs().unwrap(), [child.pid], "{way:?}");
        assert_eq!(crate::sys::cgroup::id_of_process(child.pid), Some(cgroup.id()));
        drop(writer);
        child.pidfd.wait().unwrap();
    }
    cgroup.remove().unwrap();
}

#[test]
fn a_cgroup_that_was_killed_once_can_be_used_again() {
    let Some(root) = cgroups() else { return };
    let cgroup = root
        .create(&format!("proctor-test-again-{}", std::process::id()))
        .unwrap();
    for _ in 0..3 {
        cgroup.kill().unwrap();
        let mut shell = Shell::run_with("read x; exit 6", |spawn| spawn.cgroup = Some(&cgroup));
        assert_eq!(cgroup.procs().unwrap(), [shell.child.pid]);
        shell.close_input();
        assert_eq!(shell.child.pidfd.wait().unwrap(), WaitStatus::Code(6));
    }
    cgroup.remove().unwrap();
}

#[test]
fn many_threads_can_start_children_at_once() {
    std::thread::scope(|scope| {
        for code in 0..8u8 {
            scope.spawn(move || {
                for _ in 0..10 {
                    let mut shell = Shell::run(&format!("read x; exit {code}"));
                    // Were the writing end leaked into another thread's child, this would not end.
                    shell.close_input();
                    assert_eq!(shell.child.pidfd.wait().unwrap(), WaitStatus::Code(code.into()));
                }
            });
        }
    });
}
