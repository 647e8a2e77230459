//! The sub-runs of call steps while they are under way: asked for as slots are free, followed, stopped.
//!
//! What is asked for is recorded first. The daemon may be gone at any moment: when it is back, everything that was
//! asked for and has not ended is asked for again, which starts nothing twice.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use super::super::calls::{Ended, Planned};
use super::super::task::TaskKey;
use super::Supervisor;
use crate::model::fact::Call;
use crate::model::{Fact, Node, RunRef, RunStatus};
use crate::wire::shim::{CallNews, CallRequest, CallTarget, FromShim, SlotUse};

/// What is wanted of sub-runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    /// Their end, in their own time.
    #[default]
    Run,
    /// That they stop.
    Stop,
    /// That they stop at once.
    Kill,
}

impl Wish {
    /// What the daemon is told of it.
    const fn message(self, number: u64) -> Option<FromShim> {
        match self {
            Self::Run => None,
            Self::Stop => Some(FromShim::StopCall(number)),
            Self::Kill => Some(FromShim::KillCall(number)),
        }
    }
}

/// Most bytes of questions that the daemon has not answered yet: each may hold the text of a DAG.
const UNANSWERED_MAX: usize = 4 * 1024 * 1024;
/// What a question counts besides that text, in bytes.
const QUESTION: usize = 4 * 1024;

/// All sub-runs under way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    sets: BTreeMap<TaskKey, Set>,
    by_number: HashMap<u64, (TaskKey, usize)>,
    /// Numbers of the attempts whose ends were told, to ask for further ones; of each node those it called last.
    told: BTreeMap<Node, HashMap<RunRef, u32>>,
    last: u64,
    /// Questions that are to be sent, in order.
    unsent: VecDeque<u64>,
    /// Questions that are sent and not answered, with what they count.
    unanswered: BTreeMap<u64, usize>,
}

/// The sub-runs of one try.
#[derive(Debug)]
struct Set {
    node: Node,
    planned: Rc<Planned>,
    children: Vec<Child>,
    /// The next one to ask for.
    next: usize,
    /// Those that were asked for and have not ended.
    live: usize,
    /// Those of them that take a slot: the others wait for a retry.
    working: usize,
    /// Those that want a slot for a retry, in order. They come before what was not asked for yet.
    wanting: VecDeque<usize>,
    /// What is wanted of all of them.
    wish: Wish,
}

#[derive(Debug, Default)]
struct Child {
    /// Set when it is asked for.
    number: Option<u64>,
    /// Whether it has given its slot back.
    rests: bool,
    after: Option<u32>,
    /// What the daemon is told that is wanted of it.
    wish: Wish,
    end: Option<Ended>,
}

impl Calls {
    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }
}

impl Supervisor {
    /// Begins the sub-runs of a try.
    pub(super) fn begin_calls(&mut self, key: TaskKey, node: Node, planned: Rc<Planned>) {
        let children = planned.calls.iter().map(|call| Call {
            run: call.run.clone(),
            params: call.text.clone(),
        });
        let children = children.collect();
        if let Some(told) = self.calls.told.get_mut(&node) {
            // A step that repeats calls other runs each time: what it is not asking for now it never asks for again.
            let wanted: HashSet<&RunRef> = planned.calls.iter().map(|call| &call.run).collect();
            told.retain(|run, _| wanted.contains(run));
        }
        self.record(Fact::NodeCalls { node, children });
        let set = Set {
            node,
            children: planned.calls.iter().map(|_| Child::default()).collect(),
            planned,
            next: 0,
            live: 0,
            working: 0,
            wanting: VecDeque::new(),
            wish: Wish::Run,
        };
        self.calls.sets.insert(key, set);
        self.go_on_calling(key);
    }

