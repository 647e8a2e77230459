//! Making an attempt: directory, journal, status socket, cgroup, and the shim itself (DESIGN §4, steps 3 and 4).
//!
//! It runs on threads of its own. What it makes is named after the attempt, so recovery finds it.

mod confine;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};

use tokio::sync::mpsc::UnboundedSender;

use super::dispatcher::Msg;
use super::job_env;
use super::place::Place;
use super::run_as;
use super::tree::Mark;
use crate::config::{Config, Paths};
use crate::dag::types::Execution;
use crate::journal::{Header, Writer};
use crate::model::change::NewRun;
use crate::model::limits::SPEC_MAX;
use crate::model::view::{RunView, StepView};
use crate::model::{AttemptId, Time};
use crate::sys::cgroup::{Cgroup, CgroupRoot};
use crate::sys::creds::{self, User};
use crate::sys::files::{self, Create, Dir};
use crate::sys::pidfd::PidFd;
use crate::sys::spawn::Spawn;
use crate::sys::{clock, fdpass, socket};
use crate::wire::PROTOCOL_VERSION;
use crate::wire::codec;
use crate::wire::shim::{ShimSpec, SpecDescriptors, SpecLimits, SpecUser, ToShim};

/// Threads that launch: starting a process is mostly waiting for the kernel and the file system.
const THREADS: usize = 2;

/// What a launch needs.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) new: Arc<NewRun>,
    pub(super) attempt: AttemptId,
    pub(super) number: u32,
    /// When the launch was decided: its day is part of the attempt's directory.
    pub(super) intended_at: Time,
    pub(super) view: RunView,
    pub(super) resume: Option<Vec<StepView>>,
    /// The exit codes after which the whole run is tried again.
    pub(super) retried_on: Option<Vec<i32>>,
    /// The locked entry's descriptor.
    pub(super) entry: OwnedFd,
    pub(super) config: Arc<Config>,
}

#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: u32,
    pub(super) pidfd: PidFd,
    pub(super) channel: OwnedFd,
    pub(super) journal: File,
    pub(super) cgroup: Option<Cgroup>,
}

/// What does not change from one launch to the next.
#[derive(Debug)]
pub(super) struct Workshop {
    /// The shim's binary, opened when the daemon started, so that an upgrade cannot mix versions.
    pub(super) shim: File,
    pub(super) shim_path: PathBuf,
    /// Where attempts get their cgroups, and what those can limit.
    pub(super) place: Place,
    /// Which daemon this is, as [`super::tree::daemon_id`] tells.
    pub(super) daemon_id: Arc<str>,
    /// Soft limit of open descriptors for jobs, if the daemon changed its own.
    pub(super) open_files: Option<u64>,
    /// Environment of the daemon, for jobs that inherit it.
    pub(super) environment: Vec<(String, String)>,
}

impl Workshop {
    /// The cgroup below which attempts get theirs, if they do.
    pub(super) fn cgroups(&self) -> Option<CgroupRoot> {
        self.place.root()
    }

    /// What the processes of an attempt of `owner`'s are known by.
    pub(super) fn mark(&self, attempt: &AttemptId, owner: u32) -> Mark {
        Mark {
            attempt: attempt.clone(),
            daemon: Arc::clone(&self.daemon_id),
            owner,
        }
    }
}

/// The launching threads.
#[derive(Debug)]
pub(super) struct Launcher {
    jobs: mpsc::Sender<Job>,
}

impl Launcher {
    pub(super) fn start(workshop: &Arc<Workshop>, dispatcher: &UnboundedSender<Msg>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..THREADS {
            let (queue, workshop, dispatcher) =
                (Arc::clone(&queue), Arc::clone(workshop), dispatcher.clone());
            std::thread::Builder::new()
                .name(format!("launch-{number}"))
                .spawn(move || {
                    loop {
                        let job = match queue.lock() {
                            Ok(queue) => queue.recv(),
                            Err(_) => return,
                        };
                        let Ok(job) = job else { return };
                        let attempt = job.attempt.clone();
                        let result = workshop.place.within(&job.config, || launch(&workshop, &job));
                        if dispatcher
                            .send(Msg::Launched(attempt, result.map(Box::new)))
                            .is_err()
                        {
                            return;
                        }
                    }
                })?;
        }
        Ok(Self { jobs })
    }

