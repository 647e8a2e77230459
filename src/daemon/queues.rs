//! What people ask about queues, and do to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::control::refusal;
use super::dispatcher::{Asked, Asking, Dispatcher};
use super::live::LiveRun;
use super::requests::Asker;
use crate::config::Config;
use crate::engine::scheduler::{Event, Place, Token};
use crate::model::view::RunSummary;
use crate::model::{GroupName, Priority, RunRef, RunStatus, StopReason, Time};
use crate::telemetry::events;
use crate::wire::control::{ErrorKind, Problem, Response};
use crate::wire::manage::QueueView;

/// Most runs of a queue that are listed: the answer must fit into one message.
const LISTED_MAX: usize = 1000;

/// Changes of queues that the engine is asked for.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// A queue is paused, or goes on: who is answered.
    pauses: HashMap<Token, (GroupName, Sender<Response>)>,
    /// A run gets another place; it counts when the engine accepts it.
    moves: HashMap<Token, (RunRef, Place)>,
}

/// A queue, with a user if that user's runs in it count by themselves.
type Row<'a> = (&'a GroupName, Option<u32>);

/// What waits in a queue.
#[derive(Debug, Default)]
struct Waiting {
    count: u32,
    oldest: Option<(Time, RunRef)>,
}

/// What is said of a queue that somebody names and the configuration does not: it may be a slip, and its few places are for
/// the runs of all.
pub(super) fn not_configured(config: &Config, queue: &GroupName) -> Option<Problem> {
    if config.queue.named.contains_key(queue) {
        return None;
    }
    let places = match config.queue.max_active_runs {
        0 => "no limit".to_owned(),
        1 => "1 place".to_owned(),
        many => format!("{many} places"),
    };
    Some(Problem {
        message: format!("queue {queue} is not configured: it has {places}"),
        file: None,
        line: None,
        column: None,
        hint: Some(format!(
            "`proctorctl queue list` shows those that are; [queues.{queue}] of the configuration makes it one"
        )),
    })
}

impl Dispatcher {
    /// The queues that are configured, hold runs or are paused. A user who may not see all is told of those that are
    /// configured or hold a run of his, and of the runs that count for each user by themselves only of his own.
    pub(super) fn queues(&mut self, owner: Option<u32>, asker: &Asker) {
        let waiting = self.waiting_by_queue(owner);
        let own: Option<BTreeSet<&GroupName>> = owner.map(|owner| {
            let mine = |live: &&LiveRun| live.new.owner == owner && live.new.parent.is_none();
            self.runs
                .values()
                .filter(mine)
                .map(|live| &live.new.group)
                .collect()
        });
        let seen = |view: &QueueView| match view.owner {
            Some(user) => owner.is_none_or(|owner| owner == user),
            None => own
                .as_ref()
                .is_none_or(|own| self.is_configured(&view.queue) || own.contains(&view.queue)),
        };
        // The engine knows those of runs that wait for a retry, too, and they are in no queue.
        let holds = |view: &QueueView| {
            self.is_configured(&view.queue) || view.paused || view.live > 0 || view.queued > 0
        };
        let names = self.engine.queues();
        let views = names.flat_map(|queue| self.queue_views(queue, &waiting));
        let views: Vec<QueueView> = views.filter(|view| seen(view) && holds(view)).collect();
        self.answer(&asker.answers, Response::Queues(views));
    }

    pub(super) fn is_configured(&self, queue: &GroupName) -> bool {
        self.config.queue.named.contains_key(queue)
    }

    fn queue_views(&self, queue: &GroupName, waiting: &BTreeMap<Row<'_>, Waiting>) -> Vec<QueueView> {
        let rows = self.engine.queue_rows(queue).into_iter();
        rows.map(|(owner, state)| {
            let waiting = waiting.get(&(queue, owner));
            let oldest = waiting.and_then(|waiting| waiting.oldest.clone());
            QueueView {
                queue: queue.clone(),
                capacity: state.capacity,
                live: state.live,
                queued: waiting.map_or(0, |waiting| waiting.count),
                paused: state.paused,
                oldest: oldest.map(|(at, run)| (run, at)),
                owner,
            }
        })
        .collect()
    }

