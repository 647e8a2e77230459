//! From the command line to a serving daemon, and the loop after that.
//!
//! The order matters: detach before anything has threads; take the lock before anything is touched; recover
//! before the socket answers.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::args::Args;
use super::clients::Limits;
use super::control;
use super::detach::{Caller, Side, detach};
use super::dispatcher::{Counters, Dispatcher, Msg};
use super::follow::Followers;
use super::host::{control_listener, find_shim, make_directories, raise_open_files, start_log};
use super::inherited::Inherited;
use super::kept::Kept;
use super::launch::{Launcher, Workshop};
use super::place::{FoundCgroups, Place, find_cgroups};
use super::tree;
use crate::config::Config;
use crate::config::types::OnShutdown;
use crate::engine::scheduler::Scheduler;
use crate::proc::{ProcDir, ProcWatch};
use crate::store::{Options, Store};
use crate::sys::epoll::TimerFd;
use crate::sys::lock::DaemonLock;
use crate::sys::{creds, identity, inherited, reactor, reap, socket};
use crate::telemetry::{Telemetry, events, notify};

/// Most threads that read the store, load DAGs and clean up at a time.
const READERS: usize = 8;

/// Why the daemon did not start, or ended.
#[derive(Debug)]
pub(super) enum Failure {
    /// The configuration is wrong; the report is complete, with its line feeds.
    Config(String),
    /// Anything else.
    Other(String),
    /// What the daemon said, in full, to the process that it detached from.
    Told(String),
}

impl Failure {
    pub(super) fn status(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(78),
            Self::Other(_) | Self::Told(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) | Self::Told(text) => f.write_str(text),
            Self::Other(text) => writeln!(f, "proctord: {text}"),
        }
    }
}

pub(super) fn because(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Other(format!("{what}: {error}"))
}

/// Does what the command line says.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config =
        Config::load(args.config.as_deref(), &args.root).map_err(|error| Failure::Config(error.report()))?;
    let zone = super::registry::zone_of(&config)
        .map_err(|error| Failure::Config(format!("{}: {error}\n", config.paths.config.display())))?;
    if args.check_config {
        for warning in config.check() {
            drop(writeln!(io::stdout(), "warning: {warning}"));
        }
        if let Err(error) = zone {
            drop(writeln!(
                io::stdout(),
                "warning: schedule.time_zone is empty, and {error}; schedules that name no time zone are errors"
            ));
        }
        drop(writeln!(io::stdout(), "the configuration is valid"));
        return Ok(());
    }
    let mut caller = None;
    if args.daemonize {
        match detach()? {
            Side::Caller => return Ok(()),
            Side::Daemon(waits) => caller = Some(waits),
        }
    }
    let ended = start(config, args.embedded, &mut caller);
    if let (Some(caller), Err(failure)) = (caller, &ended) {
        caller.failed(failure);
    }
    ended
}

