//! Running the product's programs with a limit on their time.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::DEADLINE;

/// What a program left when it ended.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Out {
    /// The exit code; -1 for a death by a signal.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Both streams.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The one JSON object on standard output.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Fails unless the exit code is as said.
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self:?}");
        self
    }
}

/// One of the product's programs, out of reach of the machine's own configuration.
pub(crate) fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    for name in [
        "PROCTOR_ROOT",
        "JOURNAL_STREAM",
        "NOTIFY_SOCKET",
        "FDSTORE",
        "PROCTOR_CGROUP",
        "SHELL",
        "XDG_STATE_HOME",
    ] {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// `proctord`, with the arguments.
pub(crate) fn proctord(args: &[&str]) -> Running {
    let mut command = program(env!("CARGO_BIN_EXE_proctord"));
    command.args(args);
    Running::start(command)
}

/// A program that runs, and whose output is being read.
pub(crate) struct Running {
    child: Child,
    streams: [Option<std::thread::JoinHandle<String>>; 2],
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = read_all(child.stdout.take().unwrap());
        let stderr = read_all(child.stderr.take().unwrap());
        Self {
            child,
            streams: [Some(stdout), Some(stderr)],
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end. A program that does not end in time is killed, and the test fails.
    pub(crate) fn finish(mut self) -> Out {
        let (over, is_over) = mpsc::channel::<()>();
        let pid = self.child.id();
        let process = proctor::sys::pidfd::PidFd::open(pid);
        let watchdog = std::thread::spawn(move || {
            let late = is_over.recv_timeout(DEADLINE + Duration::from_secs(30))
                == Err(mpsc::RecvTimeoutError::Timeout);
            if late && let Ok(process) = process {
                eprintln!("too late: {}", waits_for(pid));
                drop(process.send_signal(libc::SIGKILL));
            }
            late
        });
        let status = self.child.wait().unwrap();
        drop(over);
        let late = watchdog.join().unwrap();
        let [stdout, stderr] = self.streams.each_mut().map(|stream| {
            let stream = stream.take();
            stream.map_or_else(String::new, |stream| stream.join().unwrap())
        });
        let out = Out {
            status,
            stdout,
            stderr,
        };
        assert!(!late, "it does not end: {out:?}");
        out
    }
}

/// What a process does, or waits for in the kernel, as far as that can be seen.
pub(crate) fn waits_for(pid: u32) -> String {
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let command = file("cmdline").replace('\0', " ");
    let (at, call) = (file("wchan"), file("syscall"));
    format!(
        "{pid} {command}: {at}, system call {}\n{}",
        call.trim(),
        file("stack")
    )
}

fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
