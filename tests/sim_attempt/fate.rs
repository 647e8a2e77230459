//! Chance: a small generator, and what it has in store for each node of a DAG.

use proctor::dag::Dag;
use proctor::dag::types::Action;
use proctor::engine::attempt::Prepared;
use proctor::model::{Handler, Node, StepStatus};

use crate::reference::{Course, Fates, Trial};

/// splitmix64: small, fast, and every seed is as good as any other.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_F491_4F6C_DD1D))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// True in so many of 100 cases.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// One try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Try {
    /// How long it takes, in milliseconds: never near a whole second, so that no race with a time limit of a step
    /// is a matter of chance.
    pub(crate) millis: u64,
    pub(crate) course: Course,
    pub(crate) output_matched: bool,
    /// What it does at a signal: exits with this code, dies of it (none), or ignores it (`Err`).
    pub(crate) on_signal: Result<Option<i32>, ()>,
}

/// What happens to each node, whatever the order: every answer depends on the seed, the node and the count only.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    seed: u64,
    repeats: Vec<bool>,
    calls: Vec<bool>,
}

impl Fate {
    pub(crate) fn new(seed: u64, dag: &Dag) -> Self {
        Self {
            seed,
            repeats: dag.steps.iter().map(|step| step.repeat.is_some()).collect(),
            calls: dag
                .steps
                .iter()
                .map(|step| matches!(step.action, Action::Call(_)))
                .collect(),
        }
    }

    fn rng(&self, node: Node, what: u64, count: u32) -> Rng {
        let place = match node {
            Node::Step(index) => u64::from(index),
            Node::Handler(handler) => 1000 + Handler::ALL.iter().position(|h| *h == handler).unwrap() as u64,
        };
        let mut rng = Rng::new(self.seed);
        let mixed = rng.next() ^ (place << 32) ^ (what << 56) ^ u64::from(count);
        Rng::new(mixed)
    }

    /// The try with this number, from 0.
    pub(crate) fn a_try(&self, node: Node, number: u32) -> Try {
        let mut rng = self.rng(node, 2, number);
        let millis = rng.pick(&[0, 0, 100, 700, 1300, 2500, 4500]) + 50;
        let calls = match node {
            Node::Step(index) => self.calls[usize::try_from(index).unwrap()],
            Node::Handler(_) => false,
        };
        let course = match rng.below(20) {
            0..=5 if calls => Course::Verdict(StepStatus::Waiting),
            6..=7 if calls => Course::Verdict(StepStatus::Rejected),
            0..=11 => Course::Exit(0),
            12..=14 => Course::Exit(1),
            15 | 16 => Course::Exit(2),
            17 => Course::Crash(11),
            18 => Course::NoStart,
            _ => Course::Exit(124),
        };
        Try {
            // What cannot be started is known at once.
            millis: if course == Course::NoStart { 50 } else { millis },
            course,
            output_matched: rng.percent(30),
            on_signal: match rng.below(4) {
                0 => Err(()),
                1 => Ok(Some(0)),
                2 => Ok(Some(143)),
                _ => Ok(None),
            },
        }
    }
}

impl Fates for Fate {
    fn prepare(&self, node: Node) -> Result<Prepared, String> {
        let mut rng = self.rng(node, 1, 0);
        if rng.percent(4) {
            return Err("not a whole number".to_owned());
        }
        let repeats = match node {
            Node::Step(index) => self.repeats[usize::try_from(index).unwrap()],
            Node::Handler(_) => false,
        };
        Ok(Prepared {
            retry_limit: u32::try_from(rng.below(4)).unwrap(),
            retry_interval: rng.pick(&[0.0, 1.0, 3.0]),
            // Without a limit some would never end.
            repeat_limit: if repeats {
                1 + u32::try_from(rng.below(4)).unwrap()
            } else {
                0
            },
            repeat_interval: rng.pick(&[0.0, 1.0, 3.0]),
            unmet: rng.percent(12).then(|| "condition was not met".to_owned()),
        })
    }

    fn trial(&self, node: Node, number: u32) -> Trial {
        let a_try = self.a_try(node, number);
        Trial {
            millis: a_try.millis,
            course: a_try.course,
            output_matched: a_try.output_matched,
        }
    }

    fn repeat_check(&self, node: Node, done: u32) -> Result<bool, String> {
        match self.rng(node, 3, done).below(5) {
            0 => Err("no such file".to_owned()),
            1 | 2 => Ok(false),
            _ => Ok(true),
        }
    }

    fn initialise(&self) -> Result<Result<(), String>, String> {
        match self.rng(Node::Step(0), 4, 0).below(25) {
            0 => Err("no such directory".to_owned()),
            1 => Ok(Err("condition was not met".to_owned())),
            _ => Ok(Ok(())),
        }
    }
}
