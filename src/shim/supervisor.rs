//! The shim's one loop: it waits for the kernel, tells the engine, and performs what the engine wants.

mod calls;
mod outlet;
mod output;
mod peers;
mod rest;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;

use super::boot::Boot;
use super::children::Child;
use super::conn::Conn;
use super::journalled::Journalled;
use super::outlet::Outlet;
use super::status::Client;
use super::taps::Tap;
use super::task::{Task, TaskKey, Work};
use super::timers::{Alarm, Timers};
use super::tree;
use super::witness::Witness;
use crate::engine::attempt::{Attempt, Effect, Event, Resume};
use crate::model::access::Peer;
use crate::model::{Boot as BootTime, Fact, Now, StopReason, Time};
use crate::proc::ProcHandle;
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::inotify::Inotify;
use crate::sys::{clock, socket};
use crate::wire::shim::StatusVerb;

/// Longest run of one command substitution, in seconds.
const SUBSTITUTION_SECS: f64 = 30.0;
/// Pause before the journal is tried again when the disk is full, in seconds.
const JOURNAL_RETRY_SECS: f64 = 1.0;

const CHANNEL: u64 = 0;
const LISTENER: u64 = 1;
const SIGNALS: u64 = 2;
const TIMER: u64 = 3;
const COPIES: u64 = 4;
const OUTLET: u64 = 5;
/// Clients and pipes have tokens from here on.
const FIRST_TOKEN: u64 = 16;

/// Everything of one attempt.
struct Supervisor {
    boot: Rc<super::task::Facts>,
    engine: Attempt,
    truth: Journalled,
    entry: ProcHandle,
    channel: Option<Conn>,
    /// Whether room in the channel is waited for.
    channel_waits: bool,
    listener: OwnedFd,
    steps: Option<crate::sys::cgroup::Cgroup>,
    witness: Witness,
    log_dir: crate::sys::files::Dir,
    /// Watches logs of which the DAG wants copies; made when the first step has one.
    copies: Option<Inotify>,
    /// Pipes that steps write to, or what they left in the background.
    taps: BTreeMap<u64, Rc<Tap>>,
    /// The way of what steps write to the journal, if it goes there.
    outflow: Option<outlet::Outflow>,
    clients: BTreeMap<u64, Client>,
    next_token: u64,
    max_clients: usize,
    /// How many denials were noted, and those that no daemon has been told of.
    denials: u32,
    untold: Vec<(Peer, StatusVerb)>,
    epoll: Epoll,
    timers: Timers,
    signals: SignalPipes,
    tasks: BTreeMap<TaskKey, Task>,
    children: BTreeMap<u32, Child>,
    calls: calls::Calls,
    rest: rest::Rest,
    events: VecDeque<Event>,
    serial: u64,
    killing_tree: bool,
    leaving: bool,
}

/// Signals arrive as bytes: a pipe for SIGCHLD and one for each that asks the shim to stop.
struct SignalPipes {
    child: UnixStream,
    stop: Vec<(i32, UnixStream)>,
}

impl SignalPipes {
    fn open() -> io::Result<Self> {
        use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
        let (child, writer) = UnixStream::pair()?;
        child.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
        let mut stop = Vec::new();
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, writer)?;
            stop.push((signal, reader));
        }
        Ok(Self { child, stop })
    }
}

/// Runs the attempt to its end.
pub(super) fn run(boot: Boot) -> ExitCode {
    let Ok(mut supervisor) = Supervisor::new(boot) else {
        // `started` could not be recorded, so nothing was run; the daemon finds the journal without it.
        return ExitCode::FAILURE;
    };
    while !supervisor.leaving {
        if supervisor.turn().is_err() {
            return ExitCode::FAILURE;
        }
    }
    supervisor.poke();
    ExitCode::SUCCESS
}

fn now() -> Now {
    Now {
        wall: Time(clock::wall_micros()),
        boot: BootTime(clock::boot_micros()),
    }
}

