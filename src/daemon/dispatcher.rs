//! The dispatcher: one task that owns all state. Whatever happens anywhere becomes a message to it, in one order.
//!
//! It decides nothing itself. It tells the scheduler engine, performs the effects, keeps the view of each run
//! that is queued or live, and passes on what the journals say to the store and to whoever follows a run.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::alarms::Alarms;
use super::attempt::Attempt;
use super::follow::Followers;
use super::foreign::Foreign;
use super::hooks::Hooks;
use super::launch::{Launched, Launcher, Workshop};
use super::live::Runs;
use super::place::Failed;
use super::questions::Calls;
use super::registry::Registry;
use super::requests::Requester;
use super::saving::Leaving;
use crate::config::Config;
use crate::config::types::OnShutdown;
use crate::engine::scheduler::{Effect, Event, Scheduler, Token};
use crate::journal::Reader as JournalReader;
use crate::model::{AttemptId, Boot, Node, Now, RunRef, Time};
use crate::proc::{ProcDir, ProcEvent, ProcWatch};
use crate::store::{self, Reader, Store};
use crate::sys::clock;
use crate::sys::epoll::TimerFd;
use crate::sys::pidfd::WaitStatus;
use crate::wire::control::{Request, Response};
use crate::wire::shim::{FromShim, ToShim};

/// First number of the batches that are the dispatcher's own; the engine counts from 1.
const OWN_BATCHES: u64 = 1 << 62;

/// Something to be done by the dispatcher later.
pub(super) type GoOn = Box<dyn FnOnce(&mut Dispatcher) + Send>;

/// Something that happened.
pub(super) enum Msg {
    /// A client asks.
    Request {
        from: Requester,
        request: Request,
        answers: mpsc::Sender<Response>,
    },
    /// A client is connected.
    ClientCame(oneshot::Sender<()>),
    /// A client is gone.
    ClientWent,
    /// The store answers for a batch.
    Stored(u64, Result<(), store::Error>),
    /// A launch was tried.
    Launched(AttemptId, Result<Box<Launched>, Failed>),
    /// A shim says something.
    Shim(AttemptId, FromShim),
    /// A shim's process has exited, if it is a child, with this status.
    Exited(AttemptId, Option<WaitStatus>),
    /// The daemon is connected to a shim that outlived its predecessor.
    Attached(AttemptId, OwnedFd),
    /// Nothing of the attempt lives any more.
    TreeEmpty(AttemptId),
    /// Files, socket and cgroup of an ended attempt are removed.
    Cleaned(AttemptId),
    /// Something that was done elsewhere goes on here.
    Then(GoOn),
    /// Children may have exited.
    Reap,
    /// Something changed in the proc directory.
    Proc(Vec<ProcEvent>),
    /// Read the configuration again.
    Reload,
    /// Shut down, because of this signal; what becomes of attempts, if not what the configuration says.
    Terminate(&'static str, Option<OnShutdown>),
    /// The daemon cannot go on.
    Fatal(String),
}

impl std::fmt::Debug for Msg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Msg")
    }
}

/// Who is answered.
#[derive(Debug)]
pub(super) enum Asking {
    /// A client.
    Client(mpsc::Sender<Response>),
    /// The attempt that wants a sub-run, and its number for it.
    Call(AttemptId, u64),
    /// Somebody who decided about a step.
    Decision(Box<super::decisions::Decided>),
    /// Nobody: the daemon wants it.
    Nobody,
}

/// What waits for the engine's answer to a request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) run: RunRef,
    pub(super) asking: Asking,
    pub(super) warnings: Vec<crate::wire::control::Problem>,
    /// Whether the run was taken into memory for this request, and goes again if it is refused.
    pub(super) created: bool,
}

/// Counters for `doctor`.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) launched: u64,
    pub(super) adopted: u64,
    pub(super) ended: u64,
    pub(super) lost: u64,
    pub(super) healed: u64,
    pub(super) quarantined: u64,
    pub(super) denied: u64,
    pub(super) stalled: u64,
    pub(super) recovered: u64,
    pub(super) stalled_stopped: u64,
    pub(super) stalled_killed: u64,
    /// What the attempts have used that have ended, as far as it is known.
    pub(super) used: crate::model::Usage,
    pub(super) ticks: super::schedules::Ticks,
}

