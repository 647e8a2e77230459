//! A private daemon for one test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::left::{cgroup_of, processes_below, remove_cgroup};
use super::program::{Out, Running, program, waits_for};
use super::{Control, DEADLINE, Status, files_below, pause, signal, until};

/// What the daemon has said so far, over all its lives.
type Log = Arc<(Mutex<String>, Condvar)>;

/// A daemon below a root of its own. When it goes, everything below the root is ended, and the test fails if
/// anything was left.
pub(crate) struct Daemon {
    dir: TempDir,
    child: Option<Child>,
    log: Log,
    /// Most lines of the log that were there before this life.
    seen: usize,
}

impl Daemon {
    /// Starts a daemon with this configuration and waits until it serves.
    pub(crate) fn start(config: &str) -> Self {
        let mut daemon = Self::prepare(config);
        daemon.restart();
        daemon
    }

    /// A root with a configuration, and no daemon yet.
    pub(crate) fn prepare(config: &str) -> Self {
        Self::prepare_in(&std::env::temp_dir(), config)
    }

    /// The same in another directory than the usual one.
    pub(crate) fn prepare_in(place: &Path, config: &str) -> Self {
        let dir = TempDir::with_prefix_in("it-", place).unwrap();
        let daemon = Self {
            dir,
            child: None,
            log: Log::default(),
            seen: 0,
        };
        std::fs::create_dir_all(daemon.path("etc/proctor")).unwrap();
        std::fs::create_dir_all(daemon.path("src")).unwrap();
        daemon.configure(config);
        daemon
    }