/// Takes the lock and serves.
fn start(config: Config, embedded: bool, caller: &mut Option<Caller>) -> Result<(), Failure> {
    creds::set_umask(0o022);
    let telemetry = start_log(&config)?;
    if creds::effective_uid() == 0
        && let Err(error) = inherited::close_session_keyring()
    {
        tracing::warn!(%error, "the daemon keeps the session keyring that it was started with");
    }
    make_directories(&config.paths)?;
    let lock =
        DaemonLock::acquire(&config.paths.lock_file()).map_err(|error| Failure::Other(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(READERS)
        .build()
        .map_err(because("the event loop"))?;
    let ended = runtime.block_on(serve(config, embedded, telemetry, caller));
    // Reads in flight are waited for, and the store commits what it was given when the dispatcher is dropped.
    drop(runtime);
    drop(lock);
    ended
}

/// Builds the dispatcher, recovers, then serves until the end.
async fn serve(
    config: Config,
    embedded: bool,
    telemetry: Telemetry,
    caller: &mut Option<Caller>,
) -> Result<(), Failure> {
    let (to_self, mut messages) = mpsc::unbounded_channel();
    reap::become_subreaper().map_err(because("becoming the subreaper"))?;
    let mut signals = signal_hook_tokio::Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1])
        .map_err(because("the signal handlers"))?;
    let inherited = Inherited::take()?;
    let cgroups = find_cgroups(&config)?;
    let cgroup_path = cgroups.path().map(std::path::Path::to_owned);
    let mut dispatcher = match build(config, embedded, cgroups, to_self.clone(), telemetry) {
        Ok(dispatcher) => dispatcher,
        Err(failure) => {
            remove_if_empty(cgroup_path.as_deref());
            return Err(failure);
        }
    };
    dispatcher.kept = Kept::new(inherited.processes);
    dispatcher.recover().await.map_err(Failure::Other)?;
    dispatcher.start_registry().await.map_err(Failure::Other)?;

    let (listener, socket) = control_listener(&dispatcher.config, inherited.listener)?;
    tokio::spawn(control::serve(
        listener,
        to_self.clone(),
        dispatcher.limits.subscribe(),
    ));
    let readers =
        super::metrics::open_socket(&dispatcher.config, to_self.clone(), dispatcher.limits.subscribe());
    let metrics = readers.map_err(because("metrics.sock"))?;
    dispatcher.arm_textfile();
    let timer = dispatcher
        .timer
        .as_fd()
        .try_clone_to_owned()
        .map_err(because("the timer"))?;
    let timer = reactor::readable(timer).map_err(because("the timer"))?;
    let watched = watched(&dispatcher)?;
    tokio::spawn(super::retention::daily(to_self.clone()));
    announce_ready(&mut dispatcher, embedded);
    if let Some(caller) = caller.take() {
        caller.ready();
    }
    if let Some(interval) = notify::watchdog_interval() {
        tokio::spawn(feed_watchdog(interval));
    }

    while dispatcher.leaving.is_none() {
        tokio::select! {
            message = messages.recv() => match message {
                Some(message) => dispatcher.take(message),
                None => break,
            },
            signal = signals.next() => match signal {
                Some(SIGCHLD) => dispatcher.take(Msg::Reap),
                Some(SIGHUP) => dispatcher.take(Msg::Reload),
                Some(SIGUSR1) => dispatcher.take(Msg::Terminate("SIGUSR1", Some(OnShutdown::Stop))),
                Some(SIGINT) => dispatcher.take(Msg::Terminate("SIGINT", None)),
                _ => dispatcher.take(Msg::Terminate("SIGTERM", None)),
            },
            ready = timer.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                if matches!(dispatcher.timer.take(), Ok(true)) {
                    dispatcher.tick();
                }
            },
            ready = readable(watched.as_ref()) => {
                if ready {
                    let events = dispatcher.watch.as_mut().and_then(|watch| watch.read_events().ok());
                    dispatcher.take(Msg::Proc(events.unwrap_or_default()));
                }
            },
        }
    }
    dispatcher.keep_all();
    dispatcher.end_hooks().await;
    let ended = dispatcher.leaving.take().unwrap_or(Ok(()));
    // Without a service manager this is nothing; with one that does not listen nothing can be done.
    let goes_on = if dispatcher.attempts.is_empty() {
        "leaving"
    } else {
        "leaving; live attempts go on"
    };
    drop(notify::stopping(goes_on));
    events::daemon_stopping(
        if ended.is_ok() { "orderly end" } else { "failure" },
        dispatcher.attempts.len(),
    );
    if let Some((device, inode)) = socket {
        // The socket goes only if it is still this daemon's.
        drop(socket::unlink_socket_if_same(
            &dispatcher.config.paths.control_socket(),
            device,
            inode,
        ));
    }
    let cgroup_path = dispatcher.workshop.cgroups().map(|root| root.path().to_owned());
    drop((dispatcher, metrics));
    remove_if_empty(cgroup_path.as_deref());
    ended.map_err(Failure::Other)
}

/// Removes the cgroup of the attempts, which is empty only if none is live.
fn remove_if_empty(cgroup: Option<&std::path::Path>) {
    if let Some(path) = cgroup {
        drop(std::fs::remove_dir(path));
    }
}