    /// Asks for as many further sub-runs as there are free slots. When all have ended, the task goes on.
    fn go_on_calling(&mut self, key: TaskKey) {
        self.grant_slots(key);
        loop {
            let Some(set) = self.calls.sets.get_mut(&key) else {
                return;
            };
            let free = set.wish == Wish::Run && set.working < set.planned.max_concurrent;
            let (node, at) = (set.node, set.next);
            let Some(child) = set.children.get_mut(at).filter(|_| free) else {
                break;
            };
            set.next += 1;
            set.live += 1;
            set.working += 1;
            self.calls.last += 1;
            child.number = Some(self.calls.last);
            child.after = set
                .planned
                .calls
                .get(at)
                .and_then(|call| self.calls.told.get(&node)?.get(&call.run))
                .copied();
            self.calls.by_number.insert(self.calls.last, (key, at));
            self.calls.unsent.push_back(self.calls.last);
            self.child_changed(node, at, RunStatus::Queued);
        }
        self.poke();
        self.send_questions();
        let over = self
            .calls
            .sets
            .get(&key)
            .is_some_and(|set| set.live == 0 && (set.wish > Wish::Run || set.next >= set.children.len()));
        if over && let Some(set) = self.calls.sets.remove(&key) {
            for number in set.children.iter().filter_map(|child| child.number) {
                self.calls.by_number.remove(&number);
            }
            let ends = set
                .children
                .into_iter()
                .map(|child| child.end.unwrap_or(Ended::Not));
            if let Some(task) = self.tasks.get_mut(&key) {
                task.answer_calls(ends.collect());
                self.drive(key);
            }
            if self.killing_tree {
                self.reap();
            }
        }
    }

    /// Gives free slots to sub-runs whose retries are due.
    fn grant_slots(&mut self, key: TaskKey) {
        let Some(set) = self.calls.sets.get_mut(&key) else {
            return;
        };
        let mut granted = Vec::new();
        while set.working < set.planned.max_concurrent
            && let Some(at) = set.wanting.pop_front()
        {
            if let Some(child) = set.children.get_mut(at).filter(|child| child.end.is_none()) {
                child.rests = false;
                set.working += 1;
                granted.extend(child.number);
            }
        }
        for number in granted {
            self.tell_daemon(&FromShim::GrantSlot(number));
        }
    }

    /// A sub-run tells how it uses its slot.
    fn slot_changed(&mut self, key: TaskKey, at: usize, slot: SlotUse) {
        let Some(set) = self.calls.sets.get_mut(&key) else {
            return;
        };
        let Some(child) = set.children.get_mut(at) else {
            return;
        };
        set.wanting.retain(|waiting| *waiting != at);
        let rests = slot != SlotUse::Working;
        // One that never rested as far as is known here, and wants a slot, gives back the one it has.
        if rests && !child.rests {
            set.working = set.working.saturating_sub(1);
        } else if !rests && child.rests {
            set.working += 1;
        }
        child.rests = rests;
        if slot == SlotUse::Wanted {
            set.wanting.push_back(at);
        }
        self.go_on_calling(key);
    }

    fn child_changed(&mut self, node: Node, at: usize, status: RunStatus) {
        let child = u32::try_from(at).unwrap_or(u32::MAX);
        self.record(Fact::ChildChanged { node, child, status });
    }

    /// Sends questions as long as the daemon keeps up with them. Without a daemon they wait for the next one.
    fn send_questions(&mut self) {
        while self.channel.is_some() {
            let Some(number) = self.calls.unsent.front().copied() else {
                return;
            };
            let Some((request, wish)) = self.question(number) else {
                self.calls.unsent.pop_front();
                continue;
            };
            let params = request.params.iter().map(|(_, value)| value.len()).sum::<usize>();
            let text = params
                + match &request.target {
                    CallTarget::File { source, schemas, .. } => {
                        let schemas = schemas.iter().filter_map(|schema| schema.text.as_ref());
                        source.len() + schemas.map(String::len).sum::<usize>()
                    }
                    CallTarget::Local(_) | CallTarget::Installed(_) => 0,
                };
            let under_way: usize = self.calls.unanswered.values().sum();
            if under_way > 0 && under_way + QUESTION + text > UNANSWERED_MAX {
                return;
            }
            self.calls.unsent.pop_front();
            self.calls.unanswered.insert(number, QUESTION + text);
            self.tell_daemon(&FromShim::Call(Box::new(request)));
            if let Some(message) = wish.message(number) {
                self.tell_daemon(&message);
            }
        }
    }