    /// Writes the configuration file.
    pub(crate) fn configure(&self, config: &str) {
        std::fs::write(self.path("etc/proctor/proctord.toml"), config).unwrap();
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A path below the root.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What the daemon has logged.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the daemon (again) and waits until it serves.
    pub(crate) fn restart(&mut self) {
        self.restart_with(|_| {});
    }

    /// The same, with changes to the command.
    pub(crate) fn restart_with(&mut self, change: impl FnOnce(&mut Command)) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = program(env!("CARGO_BIN_EXE_proctord"));
        command.arg("--root").arg(self.root());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        change(&mut command);
        self.seen = self.log().len();
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        self.child = Some(child);
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = log.0.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
                log.1.notify_all();
            }
        });
        self.wait_log(" serves; ");
    }

    /// Waits until this life of the daemon has logged the text.
    pub(crate) fn wait_log(&self, text: &str) {
        let log = self.log.0.lock().unwrap();
        let seen = self.seen;
        let (log, waited) = self
            .log
            .1
            .wait_timeout_while(log, DEADLINE, |log| !log.get(seen..).unwrap_or("").contains(text))
            .unwrap();
        let log = log.clone();
        let state = super::read(format!("/proc/{}/status", self.pid()).as_ref());
        assert!(
            !waited.timed_out(),
            "{text:?} is not in the daemon's log:\n{log}\n{state}"
        );
    }

    /// Kills the daemon with SIGKILL.
    pub(crate) fn kill9(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the daemon in an orderly way. Attempts go on.
    pub(crate) fn stop(&mut self) {
        self.end_by(libc::SIGTERM);
    }

    /// Sends the daemon a signal that ends it, and waits for its end.
    pub(crate) fn end_by(&mut self, number: i32) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        signal(child.id(), number);
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > DEADLINE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the daemon does not end:\n{}", self.log());
            }
            pause(5);
        }
    }

    /// Waits until the daemon has ended by itself; with which status, unless a signal ended it.
    pub(crate) fn wait_end_of_daemon(&mut self) -> Option<i32> {
        let child = self.child.as_mut().unwrap();
        let status = until("the daemon's end", || child.try_wait().unwrap());
        self.child = None;
        status.code()
    }

    /// A call of `proctorctl` for this daemon.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program(env!("CARGO_BIN_EXE_proctorctl"));
        command.arg("--root").arg(self.root()).args(args);
        command
    }

    /// Starts `proctorctl`.
    pub(crate) fn begin(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Runs `proctorctl` to its end.
    pub(crate) fn ctl(&self, args: &[&str]) -> Out {
        self.begin(args).finish()
    }

    /// The answer of a `proctorctl --json` that must end well.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        self.ctl(&all).expect_code(0).json()
    }

    /// Writes a DAG file.
    pub(crate) fn dag(&self, name: &str, text: &str) -> String {
        let path = self.path(&format!("src/{name}.yaml"));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Submits a DAG and says the new run's name, `DAG:ID`.
    pub(crate) fn submit(&self, name: &str, text: &str) -> String {
        let file = self.dag(name, text);
        let answer = self.json(&["run", "--detach", &file]);
        format!("{}:{}", text_of(&answer["dag"]), text_of(&answer["run_id"]))
    }

    /// Waits for the end of a run and gives its result.
    pub(crate) fn wait_end(&self, run: &str) -> Value {
        self.ctl(&["--json", "wait", run]).json()
    }

    /// Waits for the end of a run and fails unless it succeeded.
    pub(crate) fn wait_success(&self, run: &str) -> Value {
        let result = self.wait_end(run);
        assert_eq!(result["status"], "succeeded", "{result:#}\n{}", self.log());
        result
    }

    /// How a run stands.
    pub(crate) fn status(&self, run: &str) -> Value {
        self.json(&["status", run])
    }

    /// Waits until the first running step has written that it runs, to the file that the DAG names.
    pub(crate) fn wait_file(&self, below: &str) -> String {
        let path = self.path(below);
        until(&format!("{below} is written\n{}", self.log()), || {
            let text = super::read(&path);
            text.ends_with('\n').then(|| text.trim().to_owned())
        })
    }

    /// The pid of a live run's shim.
    pub(crate) fn shim(&self, run: &str) -> u32 {
        until("the shim", || {
            let pid =
                self.json(&["ps"])["runs"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|found| {
                        format!("{}:{}", text_of(&found["dag"]), text_of(&found["run_id"])) == run
                    })?["pid"]
                    .as_u64()?;
            u32::try_from(pid).ok()
        })
    }

    /// A connection to the control socket that speaks JSON.
    pub(crate) fn control(&self) -> Control {
        Control::connect(&self.path("run/proctor/control.sock"))
    }

    /// The path of a run's status socket.
    pub(crate) fn status_socket(&self, run: &str) -> PathBuf {
        let attempt = until("the attempt's id", || {
            Some(self.status(run)["attempt_id"].as_str()?.to_owned())
        });
        self.path(&format!("run/proctor/attempts/{attempt}.sock"))
    }

    /// A connection to a run's status socket.
    pub(crate) fn status_client(&self, run: &str) -> Status {
        Status::connect(&self.status_socket(run))
    }

    /// The entries in the proc directory.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        let mut files = files_below(&self.path("run/proctor/proc"));
        files.retain(|file| file.extension().is_some_and(|ending| ending == "proc"));
        files
    }

    /// The cgroup below which attempts have theirs.
    pub(crate) fn cgroup(&self) -> Option<PathBuf> {
        cgroup_of(self.root())
    }

    /// The cgroups of attempts.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let dirs = cgroup_of(self.root()).and_then(|dir| std::fs::read_dir(dir).ok());
        dirs.into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect()
    }

    /// Everything that is left of attempts.
    pub(crate) fn remains(&self) -> Vec<String> {
        let mut remains = Vec::new();
        let own = self.child.as_ref().map(Child::id);
        for (pid, command) in processes_below(self.root()) {
            if Some(pid) != own {
                remains.push(format!("process {pid}: {command}"));
            }
        }
        let sockets = files_below(&self.path("run/proctor/attempts"));
        for path in self.entries().into_iter().chain(self.cgroups()).chain(sockets) {
            remains.push(path.display().to_string());
        }
        remains
    }

    /// Fails unless nothing of any attempt is left and `doctor` finds nothing. The clean-up that follows a run's end is waited
    /// for.
    pub(crate) fn expect_clean(&self) {
        let begun = Instant::now();
        loop {
            let remains = self.remains();
            if remains.is_empty() {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "left over: {remains:#?}\n{}",
                self.log()
            );
            pause(20);
        }
        let report = self.json(&["doctor"]);
        let findings = report["findings"].as_array().unwrap();
        assert!(findings.iter().all(|finding| finding["ok"] == true), "{report:#}");
    }

    /// One of the counters that `doctor` shows.
    pub(crate) fn doctor_value(&self, counter: &str) -> u64 {
        self.ctl(&["--json", "doctor"]).json()["counters"][counter]
            .as_u64()
            .unwrap()
    }

    /// Fails unless a run goes through.
    pub(crate) fn expect_unharmed(&self) {
        let run = self.submit("unharmed", "steps: [{name: a, command: \"true\"}]");
        self.wait_success(&run);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if failing {
            eprintln!("the daemon's log:\n{}", self.log());
            let embedded = std::fs::read_to_string(self.path("proctord.log")).unwrap_or_default();
            eprintln!("that of the last embedded one:\n{embedded}");
            for (pid, _) in processes_below(self.root()) {
                eprintln!("{}", waits_for(pid));
            }
        } else {
            // What has ended may still be being cleaned up.
            let begun = Instant::now();
            while self.child.is_some()
                && begun.elapsed() < Duration::from_secs(20)
                && !self.remains().is_empty()
            {
                pause(20);
            }
            self.stop();
        }
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        let mut remains = if failing { Vec::new() } else { self.remains() };
        let socket = self.path("run/proctor/control.sock");
        if socket.exists() {
            remains.push(socket.display().to_string());
        }
        if let Some(cgroup) = cgroup_of(self.root()) {
            remains.push(cgroup.display().to_string());
            remove_cgroup(&cgroup);
        }
        for (pid, _) in processes_below(self.root()) {
            if let Ok(process) = proctor::sys::pidfd::PidFd::open(pid) {
                drop(process.send_signal(libc::SIGKILL));
            }
        }
        if let Some(cgroup) = cgroup_of(self.root()) {
            remove_cgroup(&cgroup);
        }
        assert!(
            failing || remains.is_empty(),
            "left over: {remains:#?}\n{}",
            self.log()
        );
    }
}

/// The text of a JSON string.
pub(crate) fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
