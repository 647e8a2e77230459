//! The shim's one loop: it waits for the kernel, tells the engine, and performs what the engine wants.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;

use super::boot::Boot;
use super::children::{Child, Place, Purpose, exit_of};
use super::conn::{Conn, Peer};
use super::journalled::Journalled;
use super::status::{Client, Permit, Wish};
use super::task::{Step, Task, TaskKey, Work};
use super::timers::{Alarm, Timers};
use super::tree;
use crate::engine::attempt::{Attempt, Effect, Event, NodeKey, Resume};
use crate::model::{Boot as BootTime, Fact, Node, Now, StopReason, Time};
use crate::proc::ProcHandle;
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::{clock, reap, socket};
use crate::wire::codec;
use crate::wire::shim::{FromShim, ToShim};

/// Longest run of one command substitution, in seconds.
const SUBSTITUTION_SECS: f64 = 30.0;
/// Pause before the journal is tried again when the disk is full, in seconds.
const JOURNAL_RETRY_SECS: f64 = 1.0;

const CHANNEL: u64 = 0;
const LISTENER: u64 = 1;
const SIGNALS: u64 = 2;
const TIMER: u64 = 3;
const FIRST_CLIENT: u64 = 16;

/// Everything of one attempt.
struct Supervisor {
    boot: Rc<super::task::Facts>,
    engine: Attempt,
    truth: Journalled,
    entry: ProcHandle,
    channel: Option<Conn>,
    listener: OwnedFd,
    steps: Option<crate::sys::cgroup::Cgroup>,
    log_dir: crate::sys::files::Dir,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    max_clients: usize,
    epoll: Epoll,
    timers: Timers,
    signals: SignalPipes,
    tasks: BTreeMap<TaskKey, Task>,
    children: BTreeMap<u32, Child>,
    events: VecDeque<Event>,
    serial: u64,
    killing_tree: bool,
    leaving: bool,
}

/// Signals arrive as bytes: one pipe for SIGCHLD and one for those that ask the shim to stop.
struct SignalPipes {
    child: UnixStream,
    stop: UnixStream,
}

impl SignalPipes {
    fn open() -> io::Result<Self> {
        use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
        let (child, writer) = UnixStream::pair()?;
        child.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
        let (stop, writer) = UnixStream::pair()?;
        stop.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
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
        } = boot;
        let epoll = Epoll::new()?;
        let signals = SignalPipes::open()?;
        let mut timers = Timers::new()?;
        socket::set_nonblocking(listener.as_fd(), true)?;
        epoll.add(channel.fd(), CHANNEL, Ready::READ)?;
        epoll.add(&listener, LISTENER, Ready::READ)?;
        epoll.add(&signals.child, SIGNALS, Ready::READ)?;
        epoll.add(&signals.stop, SIGNALS, Ready::READ)?;
        epoll.add(timers.fd(), TIMER, Ready::READ)?;

