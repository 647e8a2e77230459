//! T2 and T3: mode and owner of everything that Proctor makes, in the end and at every moment before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, umask};
use regex::Regex;

use super::apart;
use crate::helper::{Daemon, signal, skip, until};

/// What is made below a root, as patterns, with its mode.
const MODES: &[(&str, u32)] = &[
    (r"^(etc|var|var/lib|run)$", 0o755),
    (r"^(var/lib|run)/proctor$", 0o755),
    (r"^var/lib/proctor/proctor\.db$", 0o600),
    (r"^var/lib/proctor/proctor\.db-(wal|shm)$", 0o600),
    (r"^var/lib/proctor/(attempts|dags)$", 0o755),
    (r"^var/lib/proctor/dags/[^/]+$", 0o755),
    (r"^var/lib/proctor/dags/[^/]+/[^/]+\.yaml$", 0o644),
    (r"^var/lib/proctor/attempts/\d{4}-\d\d-\d\d(/[^/]+)?$", 0o755),
    (r"^var/lib/proctor/attempts/[^/]+/[^/]+/journal$", 0o600),
    (r"^var/lib/proctor/attempts/[^/]+/[^/]+/logs$", 0o750),
    (
        r"^var/lib/proctor/attempts/[^/]+/[^/]+/logs/[^/]+\.(out|err|log)$",
        0o600,
    ),
    (r"^var/lib/proctor/attempts/[^/]+/[^/]+/logs/script-\d+$", 0o700),
    (r"^var/lib/proctor/work$", 0o711),
    (r"^var/lib/proctor/work/[^/]+$", 0o700),
    (r"^run/proctor/proctord\.lock$", 0o600),
    (r"^run/proctor/control\.sock$", 0o600),
    (r"^run/proctor/(attempts|proc)$", 0o755),
    (r"^run/proctor/attempts/[^/]+\.sock$", 0o666),
    (r"^run/proctor/proc/[^/]+(/[^/]+)?$", 0o755),
    (r"^run/proctor/proc/[^/]+/[^/]+/[^/]+\.proc$", 0o644),
];

/// Every file and directory below one, with its path from there.
fn all_below(root: &Path) -> Vec<(String, fs::Metadata)> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            // Some go while they are looked at.
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                open.push(entry.path());
            }
            let below = entry
                .path()
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            found.push((below, about));
        }
    }
    found
}

/// Everything that was made has the mode that is in the table, and belongs to who runs the tests.
fn expect_modes(daemon: &Daemon, umask: u32) -> usize {
    let patterns: Vec<(Regex, u32)> = MODES
        .iter()
        .map(|(pattern, mode)| (Regex::new(pattern).unwrap(), *mode))
        .collect();
    let own = proctor::sys::creds::effective_uid();
    let mut seen = vec![false; patterns.len()];
    for (path, about) in all_below(daemon.root()) {
        if ["src", "etc/", "go"].iter().any(|test| path.starts_with(test)) {
            continue;
        }
        let which = patterns.iter().position(|(pattern, _)| pattern.is_match(&path));
        let which = which.unwrap_or_else(|| panic!("{path} is not in the table"));
        seen[which] = true;
        let found = about.permissions().mode() & 0o7777;
        assert_eq!(
            format!("{found:o}"),
            format!("{:o}", patterns[which].1),
            "{path}, umask {umask:o}"
        );
        assert_eq!(about.uid(), own, "{path}");
    }
    seen.iter().filter(|seen| **seen).count()
}

/// A DAG that leaves something of every kind.
fn makes_everything(daemon: &Daemon) -> String {
    format!(
        "steps:\n  - name: a\n    script: |\n      echo out\n      echo err >&2\n      echo r > {ready}\n      \
         while [ ! -e {go} ]; do sleep 0.05; done\n",
        ready = daemon.path("go-ready").display(),
        go = daemon.path("go").display()
    )
}

#[test]
fn t02_everything_that_is_made_has_its_mode_whatever_the_umask_is() {
    let mask = |mode| umask(Mode::from_bits_truncate(mode));
    for given in [0o000, 0o022, 0o077, 0o777] {
        let done = apart(CloneFlags::empty(), || {
            mask(0o022);
            let mut daemon = Daemon::prepare("");
            mask(given);
            daemon.restart();
            mask(0o022);
            let installed = daemon.dag("mine", "schedule: 1 3 1 1 *\nsteps: [{name: a, command: 'true'}]");
            daemon.json(&["install", &installed]);
            let run = daemon.submit("makes", &makes_everything(&daemon));
            daemon.wait_file("go-ready");
            let kinds = expect_modes(&daemon, given);
            assert!(kinds >= 19, "only {kinds} of {} kinds were seen", MODES.len());
            fs::write(daemon.path("go"), "").unwrap();
            daemon.wait_success(&run);
            daemon.expect_clean();
            expect_modes(&daemon, given);
        });
        if let Err(errno) = done {
            return skip(&format!("a thread cannot have a umask of its own here: {errno}"));
        }
    }
}

/// What strace(1) has written about the making of files, read call by call.
#[derive(Default)]
struct Makings {
    /// Modes of each file, one after the other.
    modes: BTreeMap<PathBuf, Vec<u32>>,
    /// The mode of each socket that is not bound yet, by process and descriptor.
    sockets: BTreeMap<String, u32>,
    umasks: BTreeMap<String, u32>,
}

impl Makings {
    fn read(text: &str, root: &Path) -> Self {
        let line = Regex::new(r"^(\d+) +(\w+)\((.*)\) += (-?\w+)").unwrap();
        let mut makings = Self::default();
        for found in text.lines().filter_map(|text| line.captures(text)) {
            let (process, call, args, result) = (&found[1], &found[2], &found[3], &found[4]);
            if !result.starts_with('-') {
                makings.call(process, call, args, root);
            }
        }
        makings
    }