impl Supervisor {
    /// Records `started`, durably: only then may a step start.
    fn new(boot: Boot) -> Result<Self, Box<dyn std::error::Error>> {
        let Boot {
            spec,
            dag,
            channel,
            entry,
            journal,
            listener,
            log_dir,
            steps,
            cgroup,
        } = boot;
        let epoll = Epoll::new()?;
        let signals = SignalPipes::open()?;
        let mut timers = Timers::new()?;
        socket::set_nonblocking(listener.as_fd(), true)?;
        epoll.add(channel.fd(), CHANNEL, Ready::READ)?;
        epoll.add(&listener, LISTENER, Ready::READ)?;
        epoll.add(&signals.child, SIGNALS, Ready::READ)?;
        for (_, pipe) in &signals.stop {
            epoll.add(pipe, SIGNALS, Ready::READ)?;
        }
        epoll.add(timers.fd(), TIMER, Ready::READ)?;

        let resume = spec.resume.clone().map(|steps| Resume { steps });
        let engine = Attempt::new(&dag, resume.as_ref()).retried_on(spec.retried_on.clone());
        let mut truth = Journalled::open(journal, spec.view.clone())?;
        truth.preload(|view| preload(&dag, resume.as_ref(), view));
        let start = now();
        truth.record_durably(
            start.wall,
            Fact::Started {
                pid: std::process::id(),
            },
        )?;
        let entry = ProcHandle::new(entry.into());
        entry.beat(start.wall)?;
        timers.arm(Alarm::Beat, start.boot.after_secs(beat_secs(spec.heartbeat_ms)));
        let max_clients = usize::try_from(spec.max_clients).unwrap_or(usize::MAX);
        let outflow = Outlet::open(&spec).map(outlet::Outflow::new);
        let mut supervisor = Self {
            outflow,
            boot: Rc::new(super::task::Facts::new(spec, dag)),
            engine,
            truth,
            entry,
            channel: Some(channel),
            channel_waits: false,
            listener,
            steps,
            witness: Witness::new(cgroup),
            log_dir,
            copies: None,
            taps: BTreeMap::new(),
            clients: BTreeMap::new(),
            next_token: FIRST_TOKEN,
            max_clients,
            denials: 0,
            untold: Vec::new(),
            epoll,
            timers,
            signals,
            tasks: BTreeMap::new(),
            children: BTreeMap::new(),
            calls: calls::Calls::default(),
            rest: rest::Rest::new(),
            events: VecDeque::from([Event::Begin]),
            serial: 0,
            killing_tree: false,
            leaving: false,
        };
        supervisor.poke();
        // What came together with the word to go was read with it, and no readiness tells of it again.
        supervisor.serve_channel();
        supervisor.drain_events();
        Ok(supervisor)
    }

    /// One wait and everything it brings.
    fn turn(&mut self) -> io::Result<()> {
        self.timers.settle()?;
        for event in self.epoll.wait(None)? {
            match event.token {
                CHANNEL => self.serve_channel(),
                LISTENER => self.accept(),
                SIGNALS => self.on_signals(),
                TIMER => self.timers.fired(),
                COPIES => self.copy_logs(),
                OUTLET => self.room_in_outlet(),
                token if self.taps.contains_key(&token) => self.serve_tap(token),
                client => self.serve_client(client),
            }
        }
        self.on_due_alarms();
        self.drain_events();
        self.serve_outlet();
        Ok(())
    }