    /// Hands a launch over. The answer comes as [`Msg::Launched`].
    pub(super) fn submit(&self, job: Job) {
        // The threads live as long as the daemon; after them there is nothing to launch for.
        drop(self.jobs.send(job));
    }
}

fn because(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// Makes everything and starts the shim. On failure what was made is taken away again.
fn launch(workshop: &Workshop, job: &Job) -> Result<Launched, String> {
    let mut made = Made {
        paths: &job.config.paths,
        attempt: &job.attempt,
        day: job.intended_at.day(),
        cgroup: None,
    };
    let launched = make(workshop, job, &mut made);
    if launched.is_err() {
        made.take_away();
    }
    launched
}

/// What was made so far.
struct Made<'a> {
    paths: &'a Paths,
    attempt: &'a AttemptId,
    day: String,
    cgroup: Option<Cgroup>,
}

impl Made<'_> {
    fn take_away(&self) {
        let socket = std::fs::remove_file(self.paths.socket(self.attempt));
        let dir = Dir::open(self.paths.attempts().join(&self.day))
            .and_then(|day| day.remove_tree(self.attempt.as_str()));
        let cgroup = self
            .cgroup
            .as_ref()
            .map_or(Ok(()), |cgroup| cgroup.kill().and_then(|()| cgroup.remove()));
        for error in [socket.err(), dir.err(), cgroup.err()].into_iter().flatten() {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(ATTEMPT_ID = %self.attempt, %error, "a part of a failed launch is left over");
            }
        }
    }
}

fn make(workshop: &Workshop, job: &Job, made: &mut Made<'_>) -> Result<Launched, String> {
    let execution = Execution::of_json(&job.new.dag).map_err(|error| format!("the DAG: {error}"))?;
    let user = run_as::user_of(job.new.owner, &execution)?;
    let limits = confine::wanted(workshop, job, &execution);
    let root = creds::effective_uid() == 0;
    let give = |file: BorrowedFd<'_>| {
        if root {
            files::fchown(file, user.uid, user.gid)
        } else {
            Ok(())
        }
    };
    let paths = &job.config.paths;

    let dir = attempt_dir(paths, &made.day, &job.attempt)?;
    let journal = dir
        .create_file("journal", 0o600, Create::New)
        .map_err(because("the journal"))?;
    let header = Header::new(
        job.new.run.clone(),
        job.attempt.clone(),
        job.number,
        job.view.created_at,
    );
    Writer::create(journal.try_clone().map_err(because("the journal"))?, header)
        .map_err(|error| error.to_string())?;
    let log_dir = dir
        .ensure_dir("logs", 0o750)
        .map_err(because("the log directory"))?;
    give(log_dir.as_fd()).map_err(because("the log directory"))?;
    let work_dir = work_dir(paths, &job.new, &give)?;

    let socket_path = paths.socket(&job.attempt);
    remove_stale(&socket_path)?;
    let listener = socket::listen(&socket_path, 0o666).map_err(because(socket_path.display()))?;

    let steps = confine::cgroups(workshop, job, &user, &limits, made)?;
    let cgroup = made.cgroup.clone();

    let mut spec = specification(workshop, job, &user, work_dir, &socket_path);
    spec.descriptors = SpecDescriptors::of(steps.is_some(), cgroup.is_some());
    if let Some(wanted) = execution.no_new_privs {
        spec.no_new_privs = wanted;
    }
    confine::tell(&mut spec, limits);
    let spec = serde_json::to_vec(&spec).map_err(|error| format!("the specification: {error}"))?;
    let frame = codec::encode(&ToShim::Spec(spec), SPEC_MAX).map_err(|error| error.to_string())?;

    let (ours, theirs) = fdpass::socketpair().map_err(because("the shim's channel"))?;
    let spawned = Spawn {
        program_fd: Some(workshop.shim.as_fd()),
        argv: vec![OsString::from("proctor-shim")],
        env: workshop
            .mark(&job.attempt, user.uid)
            .variables()
            .map(|(name, value)| (name.into(), value.into()))
            .into_iter()
            .chain(
                clock::variables()
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into())),
            )
            .collect(),
        stdin: Some(theirs.as_fd()),
        new_session: true,
        cgroup: cgroup.as_ref(),
        ..Spawn::new(&workshop.shim_path)
    }
    .spawn()
    .map_err(|error| error.to_string())?;
    drop(theirs);
    let mut fds = vec![
        job.entry.as_fd(),
        journal.as_fd(),
        listener.as_fd(),
        log_dir.as_fd(),
    ];
    fds.extend(steps.as_ref().map(AsFd::as_fd));
    fds.extend(cgroup.as_ref().map(AsFd::as_fd));
    match fdpass::send_with_fds(ours.as_fd(), &frame, &fds) {
        Ok(()) => {}
        // The shim died before it had read all: its end is seen as any other before the start, and tried again.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) => {}
        // The shim sees end-of-file and leaves; it is reaped like any other.
        Err(error) => return Err(format!("the shim does not take its specification: {error}")),
    }
    let journal = dir.open_regular("journal").map_err(because("the journal"))?;
    Ok(Launched {
        pid: spawned.pid,
        pidfd: spawned.pidfd,
        channel: ours,
        journal,
        cgroup,
    })
}