    /// A path that may be relative to a descriptor, which strace shows as `7</its/path>`.
    fn path(args: &str) -> Option<PathBuf> {
        let at = Regex::new(r#"^(?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"([^"]*)""#).unwrap();
        let found = at.captures(args)?;
        let base = found.get(1).map_or("/", |base| base.as_str());
        Some(Path::new(base).join(&found[2]))
    }

    fn call(&mut self, process: &str, call: &str, args: &str, root: &Path) {
        let last = |args: &str| {
            args.rsplit(", ")
                .next()
                .and_then(|mode| u32::from_str_radix(mode, 8).ok())
        };
        let masked = |mode: u32| mode & !self.umasks.get(process).copied().unwrap_or(0);
        match call {
            "umask" => {
                let mask = last(args).unwrap();
                self.umasks.insert(process.to_owned(), mask);
            }
            "openat" | "open" | "creat" | "mkdir" | "mkdirat" => {
                let makes = call.starts_with("mk") || call == "creat" || args.contains("O_CREAT");
                if let (true, Some(path), Some(mode)) = (makes, Self::path(args), last(args))
                    && path.starts_with(root)
                {
                    let mode = masked(mode);
                    // One that is there already is opened as it is.
                    let modes = self.modes.entry(path).or_default();
                    if modes.is_empty() {
                        modes.push(mode);
                    }
                }
            }
            "fchmod" => {
                let (fd, mode) = (args.split(['<', ',']).next().unwrap(), last(args).unwrap());
                let path = args.split(['<', '>']).nth(1).map(PathBuf::from);
                match path.filter(|path| path.starts_with(root)) {
                    Some(path) => self.modes.entry(path).or_default().push(mode),
                    None => drop(self.sockets.insert(format!("{process} {fd}"), mode)),
                }
            }
            "bind" => {
                let fd = args.split(['<', ',']).next().unwrap();
                let made = self
                    .sockets
                    .get(&format!("{process} {fd}"))
                    .copied()
                    .unwrap_or(0o777);
                let path = args
                    .split("sun_path=\"")
                    .nth(1)
                    .and_then(|rest| rest.split('"').next());
                let path = PathBuf::from(path.unwrap());
                let mode = masked(made);
                self.modes.entry(path).or_default().push(mode);
            }
            "rename" | "renameat" | "renameat2" => {
                let names = Regex::new(r#"(?:\d+<([^>]*)>, )?"([^"]*)""#).unwrap();
                let mut paths = names
                    .captures_iter(args)
                    .map(|found| Path::new(found.get(1).map_or("/", |base| base.as_str())).join(&found[2]));
                if let (Some(from), Some(to)) = (paths.next(), paths.next())
                    && let Some(modes) = self.modes.remove(&from)
                {
                    self.modes.insert(to, modes);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn t03_no_file_is_open_to_others_for_a_moment() {
    let out = tempfile::tempdir().unwrap();
    let trace = out.path().join("trace");
    let version = Command::new("strace")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        return skip("strace(1) is missing");
    }
    let mut daemon = Daemon::prepare("");
    let root = daemon.root().to_owned();
    let calls = "umask,open,openat,creat,mkdir,mkdirat,fchmod,bind,rename,renameat,renameat2";
    let traced = apart(CloneFlags::empty(), || {
        // The widest umask shows what is made too wide.
        umask(Mode::empty());
        daemon.restart_with(|command| {
            let mut tracer = Command::new("strace");
            let how = ["-f", "-y", "-qq", "-s", "4096", "-e", "signal=none", "-e"];
            tracer
                .args(how)
                .arg(format!("trace={calls}"))
                .arg("-o")
                .arg(&trace);
            tracer
                .arg("--")
                .arg(command.get_program())
                .args(command.get_args());
            tracer
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .stdin(Stdio::null());
            tracer.stdout(Stdio::null()).stderr(Stdio::piped());
            *command = tracer;
        });
    });
    if let Err(errno) = traced {
        return skip(&format!("a thread cannot have a umask of its own here: {errno}"));
    }
    let installed = daemon.dag("mine", "steps: [{name: a, command: 'true'}]");
    daemon.json(&["install", &installed]);
    let run = daemon.submit("makes", &makes_everything(&daemon));
    daemon.wait_file("go-ready");
    fs::write(daemon.path("go"), "").unwrap();
    daemon.wait_success(&run);
    until("the clean-up", || daemon.entries().is_empty().then_some(()));
    // strace(1) ends with what it traces.
    let pid = daemon.json(&["version"])["daemon"]["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), libc::SIGTERM);
    daemon.stop();
    let text = fs::read_to_string(&trace).unwrap();
    let makings = Makings::read(&text, &root);
    let mut kinds = 0;
    for (path, modes) in &makings.modes {
        let last = *modes.last().unwrap();
        kinds += 1;
        for mode in modes {
            assert_eq!(
                mode & !last & 0o777,
                0,
                "{} had mode {mode:o} before {last:o}",
                path.display()
            );
        }
        let below = path.strip_prefix(&root).unwrap().to_str().unwrap();
        if ["src", "etc/", "go"].iter().any(|test| below.starts_with(test)) {
            continue;
        }
        let meant = MODES
            .iter()
            .find(|(pattern, _)| Regex::new(pattern).unwrap().is_match(below));
        if let Some((_, meant)) = meant {
            assert_eq!(last & !meant, 0, "{below} was left with mode {last:o}");
        }
    }
    assert!(kinds >= 15, "the trace shows only {kinds} files:\n{text}");
}