async fn readable(watched: Option<&AsyncFd<OwnedFd>>) -> bool {
    match watched {
        Some(watched) => match watched.readable().await {
            Ok(mut ready) => {
                ready.clear_ready();
                true
            }
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

fn watched(dispatcher: &Dispatcher) -> Result<Option<AsyncFd<OwnedFd>>, Failure> {
    let Some(watch) = &dispatcher.watch else {
        return Ok(None);
    };
    let fd = watch
        .as_fd()
        .try_clone_to_owned()
        .map_err(because("the proc directory's watch"))?;
    reactor::readable(fd)
        .map(Some)
        .map_err(because("the proc directory's watch"))
}

fn build(
    config: Config,
    embedded: bool,
    cgroups: FoundCgroups,
    to_self: mpsc::UnboundedSender<Msg>,
    telemetry: Telemetry,
) -> Result<Dispatcher, Failure> {
    let config = Arc::new(config);
    let paths = config.paths.clone();
    let (shim, shim_path) = find_shim()?;
    let workshop = Arc::new(Workshop {
        open_files: raise_open_files(),
        shim,
        shim_path,
        place: Place::new(cgroups),
        daemon_id: tree::daemon_id(&paths.state).map_err(because("the state directory"))?,
        environment: super::job_env::of_the_daemon(),
    });
    let answers = to_self.clone();
    let log_paths = paths.clone();
    let options = Options::new(Arc::new(move |at: crate::model::Time, attempt| {
        log_paths
            .attempt(&at.day(), attempt)
            .join("logs")
            .display()
            .to_string()
    }));
    let done = Box::new(move |number, result| drop(answers.send(Msg::Stored(number, result))));
    let store =
        Store::open(&paths.store(), options, done).map_err(|error| Failure::Other(error.to_string()))?;
    let stale_after = Duration::from_secs_f64(config.proc.stale_after_sec);
    let proc =
        ProcDir::open(paths.proc_dir(), stale_after).map_err(|error| Failure::Other(error.to_string()))?;
    let watch = match ProcWatch::new(paths.proc_dir()) {
        Ok((watch, _)) => Some(watch),
        Err(error) => {
            tracing::warn!(%error, "the proc directory cannot be watched; deleted entries are found by doctor only");
            None
        }
    };
    let boot_id = identity::boot_id().map_err(because("the boot id"))?;
    let engine = Scheduler::new(crate::engine::scheduler::Config {
        max_live: config.queue.max_live_attempts,
        queues: config.queue.named.clone(),
        unbounded: Some(creds::effective_uid()),
    })
    .in_boot(boot_id.clone());
    let engine = if embedded {
        engine.without_schedules()
    } else {
        engine
    };
    let limits = Limits::of(&config);
    Ok(Dispatcher {
        retention: super::retention::Retention::start(&config, store.reader(), to_self.clone())
            .map_err(because("the thread that removes old runs"))?,
        reader: store.reader(),
        launcher: Launcher::start(&workshop, &to_self).map_err(because("the launcher"))?,
        config,
        workshop,
        engine,
        store,
        proc,
        watch,
        to_self,
        runs: super::live::Runs::default(),
        queue_asks: super::queues::Asks::default(),
        attempts: std::collections::HashMap::new(),
        by_pid: std::collections::HashMap::new(),
        asked: std::collections::HashMap::new(),
        followers: Followers::default(),
        calls: super::questions::Calls::default(),
        registry: super::registry::Registry::new(),
        next_token: 0,
        next_batch: 0,
        saving: std::collections::BTreeMap::new(),
        undo: super::undo::Undo::new(),
        forgetting: std::collections::BTreeMap::new(),
        accounting: std::collections::BTreeMap::new(),
        turning: std::collections::BTreeMap::new(),
        waiting: std::collections::HashMap::new(),
        news: std::collections::VecDeque::new(),
        telling: false,
        telemetry,
        limits: tokio::sync::watch::Sender::new(limits),
        timer: TimerFd::new().map_err(because("the timer"))?,
        alarms: super::alarms::Alarms::default(),
        hooks: super::hooks::Hooks::default(),
        foreign: super::foreign::Foreign::default(),
        kept: Kept::default(),
        actions: std::collections::BTreeMap::new(),
        counters: Counters::default(),
        metrics: super::metrics::Metrics::new(),
        status: super::status::Status::default(),
        boot_id,
        store_trouble: None,
        clients: 0,
        embedded,
        idle: false,
        served: false,
        leaving: None,
        draining: false,
        leaves_by: crate::model::Boot::default(),
    })
}

/// Tells everybody who waits for it that the daemon serves: the service manager, or the client that started it.
fn announce_ready(dispatcher: &mut Dispatcher, embedded: bool) {
    let adopted = usize::try_from(dispatcher.counters.adopted).unwrap_or(usize::MAX);
    events::daemon_started(env!("CARGO_PKG_VERSION"), adopted);
    dispatcher.first_status(adopted);
    if embedded {
        drop(writeln!(io::stdout(), "ready"));
        // The client reads to the end of the pipe.
        drop(crate::sys::stdio::silence_stdout());
    }
}

/// Tells the service manager that the event loop turns.
async fn feed_watchdog(interval: Duration) {
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        drop(notify::watchdog());
    }
}