/// Everything the shim must know.
fn specification(
    workshop: &Workshop,
    job: &Job,
    user: &User,
    work_dir: String,
    socket_path: &Path,
) -> ShimSpec {
    let root = creds::effective_uid() == 0;
    ShimSpec {
        protocol: PROTOCOL_VERSION,
        run: job.new.run.clone(),
        attempt: job.attempt.clone(),
        number: job.number,
        // The shim makes the steps' views from the DAG, which it has anyway.
        view: RunView {
            steps: Vec::new(),
            handlers: Vec::new(),
            ..job.view.clone()
        },
        dag: job.new.dag.to_string(),
        params: job.new.params.clone(),
        params_json: job.new.params_json.clone(),
        base_dir: job.new.base_dir.clone(),
        work_dir,
        socket: socket_path.display().to_string(),
        become_user: root,
        daemon_uid: creds::effective_uid(),
        env: job_env::environment(
            &workshop.environment,
            &job.config,
            user,
            &workshop.mark(&job.attempt, user.uid),
        ),
        default_shell: job_env::default_shell(&workshop.environment, &job.config, user),
        heartbeat_ms: heartbeat_ms(job.config.proc.heartbeat_interval_sec),
        max_clients: job.config.control.max_status_clients,
        resume: job.resume.clone(),
        retried_on: job.retried_on.clone(),
        output: job.config.log.step_output,
        journal: job.config.log.steps_journal(),
        descriptors: SpecDescriptors::default(),
        open_files: workshop.open_files,
        no_new_privs: job.config.job.no_new_privs && root && user.uid != 0,
        umask: job.config.job.umask,
        limits: SpecLimits::default(),
        user: SpecUser {
            name: user.name.clone(),
            uid: user.uid,
            gid: user.gid,
            groups: user.groups.clone(),
            home: user.home.display().to_string(),
            shell: user.shell.display().to_string(),
        },
    }
}

fn attempt_dir(paths: &Paths, day: &str, attempt: &AttemptId) -> Result<Dir, String> {
    let make = || -> io::Result<Dir> {
        let day = Dir::open(paths.attempts())?.ensure_dir(day, 0o755)?;
        // An earlier launch of this attempt that never started may have left something.
        match day.remove_tree(attempt.as_str()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        day.create_dir(attempt.as_str(), 0o755)?;
        day.open_child_dir(attempt.as_str())
    };
    make().map_err(because(paths.attempt(day, attempt).display()))
}

/// The run's scratch directory. It is kept over retries, so its name comes from the run.
fn work_dir(
    paths: &Paths,
    new: &NewRun,
    give: &dyn Fn(BorrowedFd<'_>) -> io::Result<()>,
) -> Result<String, String> {
    let name = super::cleanup::work_name(&new.run);
    let make = || -> io::Result<()> { give(Dir::open(paths.work())?.ensure_dir(&name, 0o700)?.as_fd()) };
    let path = paths.work().join(&name);
    make().map_err(because(path.display()))?;
    Ok(path.display().to_string())
}

/// A socket of this name can only be left from an earlier launch of the same attempt.
fn remove_stale(path: &Path) -> Result<(), String> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", path.display())),
        _ => Ok(()),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the configuration bounds the interval to an hour, and `as` saturates"
)]
fn heartbeat_ms(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}