/// Owner of all state.
pub(super) struct Dispatcher {
    pub(super) config: Arc<Config>,
    pub(super) workshop: Arc<Workshop>,
    pub(super) engine: Scheduler,
    /// Before the store: it ends before that is closed.
    pub(super) retention: super::retention::Retention,
    pub(super) store: Store,
    pub(super) reader: Reader,
    pub(super) proc: ProcDir,
    pub(super) watch: Option<ProcWatch>,
    pub(super) launcher: Launcher,
    pub(super) to_self: mpsc::UnboundedSender<Msg>,
    pub(super) runs: Runs,
    /// What people wait for who change queues.
    pub(super) queue_asks: super::queues::Asks,
    pub(super) attempts: HashMap<AttemptId, Attempt>,
    pub(super) by_pid: HashMap<u32, AttemptId>,
    pub(super) asked: HashMap<Token, Asked>,
    pub(super) followers: Followers,
    /// Sub-runs that live attempts asked for.
    pub(super) calls: Calls,
    pub(super) next_token: u64,
    pub(super) next_batch: u64,
    pub(super) registry: Registry,
    /// Nodes of own batches that are on their way to the store.
    pub(super) saving: BTreeMap<u64, (RunRef, Vec<Node>)>,
    /// What is shown again if a batch fails.
    pub(super) undo: super::undo::Undo,
    /// Attempts whose clean-up is being recorded, by batch.
    pub(super) forgetting: BTreeMap<u64, (AttemptId, Leaving)>,
    /// Attempts whose use is on its way to the store, by batch. They are cleaned up after that.
    pub(super) accounting: BTreeMap<u64, AttemptId>,
    /// Runs that do not wait for a retry any more once a batch is stored, by batch.
    pub(super) turning: BTreeMap<u64, Vec<super::retries::Turn>>,
    /// What goes on when a run has left memory.
    pub(super) waiting: HashMap<RunRef, Vec<GoOn>>,
    /// What the engine is still to be told.
    pub(super) news: VecDeque<Event>,
    pub(super) telling: bool,
    pub(super) telemetry: crate::telemetry::Telemetry,
    /// Limits of the control socket, for those who come from now on.
    pub(super) limits: tokio::sync::watch::Sender<super::clients::Limits>,
    pub(super) timer: TimerFd,
    pub(super) alarms: Alarms,
    pub(super) hooks: Hooks,
    pub(super) foreign: Foreign,
    pub(super) kept: super::kept::Kept,
    pub(super) counters: Counters,
    pub(super) metrics: super::metrics::Metrics,
    pub(super) status: super::status::Status,
    /// The last time that each kind of thing was done.
    pub(super) actions: BTreeMap<&'static str, (Time, String)>,
    pub(super) boot_id: String,
    pub(super) store_trouble: Option<String>,
    pub(super) clients: usize,
    pub(super) embedded: bool,
    pub(super) idle: bool,
    pub(super) served: bool,
    /// Set when the daemon leaves: how.
    pub(super) leaving: Option<Result<(), String>>,
    pub(super) draining: bool,
    /// When it leaves at the latest, while it drains.
    pub(super) leaves_by: Boot,
}

/// Both clocks.
pub(super) fn now() -> Now {
    Now {
        wall: Time(clock::wall_micros()),
        boot: Boot(clock::boot_micros()),
    }
}

impl Dispatcher {
    /// Takes one message.
    pub(super) fn take(&mut self, message: Msg) {
        match message {
            Msg::Request {
                from,
                request,
                answers,
            } => self.request(from, request, answers),
            Msg::ClientCame(counted) => {
                self.clients += 1;
                // One that has gone again says so, too.
                let _gone = counted.send(());
                self.served = true;
            }
            Msg::ClientWent => {
                self.clients = self.clients.saturating_sub(1);
            }
            Msg::Stored(number, result) => self.stored(number, result),
            Msg::Launched(attempt, result) => self.launched(&attempt, result),
            Msg::Shim(attempt, message) => self.shim_says(&attempt, message),
            Msg::Exited(attempt, status) => self.exited(&attempt, status),
            Msg::Attached(attempt, channel) => self.attached(&attempt, channel),
            Msg::TreeEmpty(attempt) => self.tree_empty(&attempt),
            Msg::Cleaned(attempt) => self.cleaned(&attempt, false),
            Msg::Then(go_on) => go_on(self),
            Msg::Reap => self.reap(),
            Msg::Proc(events) => self.proc_events(&events),
            Msg::Reload => drop(self.reload()),
            Msg::Terminate(why, attempts) => self.terminate(why, attempts),
            Msg::Fatal(text) => self.leaving = Some(Err(text)),
        }
        self.tell_status();
        self.leave_if_idle();
    }