    /// The question of that number, and what is wanted of its sub-run; none if it has ended.
    fn question(&self, number: u64) -> Option<(CallRequest, Wish)> {
        let (key, at) = self.calls.by_number.get(&number)?;
        let set = self.calls.sets.get(key)?;
        let (child, call) = (set.children.get(*at)?, set.planned.calls.get(*at)?);
        if child.end.is_some() {
            return None;
        }
        let request = CallRequest {
            call: number,
            step: self.boot.step(set.node)?.name.clone(),
            after: child.after,
            run: call.run.id.clone(),
            target: (*call.target).clone(),
            params: call.params.clone(),
        };
        Some((request, child.wish))
    }

    /// The daemon is back: it is asked for everything that has not ended.
    pub(super) fn ask_again(&mut self) {
        self.calls.unanswered.clear();
        let mut live: Vec<u64> = self.calls.by_number.keys().copied().collect();
        live.sort_unstable();
        self.calls.unsent = live.into();
        self.send_questions();
    }

    /// The daemon tells of a sub-run.
    pub(super) fn called(&mut self, number: u64, news: CallNews) {
        let Some((key, at)) = self.calls.by_number.get(&number).copied() else {
            return;
        };
        let Some(set) = self.calls.sets.get_mut(&key) else {
            return;
        };
        let answered = self.calls.unanswered.remove(&number).is_some();
        let node = set.node;
        let run = set.planned.calls.get(at).map(|call| call.run.clone());
        let Some(child) = set.children.get_mut(at).filter(|child| child.end.is_none()) else {
            return;
        };
        if let CallNews::Slot(slot) = news {
            return self.slot_changed(key, at, slot);
        }
        let rested = child.rests;
        let status = match news {
            CallNews::Slot(_) => return,
            // It may be told again, after a restart of the daemon.
            CallNews::Accepted => {
                if answered {
                    self.child_changed(node, at, RunStatus::Running);
                    self.poke();
                    self.send_questions();
                }
                return;
            }
            CallNews::Refused(why) => {
                child.end = Some(Ended::Refused(why));
                RunStatus::NotStarted
            }
            CallNews::Ended(end) => {
                let status = end.status;
                let told = self.calls.told.entry(node).or_default();
                told.extend(run.map(|run| (run, end.number)));
                child.end = Some(Ended::Run(*end));
                status
            }
        };
        set.live = set.live.saturating_sub(1);
        set.working = set.working.saturating_sub(usize::from(!rested));
        self.child_changed(node, at, status);
        self.go_on_calling(key);
    }

    /// Stops the sub-runs of a try, or kills them; no further one is asked for.
    pub(super) fn stop_calls(&mut self, key: TaskKey, kill: bool) {
        let Some(set) = self.calls.sets.get_mut(&key) else {
            return;
        };
        let wish = if kill { Wish::Kill } else { Wish::Stop };
        set.wish = set.wish.max(wish);
        let mut missing = Vec::new();
        for child in &mut set.children {
            if let (Some(number), None) = (child.number, &child.end)
                && child.wish < wish
            {
                child.wish = wish;
                missing.push(number);
            }
        }
        let unsent: HashSet<u64> = self.calls.unsent.iter().copied().collect();
        // One that is not sent yet is sent with its wish.
        for number in missing.into_iter().filter(|number| !unsent.contains(number)) {
            if let Some(message) = wish.message(number) {
                self.tell_daemon(&message);
            }
        }
        self.go_on_calling(key);
    }

    /// Kills every sub-run. Without a daemon nobody can be told: it finds this attempt ended when it is back, and ends
    /// what it called then.
    pub(super) fn kill_calls(&mut self) {
        let keys: Vec<TaskKey> = self.calls.sets.keys().copied().collect();
        for key in keys {
            self.stop_calls(key, true);
            if self.channel.is_none() {
                self.abandon_calls(key);
            }
        }
    }

    fn abandon_calls(&mut self, key: TaskKey) {
        let Some(set) = self.calls.sets.get_mut(&key) else {
            return;
        };
        for child in &mut set.children {
            if child.number.is_some() && child.end.is_none() {
                let why = "the daemon is not there to stop it, and will do so when it is back";
                child.end = Some(Ended::Refused(why.to_owned()));
            }
        }
        set.live = 0;
        set.working = 0;
        self.go_on_calling(key);
    }
}