    /// What waits in each queue. The oldest run is one of the `owner`, if there is one.
    fn waiting_by_queue(&self, owner: Option<u32>) -> BTreeMap<Row<'_>, Waiting> {
        let mut queues: BTreeMap<Row<'_>, Waiting> = BTreeMap::new();
        for live in self.runs.values() {
            if live.new.parent.is_some() || live.view.status != RunStatus::Queued {
                continue;
            }
            let queue = &live.new.group;
            let counts_alone = queue.as_str() == live.view.run.dag.as_str() && !self.is_configured(queue);
            let row = (queue, counts_alone.then_some(live.new.owner));
            let waiting = queues.entry(row).or_default();
            waiting.count = waiting.count.saturating_add(1);
            let at = live.view.created_at;
            let older = |(time, run): &(Time, RunRef)| (at, &live.view.run) < (*time, run);
            if owner.is_none_or(|owner| owner == live.new.owner) && waiting.oldest.as_ref().is_none_or(older)
            {
                waiting.oldest = Some((at, live.view.run.clone()));
            }
        }
        queues
    }

    /// The runs that wait in a queue, those that go first first.
    pub(super) fn queue(&mut self, queue: &GroupName, owner: Option<u32>, asker: &Asker) {
        let waiting = self.engine.queued_in(queue).into_iter();
        let lives = waiting.filter_map(|run| self.runs.get(run));
        let mine = lives.filter(|live| owner.is_none_or(|owner| owner == live.new.owner));
        let runs: Vec<RunSummary> = mine.map(|live| live.view.summary()).take(LISTED_MAX).collect();
        self.answer(&asker.answers, Response::Runs(runs));
    }

    /// Somebody pauses a queue, or has it go on.
    pub(super) fn pause_queue(&mut self, queue: GroupName, on: bool, asker: Asker) {
        self.next_token += 1;
        let token = Token(self.next_token);
        let pauses = &mut self.queue_asks.pauses;
        pauses.insert(token, (queue.clone(), asker.answers));
        self.tell(Event::Pause(token, queue, on));
    }

    /// Somebody gives a queued run another place.
    pub(super) fn move_run(
        &mut self,
        asker: Asker,
        run: RunRef,
        queue: Option<GroupName>,
        priority: Option<Priority>,
        first: bool,
    ) {
        if queue.is_none() && priority.is_none() && !first {
            let text = "a move needs a queue, a priority, or the first place";
            self.answer(&asker.answers, refusal(ErrorKind::Invalid, text));
            return;
        }
        let mut warnings = Vec::new();
        // What the queue's own runs have told counts more than what holds for queues that nobody configured.
        let queue = queue.map(|queue| {
            let config = &self.config.queue;
            let told = self.engine.queue(&queue).capacity;
            let told = told.filter(|_| !config.named.contains_key(&queue));
            let capacity = told.unwrap_or_else(|| {
                warnings.extend(not_configured(&self.config, &queue));
                config.max_active_runs
            });
            (queue, capacity)
        });
        let place = Place {
            queue,
            priority,
            first,
        };
        let token = self.ask_about(asker, &run, warnings);
        let moves = &mut self.queue_asks.moves;
        moves.insert(token, (run.clone(), place.clone()));
        self.tell(Event::Move(token, run, place));
    }

    /// Somebody takes a run out of the queue.
    pub(super) fn dequeue(&mut self, asker: Asker, run: RunRef) {
        let reason = StopReason::User { uid: asker.peer.uid };
        let token = self.ask_about(asker, &run, Vec::new());
        self.tell(Event::Dequeue(token, run, reason));
    }

    fn ask_about(&mut self, asker: Asker, run: &RunRef, warnings: Vec<Problem>) -> Token {
        self.ask(Asked {
            run: run.clone(),
            asking: Asking::Client(asker.answers),
            warnings,
            created: false,
        })
    }

    /// The engine accepted a request. Whether it is answered with that: of a move the run's new place is noted, and its
    /// answer follows.
    pub(super) fn queue_accepted(&mut self, token: Token) -> bool {
        if let Some((run, place)) = self.queue_asks.moves.remove(&token) {
            self.note_place(&run, place);
        }
        let Some((queue, answers)) = self.queue_asks.pauses.remove(&token) else {
            return false;
        };
        let paused = self.engine.queue(&queue).paused;
        events::queue_paused(&queue, paused);
        let waiting = self.waiting_by_queue(None);
        let views = self.queue_views(&queue, &waiting);
        self.answer(&answers, Response::Queues(views));
        true
    }

    fn note_place(&mut self, run: &RunRef, place: Place) {
        let Some(live) = self.runs.get_mut(run) else {
            return;
        };
        let new = Arc::make_mut(&mut live.new);
        if let Some((queue, capacity)) = place.queue {
            live.view.group.clone_from(&queue);
            new.group = queue;
            new.capacity = capacity;
        }
        if let Some(priority) = place.priority {
            new.priority = priority;
            live.view.priority = priority;
        }
    }

    /// The engine refused a request: who is answered, if it is one that only queues know.
    pub(super) fn queue_refused(&mut self, token: Token) -> Option<Sender<Response>> {
        self.queue_asks.moves.remove(&token);
        let (_, answers) = self.queue_asks.pauses.remove(&token)?;
        Some(answers)
    }
}