        let resume = spec.resume.clone().map(|steps| Resume { steps });
        let engine = Attempt::new(&dag, resume.as_ref());
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
        let mut supervisor = Self {
            boot: Rc::new(super::task::Facts::new(spec, dag)),
            engine,
            truth,
            entry,
            channel: Some(channel),
            listener,
            steps,
            log_dir,
            clients: BTreeMap::new(),
            next_client: FIRST_CLIENT,
            max_clients,
            epoll,
            timers,
            signals,
            tasks: BTreeMap::new(),
            children: BTreeMap::new(),
            events: VecDeque::from([Event::Begin]),
            serial: 0,
            killing_tree: false,
            leaving: false,
        };
        supervisor.poke();
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
                client => self.serve_client(client),
            }
        }
        self.on_due_alarms();
        self.drain_events();
        Ok(())
    }

    /// Tells the engine what happened and performs what it wants, until nothing is left to tell.
    fn drain_events(&mut self) {
        let mut grown = false;
        while let Some(event) = self.events.pop_front() {
            for effect in self.engine.handle(now(), event) {
                grown |= matches!(effect, Effect::Record(_));
                self.perform(effect);
            }
        }
        if grown {
            self.poke();
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Record(fact) => self.record(fact),
            Effect::Initialise => self.begin(TaskKey::Initialise, Work::Initialise),
            Effect::Prepare(key) => self.begin(TaskKey::Node(key), Work::Prepare),
            Effect::CheckRepeat(key) => self.begin(TaskKey::Node(key), Work::CheckRepeat),
            Effect::Execute(key) => self.execute(key),
            Effect::Signal(key, signal) => self.signal(key, signal),
            Effect::Kill(key) => self.signal(key, libc::SIGKILL),
            Effect::KillTree => {
                self.killing_tree = true;
                self.refuse_all("the run is being ended");
                self.reap();
            }
            Effect::Arm(timer, at) => self.timers.arm(Alarm::Engine(timer), at),
            Effect::Disarm(timer) => self.timers.disarm(Alarm::Engine(timer)),
            Effect::Leave => self.leave(),
        }
    }

    fn record(&mut self, fact: Fact) {
        self.truth.record(now().wall, fact);
        if self.truth.is_behind() {
            self.timers
                .arm(Alarm::Journal, now().boot.after_secs(JOURNAL_RETRY_SECS));
        }
    }

    /// Leaves as soon as everything is on the disk.
    fn leave(&mut self) {
        self.leaving = !self.truth.is_behind();
        if !self.leaving {
            self.timers
                .arm(Alarm::Journal, now().boot.after_secs(JOURNAL_RETRY_SECS));
        }
    }

    fn begin(&mut self, key: TaskKey, work: Work) {
        self.tasks.insert(key, Task::new(work));
        self.drive(key);
    }

    /// Opens the logs of a node and begins its try.
    fn execute(&mut self, key: NodeKey) {
        let names = self.boot.log_names(key.node);
        match names.open(&self.log_dir) {
            Ok(streams) => {
                self.record(Fact::NodeStarted {
                    node: key.node,
                    stdout: names.stdout.clone(),
                    stderr: names.stderr.clone(),
                });
                let apart = names.stdout == names.stderr
                    && self.boot.step(key.node).is_some_and(|step| step.output.is_some());
                self.begin(TaskKey::Node(key), Work::execute(streams, apart));
            }
            Err(error) => {
                let error = format!("cannot open the log {}: {error}", names.stdout);
                let end = crate::engine::attempt::TryEnd {
                    error: Some(error),
                    ..Default::default()
                };
                self.events.push_back(Event::TryEnded(key, end));
            }
        }
    }

    /// Lets a task go on until it waits for a child or is finished.
    fn drive(&mut self, key: TaskKey) {
        let Some(mut task) = self.tasks.remove(&key) else {
            return;
        };
        loop {
            match task.step(key, &self.boot, self.truth.view(), self.engine.status()) {
                Step::Need(request) => {
                    let purpose = request.purpose;
                    self.serial += 1;
                    let place = Place {
                        steps: self.steps.as_ref(),
                        log_dir: &self.log_dir,
                        log_path: &self.boot.spec.view.log_dir,
                        streams: task.streams(),
                        serial: self.serial,
                    };
                    match Child::start(key, *request, place) {
                        Ok(child) => {
                            self.started(key, purpose, &child);
                            task.running = Some(child.pid);
                            self.children.insert(child.pid, child);
                            self.tasks.insert(key, task);
                            return;
                        }
                        Err(error) => task.answer(super::children::ChildEnd::not_started(error)),
                    }
                }
                Step::Done { event, facts } => {
                    for fact in facts {
                        self.record(fact);
                    }
                    self.events.push_back(event);
                    return;
                }
            }
        }
    }

    fn started(&mut self, key: TaskKey, purpose: Purpose, child: &Child) {
        match (key, purpose) {
            (TaskKey::Node(node), Purpose::Main) => {
                self.record(Fact::NodeSpawned {
                    node: node.node,
                    pid: child.pid,
                });
                self.poke();
            }
            (TaskKey::Node(node), Purpose::Substitution) => self.bound_substitution(node),
            _ => {}
        }
    }

    fn bound_substitution(&mut self, key: NodeKey) {
        self.timers
            .arm(Alarm::Substitution(key), now().boot.after_secs(SUBSTITUTION_SECS));
    }

    /// Sends a signal to the process group of a node's running child; nothing further of it is started.
    fn signal(&mut self, key: NodeKey, signal: i32) {
        let Some(task) = self.tasks.get_mut(&TaskKey::Node(key)) else {
            return;
        };
        task.refuse(&format!(
            "stopped with {}",
            crate::model::outcome::signal_name(signal)
        ));
        if let Some(child) = task.running.and_then(|pid| self.children.get(&pid)) {
            tree::ignore_gone(child.pidfd.signal_group(child.pid, signal));
        }
    }

    fn refuse_all(&mut self, why: &str) {
        for task in self.tasks.values_mut() {
            task.refuse(why);
        }
    }

    /// Collects every child that has exited. An exit is recorded before the child is reaped: a crash in between
    /// loses nothing.
    fn reap(&mut self) {
        while let Ok(Some(pid)) = reap::next_zombie() {
            let status = reap::peek_pid(pid).ok().flatten();
            if let (Some(child), Some(status)) = (self.children.get(&pid), status)
                && let (TaskKey::Node(key), Purpose::Main) = (child.task, child.purpose)
            {
                self.record(Fact::NodeExited {
                    node: key.node,
                    exit: exit_of(status),
                });
            }
            let reaped = reap::reap_pid(pid).ok().flatten().or(status);
            if let (Some(child), Some(status)) = (self.children.remove(&pid), reaped) {
                self.child_ended(child, status);
            }
        }
        if self.killing_tree {
            if tree::has_children() {
                tree::kill_all(self.steps.as_ref());
            } else {
                self.killing_tree = false;
                self.events.push_back(Event::TreeEmpty);
            }
        }
    }

    fn child_ended(&mut self, child: Child, status: crate::sys::pidfd::WaitStatus) {
        let key = child.task;
        if let (TaskKey::Node(node), Purpose::Substitution) = (key, child.purpose) {
            self.timers.disarm(Alarm::Substitution(node));
        }
        let end = child.finish(status, &self.log_dir, self.boot.dag.max_output_size);
        if let Some(task) = self.tasks.get_mut(&key) {
            task.running = None;
            task.answer(end);
            self.drive(key);
        }
    }

    fn on_signals(&mut self) {
        drain_pipe(&self.signals.child);
        if drain_pipe(&self.signals.stop) {
            self.events
                .push_back(Event::Stop(StopReason::Signal(libc::SIGTERM)));
        }
        self.reap();
        self.poke();
    }

    fn on_due_alarms(&mut self) {
        let at = now();
        while let Some(alarm) = self.timers.pop_due(at.boot) {
            match alarm {
                Alarm::Engine(timer) => self.events.push_back(Event::Timer(timer)),
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
                    if let Some(task) = self.tasks.get_mut(&TaskKey::Node(key)) {
                        task.refuse(&text);
                        if let Some(child) = task.running.and_then(|pid| self.children.get(&pid)) {
                            tree::ignore_gone(child.pidfd.signal_group(child.pid, libc::SIGKILL));
                        }
                    }
                }
                Alarm::Journal => {
                    if self.truth.write_held() {
                        self.poke();
                        self.leaving = self.engine.is_finished();
                    } else {
                        self.timers
                            .arm(Alarm::Journal, at.boot.after_secs(JOURNAL_RETRY_SECS));
                    }
                }
            }
        }
    }

    /// Tells the daemon that the journal has grown. With no daemon there is nobody to tell: the next one reads on.
    fn poke(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        if channel.wants_write() {
            // A poke is on its way already, and one is as good as many.
            return;
        }
        if channel.send(&FromShim::Poke).is_err() {
            self.lose_channel();
        }
    }

    fn lose_channel(&mut self) {
        if let Some(channel) = self.channel.take() {
            drop(self.epoll.delete(channel.fd()));
        }
    }

    fn serve_channel(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        let read = channel.flush().and_then(|()| channel.read_once());
        let mut messages = Vec::new();
        let mut broken = !matches!(read, Ok(Peer::Open));
        while let Ok(Some(frame)) = channel.next_frame() {
            match codec::decode::<ToShim>(&frame) {
                Ok(message) => messages.push(message),
                Err(_) => broken = true,
            }
        }
        for message in messages {
            match message {
                ToShim::Stop(reason) => self.events.push_back(Event::Stop(reason)),
                ToShim::ReplaceEntry => self.replace_entry(),
                // Both come once, during boot.
                ToShim::Spec(_) | ToShim::Go => {}
            }
        }
        if broken {
            self.lose_channel();
        }
    }

    /// Somebody deleted the entry; the daemon has made and locked a new one.
    fn replace_entry(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        let Some(fd) = channel.take_fds().pop() else {
            return;
        };
        // The new entry is taken over even if this beat fails: the old one is deleted.
        drop(self.entry.replace(fd, now().wall));
        if channel.send(&FromShim::EntryReplaced).is_err() {
            self.lose_channel();
        }
    }

    fn accept(&mut self) {
        while let Ok(Some(fd)) = socket::accept(self.listener.as_fd()) {
            let Ok(cred) = socket::peer_cred(&fd) else {
                continue;
            };
            if self.clients.len() >= self.max_clients && !self.make_room(cred.uid) {
                // The peer sees end-of-file and tries again; waiting clients cost nothing here.
                continue;
            }
            let token = self.next_client;
            self.next_client += 1;
            if let Ok(conn) = Conn::new(fd)
                && self.epoll.add(conn.fd(), token, Ready::READ).is_ok()
            {
                self.clients.insert(token, Client::new(conn, cred));
            }
        }
    }

    fn permit(&self) -> Permit {
        Permit {
            daemon_uid: self.boot.spec.daemon_uid,
            job_uid: self.boot.spec.user.uid,
        }
    }

    /// Cuts a client off for one of user `uid`: a stranger before others, then the one that is here longest. So
    /// clients that connect and say nothing cannot keep out the daemon, which must attach, nor the owner.
    fn make_room(&mut self, uid: u32) -> bool {
        let permit = self.permit();
        if !permit.allows(uid) {
            return false;
        }
        let stranger = self
            .clients
            .iter()
            .find(|(_, client)| !permit.allows(client.uid()));
        let Some(token) = stranger.or(self.clients.iter().next()).map(|(token, _)| *token) else {
            return false;
        };
        if let Some(client) = self.clients.remove(&token) {
            drop(self.epoll.delete(client.conn.fd()));
        }
        true
    }

    fn serve_client(&mut self, token: u64) {
        let Some(mut client) = self.clients.remove(&token) else {
            return;
        };
        let permit = self.permit();
        let served = client
            .conn
            .flush()
            .and_then(|()| client.serve(self.truth.view(), permit));
        let Ok(wishes) = served else {
            drop(self.epoll.delete(client.conn.fd()));
            return;
        };
        for wish in wishes {
            match wish {
                Wish::Stop(reason) => self.events.push_back(Event::Stop(reason)),
                Wish::Signal(signal) => self.signal_steps(signal),
                Wish::Attach => {
                    self.attach(client);
                    return;
                }
            }
        }
        let write = client.conn.wants_write();
        if client.leaving && !write {
            drop(self.epoll.delete(client.conn.fd()));
            return;
        }
        let ready = if write { Ready::WRITE } else { Ready::READ };
        if self.epoll.modify(client.conn.fd(), token, ready).is_ok() {
            self.clients.insert(token, client);
        }
    }

    /// The daemon is back: this connection is its channel from now on.
    fn attach(&mut self, client: Client) {
        self.lose_channel();
        if self.epoll.modify(client.conn.fd(), CHANNEL, Ready::READ).is_ok() {
            self.channel = Some(client.conn);
            self.poke();
        }
    }

    fn signal_steps(&mut self, signal: i32) {
        for child in self.children.values() {
            if matches!(
                (child.task, child.purpose),
                (
                    TaskKey::Node(NodeKey {
                        node: Node::Step(_),
                        ..
                    }),
                    Purpose::Main
                )
            ) {
                tree::ignore_gone(child.pidfd.signal_group(child.pid, signal));
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