    /// Tells the engine, and performs what it wants.
    ///
    /// What is told while effects are being performed waits until they are: the engine's order is kept.
    pub(super) fn tell(&mut self, event: Event) {
        self.news.push_back(event);
        if std::mem::replace(&mut self.telling, true) {
            return;
        }
        while let Some(event) = self.news.pop_front() {
            let mut effects = Vec::new();
            self.engine.handle(now(), event, &mut effects);
            for effect in effects {
                self.perform(effect);
            }
        }
        self.telling = false;
    }

    fn perform(&mut self, effect: Effect) {
        self.idle = false;
        match effect {
            Effect::Commit(number, changes) => self.commit(number, changes),
            Effect::Launch(run, attempt, number) => self.launch(&run, &attempt, number),
            Effect::OpenGate(attempt) => self.open_gate(&attempt),
            Effect::CloseGate(attempt) => self.close_gate(&attempt),
            Effect::Adopt(_, attempt, _) => self.adopt(&attempt),
            Effect::SendStop(attempt, reason) => self.send_stop(&attempt, reason),
            Effect::EnsureStop(attempt, reason) => self.ensure_stop(&attempt, reason),
            // What cannot be told now is told when the shim is reached.
            Effect::NoRetry(attempt) => drop(self.send(&attempt, &ToShim::NoRetry)),
            Effect::Clean(attempt) => self.clean(&attempt),
            Effect::Accepted(token) => self.accepted(token),
            Effect::Refused(token, refusal) => self.refused(token, refusal),
            Effect::Changed(run) => self.changed(&run),
            Effect::Over(run) => self.over(&run),
            Effect::Arm(at) => self.arm_engine(at),
            Effect::Make(new) => self.make(*new),
            Effect::Unmake(run) => self.drop_run(&run),
            Effect::Tick(dag, at, kind, outcome) => self.ticked(&dag, at, kind, &outcome),
            Effect::Idle => self.idle = true,
        }
    }

    /// A new number for a batch of the dispatcher's own.
    pub(super) fn own_batch(&mut self) -> u64 {
        self.next_batch += 1;
        OWN_BATCHES + self.next_batch
    }

    /// A new token for a request that the engine answers.
    pub(super) fn ask(&mut self, asked: Asked) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.asked.insert(token, asked);
        token
    }

    /// Does something slow elsewhere, then goes on here with what came of it.
    pub(super) fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        go_on: impl FnOnce(&mut Self, T) + Send + 'static,
    ) {
        let to_self = self.to_self.clone();
        tokio::task::spawn_blocking(move || {
            let value = work();
            // With the dispatcher gone there is nobody left to care.
            drop(to_self.send(Msg::Then(Box::new(move |dispatcher| go_on(dispatcher, value)))));
        });
    }

    /// An embedded daemon leaves when it has served somebody, nothing is to be done and nobody is connected; one
    /// that is draining, when nothing is live any more.
    pub(super) fn leave_if_idle(&mut self) {
        let unused = self.embedded && self.served && self.clients == 0 && self.engine.is_empty();
        let unused = unused && self.hooks.pending() == 0;
        if (unused || (self.draining && self.idle)) && self.leaving.is_none() {
            self.leaving = Some(Ok(()));
        }
    }

    /// Shutdown: attempts go on, or are stopped first if the signal or the configuration says so.
    fn terminate(&mut self, why: &'static str, attempts: Option<OnShutdown>) {
        tracing::info!(signal = why, live = self.attempts.len(), "shutting down");
        let attempts = attempts.unwrap_or(self.config.shutdown.attempts);
        if self.draining || attempts == OnShutdown::Keep {
            self.leaving = Some(Ok(()));
            return;
        }
        self.begin_to_drain();
        self.tell(Event::Drain);
        let live: Vec<RunRef> = self
            .attempts
            .values()
            .map(|attempt| attempt.run.clone())
            .collect();
        for run in live {
            let token = self.ask(Asked {
                run: run.clone(),
                asking: Asking::Nobody,
                warnings: Vec::new(),
                created: false,
            });
            self.tell(Event::Stop(token, run, crate::model::StopReason::Shutdown));
        }
        self.ask_for_time();
        self.leave_if_idle();
    }

    /// Opens a journal that belongs to an attempt.
    pub(super) fn open_journal(file: File, attempt: &AttemptId) -> Result<JournalReader, String> {
        JournalReader::new(file)
            .and_then(|reader| reader.expect_attempt(attempt))
            .map_err(|error| error.to_string())
    }
}
