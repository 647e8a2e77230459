//! A random job: what it has, what its steps do, and how each part is to be spelled.

use proctor::dag::types::{ContinueOn, Output, RepeatMode};
use proctor::model::Handler;

use super::reference::Course;

#[path = "../../sim_scheduler/rng.rs"]
mod rng;

pub(super) use rng::Rng;

/// Most steps of a job.
const STEPS_MAX: usize = 8;

/// How the attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    Well,
    /// A precondition of the DAG is not met.
    Unmet,
    /// The environment cannot be evaluated.
    Broken,
}

/// What a node's preparation finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    /// A precondition is not met.
    Unmet,
    /// A limit is no number.
    Broken,
}

/// What a try does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed {
    pub(super) course: Course,
    /// Whether it writes the text that `continue_on.output` looks for.
    pub(super) says: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Retry {
    pub(super) limit: u32,
    pub(super) codes: Vec<i32>,
}

/// What a repeat condition comes to.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// It is met after these tries, by their numbers from 1.
    After(Vec<u32>),
    /// It cannot be evaluated.
    Broken,
}

#[derive(Debug, Clone)]
pub(super) struct Repeat {
    pub(super) mode: RepeatMode,
    pub(super) limit: u32,
    pub(super) codes: Vec<i32>,
    pub(super) test: Option<Test>,
}

/// A step or a handler.
#[derive(Debug, Clone)]
pub(super) struct Play {
    pub(super) name: String,
    pub(super) depends: Vec<u32>,
    pub(super) door: Door,
    /// One try after the other; the last one stands for all that follow.
    pub(super) deeds: Vec<Deed>,
    pub(super) continue_on: ContinueOn,
    pub(super) retry: Option<Retry>,
    pub(super) repeat: Option<Repeat>,
    pub(super) output: Option<Output>,
    /// Seed of how it is written.
    pub(super) spelling: u64,
}

impl Play {
    /// The try with this number, from 0.
    pub(super) fn deed(&self, number: u32) -> Deed {
        let at = usize::try_from(number).unwrap().min(self.deeds.len() - 1);
        self.deeds[at]
    }

    pub(super) fn never_starts(&self) -> bool {
        self.deed(0).course == Course::NoStart
    }
}

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) steps: Vec<Play>,
    /// In a chain, how many steps stand beside each other, from top to bottom; none for a graph.
    pub(super) chain: Option<Vec<usize>>,
    pub(super) handlers: Vec<(Handler, Play)>,
    pub(super) begin: Begin,
    pub(super) max_active_steps: usize,
    pub(super) spelling: u64,
}

impl Job {
    /// The job of a seed.
    pub(super) fn any(seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        let count = rng.below(STEPS_MAX) + usize::from(rng.percent(95));
        let mut steps: Vec<Play> = (0..count).map(|at| play(format!("s{at}"), rng)).collect();
        let chain = rng.percent(40).then(|| chain(&mut steps, rng));
        if chain.is_none() {
            graph(&mut steps, rng);
        }
        let mut handlers = Vec::new();
        for handler in Handler::ALL {
            if handler != Handler::Wait && rng.percent(35) {
                handlers.push((handler, play(format!("on-{}", handler.as_str()), rng)));
            }
        }
        Self {
            steps,
            chain,
            handlers,
            begin: match rng.below(25) {
                0 => Begin::Unmet,
                1 => Begin::Broken,
                _ => Begin::Well,
            },
            max_active_steps: rng.below(4),
            spelling: rng.next(),
        }
    }
}

/// Each group depends on all of the group before it.
fn chain(steps: &mut [Play], rng: &mut Rng) -> Vec<usize> {
    let mut groups = Vec::new();
    let mut before = 0..0;
    while before.end < steps.len() {
        let most = (steps.len() - before.end).min(3);
        let size = if rng.percent(40) { 1 + rng.below(most) } else { 1 };
        let group = before.end..before.end + size;
        for at in group.clone() {
            steps[at].depends = before.clone().map(|at| u32::try_from(at).unwrap()).collect();
        }
        groups.push(size);
        before = group;
    }
    groups
}

/// A step may depend on one that is defined after it, so the order of definition is shuffled.
fn graph(steps: &mut [Play], rng: &mut Rng) {
    let mut places: Vec<usize> = (0..steps.len()).collect();
    for at in (1..places.len()).rev() {
        places.swap(at, rng.below(at + 1));
    }
    for (order, place) in places.iter().enumerate() {
        for earlier in places.iter().take(order) {
            if rng.percent(30) {
                steps[*place].depends.push(u32::try_from(*earlier).unwrap());
            }
        }
    }
}

fn codes(rng: &mut Rng) -> Vec<i32> {
    match rng.below(4) {
        0 => vec![1],
        1 => vec![2, 124],
        2 => vec![0, 3],
        _ => Vec::new(),
    }
}

fn play(name: String, rng: &mut Rng) -> Play {
    let never_starts = rng.percent(4);
    let deeds = (0..1 + rng.below(4))
        .map(|_| Deed {
            course: if never_starts {
                Course::NoStart
            } else {
                course(rng)
            },
            says: rng.percent(30) && !never_starts,
        })
        .collect();
    let retry = rng.percent(35).then(|| Retry {
        limit: u32::try_from(rng.below(4)).unwrap(),
        codes: codes(rng),
    });
    let repeat = if rng.percent(25) {
        repeat(never_starts, rng)
    } else {
        None
    };
    let door = match rng.below(20) {
        0 | 1 if !never_starts => Door::Unmet,
        2 if retry.is_some() || repeat.is_some() => Door::Broken,
        _ => Door::Open,
    };
    Play {
        name,
        depends: Vec::new(),
        door,
        deeds,
        continue_on: ContinueOn {
            failure: rng.percent(20),
            skipped: rng.percent(30),
            exit_code: if rng.percent(25) { codes(rng) } else { Vec::new() },
            output: if rng.percent(15) {
                vec!["te.xt".to_owned(), "re:^s[a-z]y$".to_owned()]
            } else {
                Vec::new()
            },
            mark_success: rng.percent(20),
        },
        retry,
        repeat,
        output: rng.percent(40).then(|| Output {
            name: ["OUT", "SOME_THING", "x"][rng.below(3)].to_owned(),
            key: None,
            omit: rng.percent(20),
        }),
        spelling: rng.next(),
    }
}

fn course(rng: &mut Rng) -> Course {
    match rng.below(20) {
        0..=11 => Course::Exit(0),
        12..=14 => Course::Exit(1),
        15 => Course::Exit(2),
        16 => Course::Exit(3),
        17 => Course::Exit(124),
        18 => Course::Crash(9),
        _ => Course::Crash(15),
    }
}

fn repeat(never_starts: bool, rng: &mut Rng) -> Option<Repeat> {
    // What never starts counts no tries that a condition could look at.
    let test = (!never_starts && rng.percent(60)).then(|| {
        if rng.percent(10) {
            Test::Broken
        } else {
            Test::After((1..10).filter(|_| rng.percent(60)).collect())
        }
    });
    let codes = codes(rng);
    let bare = test.is_none() && codes.is_empty();
    Some(Repeat {
        // Without a test it can only be written as `repeat: true`, which is `while`.
        mode: if bare || rng.percent(50) {
            RepeatMode::While
        } else {
            RepeatMode::Until
        },
        limit: 1 + u32::try_from(rng.below(4)).unwrap(),
        codes,
        test,
    })
}
