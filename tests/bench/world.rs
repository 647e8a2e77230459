//! A private daemon in a directory of its own, and the end of everything that it started.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proctor::sys::pidfd::PidFd;
use proctor::sys::reap;
use proctor::wire::control::Request;

use crate::client::Client;
use crate::{Res, pause};

/// The daemon must not limit what is measured.
const CONFIG: &str =
    "[queue]\nmax_active_runs = 0\n\n[control]\nmax_clients = 1024\n\n[log]\nlevel = \"error\"\n";
/// How long a daemon may take to answer, and processes to die.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that tells of no change. Short enough not to be seen in a result.
const LOOK: Duration = Duration::from_micros(200);

/// The cgroup that holds those of the private daemon's attempts, once one is seen. The clean-up needs it also when
/// nothing lives in it any more.
static CGROUP: OnceLock<PathBuf> = OnceLock::new();

/// The directory and the daemon.
#[derive(Debug)]
pub(crate) struct World {
    root: PathBuf,
    daemon: Option<Child>,
}

impl World {
    /// Makes the directory. All descendants whose parents die become this process's own from now on.
    pub(crate) fn new(root: PathBuf) -> Res<Self> {
        reap::become_subreaper()?;
        let etc = root.join("etc/proctor");
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("proctord.toml"), CONFIG)?;
        Ok(Self { root, daemon: None })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Starts the daemon and says after how long it answers.
    pub(crate) fn start(&mut self) -> Res<Duration> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.root.join("log"))?;
        let begin = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_proctord"));
        command.arg("--root").arg(&self.root).current_dir("/");
        command.env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C is for the benchmark, which then ends the daemon.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        self.daemon = Some(command.spawn()?);
        while begin.elapsed() < PATIENCE {
            if let Ok(mut client) = self.connect()
                && client.call(&Request::Ping).is_ok()
            {
                return Ok(begin.elapsed());
            }
            if let Some(status) = self.daemon.as_mut().map(Child::try_wait).transpose()?.flatten() {
                let log = fs::read_to_string(self.root.join("log")).unwrap_or_default();
                return Err(format!("the daemon ended with {status}:\n{log}").into());
            }
            pause(LOOK);
        }
        Err("the daemon does not answer".into())
    }

    /// A connection to the daemon.
    pub(crate) fn connect(&self) -> Res<Client> {
        Client::connect(&self.root.join("run/proctor/control.sock"))
    }

    /// Process id of the daemon.
    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Child::id)
    }

    /// Kills the daemon; its attempts live on.
    pub(crate) fn kill_daemon(&mut self) -> Res<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill()?;
            daemon.wait()?;
        }
        Ok(())
    }

    /// Ends the daemon and all attempts, without their leave.
    pub(crate) fn raze(&mut self) -> Res<()> {
        self.kill_daemon()?;
        kill_descendants(&self.root)
    }
}

/// Waits until what is live is as wanted.
pub(crate) fn wait_live(client: &mut Client, wanted: impl Fn(usize, usize) -> bool) -> Res<()> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE * 4 {
        let (live, started) = client.live()?;
        if wanted(live, started) {
            return Ok(());
        }
        pause(Duration::from_millis(10));
    }
    Err("the runs do not get as far as they should in time".into())
}

/// Kills every process that descends from this one, and takes away their cgroups and this directory.
pub(crate) fn sweep(root: &Path) {
    let results = [kill_descendants(root), remove(root)];
    if let Some(cgroup) = CGROUP.get() {
        remove_cgroups(cgroup);
    }
    for error in results.into_iter().filter_map(Result::err) {
        crate::say(&format!("clean-up: {error}"));
    }
}

fn remove(root: &Path) -> Res<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", root.display()).into())
        }
        _ => Ok(()),
    }
}

/// Each round kills the children; theirs are this process's children in the next one.
fn kill_descendants(root: &Path) -> Res<()> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let children = reap::children()?;
        if children.is_empty() {
            return Ok(());
        }
        for pid in children {
            note_cgroup(pid);
            // One that is gone already is only to be reaped.
            if let Ok(process) = PidFd::open(pid) {
                process.send_signal(libc::SIGKILL).unwrap_or_default();
            }
            drop(reap::reap_pid(pid));
        }
        pause(LOOK);
    }
    Err(format!("processes of {} cannot be killed", root.display()).into())
}

/// Remembers where the cgroups of the attempts are, if this process is in one of them.
pub(crate) fn note_cgroup(pid: u32) {
    if CGROUP.get().is_none()
        && let Some(cgroup) = private_cgroup(pid)
    {
        CGROUP.get_or_init(|| cgroup);
    }
}

/// The directory that holds the cgroups of all attempts of a private daemon, if this process is in one of them.
fn private_cgroup(pid: u32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (before, after) = path.split_once("/proctor-")?;
    let name = after.split('/').next()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let at = fields.next()?;
        (fields.next()? == "cgroup2").then_some(at)
    })?;
    Some(PathBuf::from(format!("{mount}{before}/proctor-{name}")))
}

/// Removes empty cgroups, the inner ones first. Only directories can be removed there.
fn remove_cgroups(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_cgroups(&entry.path());
    }
    if let Err(error) = fs::remove_dir(dir) {
        crate::say(&format!("clean-up: {}: {error}", dir.display()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.kill_daemon());
        sweep(&self.root);
    }
}