    /// Tells the engine what happened and performs what it wants, until nothing is left to tell.
    fn drain_events(&mut self) {
        // Telling the daemon may bring news, too: that it is gone, for one.
        while !self.events.is_empty() {
            let mut grown = false;
            while let Some(event) = self.events.pop_front() {
                for effect in self.engine.handle(now(), event) {
                    grown |= matches!(effect, Effect::Record(_));
                    self.perform(effect);
                }
            }
            self.tell_rest();
            if grown {
                self.poke();
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Record(fact) => self.record(fact),
            Effect::Initialise => self.begin(TaskKey::Initialise, Work::Initialise),
            Effect::Prepare(key) => self.begin(TaskKey::Node(key), Work::Prepare),
            Effect::CheckRepeat(key) => self.begin(TaskKey::Node(key), Work::CheckRepeat),
            Effect::Execute(key) => self.execute(key),
            Effect::Signal(key, signal) => {
                self.signal(key, signal);
                self.stop_calls(TaskKey::Node(key), false);
            }
            Effect::Kill(key) => {
                self.signal(key, libc::SIGKILL);
                self.stop_calls(TaskKey::Node(key), true);
            }
            Effect::KillTree => {
                self.killing_tree = true;
                self.refuse_all("the run is being ended");
                self.kill_calls();
                self.reap();
            }
            Effect::Arm(timer, at) => self.timers.arm(Alarm::Engine(timer), at),
            Effect::Disarm(timer) => self.timers.disarm(Alarm::Engine(timer)),
            Effect::Leave => self.leave(),
        }
    }

    fn record(&mut self, mut fact: Fact) {
        if let Some(secrets) = self.boot.secrets.get() {
            fact = secrets.cover_fact(fact);
        }
        self.note_end_of_logs(&fact);
        if matches!(fact, Fact::Ended { .. }) {
            let usage = self.witness.usage();
            self.truth.record(now().wall, Fact::Used { usage });
        }
        self.truth.record(now().wall, fact);
        if self.truth.is_behind() {
            self.timers
                .arm(Alarm::Journal, now().boot.after_secs(JOURNAL_RETRY_SECS));
        }
    }

    /// Leaves as soon as everything is on the disk.
    fn leave(&mut self) {
        if self.truth.is_behind() {
            self.timers
                .arm(Alarm::Journal, now().boot.after_secs(JOURNAL_RETRY_SECS));
        } else {
            self.leaving = self.outlet_is_done();
        }
    }

    fn on_signals(&mut self) {
        drain_pipe(&self.signals.child);
        for (signal, pipe) in &self.signals.stop {
            if drain_pipe(pipe) {
                self.events.push_back(Event::Stop(StopReason::Signal(*signal)));
            }
        }
        self.reap();
        self.poke();
    }

    fn on_due_alarms(&mut self) {
        let at = now();
        while let Some(alarm) = self.timers.pop_due(at.boot) {
            match alarm {
                Alarm::Engine(timer) => self.engine_timer(timer),
                Alarm::Beat => {
                    // A beat that cannot be written makes the attempt look stalled, which is the truth then.
                    drop(self.entry.beat(at.wall));
                    self.timers.arm(
                        Alarm::Beat,
                        at.boot.after_secs(beat_secs(self.boot.spec.heartbeat_ms)),
                    );
                }
                Alarm::Substitution(key) => {
                    let text = format!("a command substitution ran longer than {SUBSTITUTION_SECS} s");
                    if let Some(task) = self.tasks.get_mut(&key) {
                        task.refuse(&text);
                        if let Some(child) = task.running.and_then(|pid| self.children.get(&pid)) {
                            tree::kill_group(child);
                        }
                    }
                }
                Alarm::Journal => {
                    if self.truth.write_held() {
                        self.poke();
                        self.leave_if_finished();
                    } else {
                        self.timers
                            .arm(Alarm::Journal, at.boot.after_secs(JOURNAL_RETRY_SECS));
                    }
                }
                Alarm::Outlet => {
                    self.give_up_outlet();
                    self.leave_if_finished();
                }
            }
        }
    }
}

/// What a retry takes over from the attempt before stands in the view from the beginning.
fn preload(dag: &crate::dag::Dag, resume: Option<&Resume>, view: &mut crate::model::view::RunView) {
    if resume.is_some() {
        view.steps = crate::engine::attempt::carry_over(dag, resume);
    }
}

fn beat_secs(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds.max(100)).as_secs_f64()
}

/// Empties a signal pipe. True if anything was in it.
fn drain_pipe(mut pipe: &UnixStream) -> bool {
    use std::io::Read;
    let mut buffer = [0; 64];
    let mut any = false;
    while matches!(pipe.read(&mut buffer), Ok(n) if n > 0) {
        any = true;
    }
    any
}
