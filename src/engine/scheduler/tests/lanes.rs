//! Who goes first: priorities, turns of users and DAGs, limits of DAGs, and runs that start at once.

use super::{Bed, Event, NewRun, Token, new_run, run};
use crate::engine::scheduler::{Config, Hold, Scheduler};
use crate::model::{AttemptId, LostCause, Priority, RunRef, Time};

/// A run `dag:id` of queue `q` with a capacity of 1.
fn of(dag: &str, id: &str, change: impl FnOnce(&mut NewRun)) -> NewRun {
    let mut new = *new_run(id, 1);
    new.run.dag = dag.parse().unwrap();
    new.group = "q".parse().unwrap();
    change(&mut new);
    new
}

/// An engine whose batches are committed at once.
struct Line {
    bed: Bed,
    batch: u64,
    token: u64,
}

impl Line {
    fn new(config: Config) -> Self {
        let mut bed = Bed::new();
        bed.engine = Scheduler::new(config);
        Self {
            bed,
            batch: 0,
            token: 0,
        }
    }

    /// Gives an event, commits what it brings, and returns the runs that were intended.
    fn give(&mut self, event: Event) -> Vec<RunRef> {
        let mut intended = Vec::new();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut out = Vec::new();
            self.bed.engine.handle(self.bed.now, event, &mut out);
            for effect in out {
                match effect {
                    super::Effect::Commit(number, batch) => {
                        for change in &batch {
                            if let super::Change::Intend { run, .. } = change {
                                intended.push(run.clone());
                            }
                        }
                        self.batch = number;
                        events.insert(0, Event::Committed(number));
                    }
                    super::Effect::Clean(attempt) => events.insert(0, Event::Cleaned(attempt)),
                    _ => {}
                }
            }
        }
        intended
    }

    fn submit(&mut self, new: NewRun) -> Vec<RunRef> {
        self.token += 1;
        self.give(Event::Submit(Token(self.token), Box::new(new)))
    }

    /// The run's shim dies. Returns what is started for it.
    fn end(&mut self, run: &RunRef) -> Vec<RunRef> {
        let attempt = AttemptId::derive(run, 1);
        self.give(Event::Started(attempt.clone(), Time::default(), None));
        self.give(Event::Gone(attempt, LostCause::SupervisorGone))
    }

    /// Ends what was started first, and so on; returns all in the order in which they were started.
    fn drain(&mut self, mut live: Vec<RunRef>) -> Vec<String> {
        let mut order = Vec::new();
        while !live.is_empty() {
            let run = live.remove(0);
            live.extend(self.end(&run));
            order.push(run.id.to_string());
        }
        assert!(self.bed.engine.is_empty(), "{:?}", self.bed.engine);
        order
    }
}

fn priority(number: i16) -> Priority {
    Priority::new(number).unwrap()
}

#[test]
fn the_higher_priority_goes_first_and_within_it_the_older_run() {
    let mut line = Line::new(Config::default());
    let live = line.submit(of("d", "a", |_| {}));
    for (id, number) in [("b", 0), ("c", -3), ("e", 7), ("f", 0), ("g", 7)] {
        line.submit(of("d", id, |new| new.priority = priority(number)));
    }
    assert_eq!(line.drain(live), ["a", "e", "g", "b", "f", "c"]);
}

#[test]
fn users_of_a_queue_take_turns_and_so_do_the_dags_of_each() {
    let mut line = Line::new(Config::default());
    let live = line.submit(of("d", "a1", |new| new.owner = 1));
    for id in ["a2", "a3", "a4"] {
        line.submit(of("d", id, |new| new.owner = 1));
    }
    for id in ["b1", "b2"] {
        line.submit(of("e", id, |new| new.owner = 1));
    }
    for id in ["c1", "c2"] {
        line.submit(of("d", id, |new| new.owner = 2));
    }
    // User 2 came last and has two runs; user 1 has two DAGs.
    let order = line.drain(live);
    assert_eq!(order, ["a1", "c1", "a2", "c2", "b1", "a3", "b2", "a4"]);
}

#[test]
fn whoever_comes_back_has_not_lost_the_turn() {
    let mut line = Line::new(Config::default());
    let mut live = line.submit(of("d", "first", |new| new.owner = 1));
    for n in 0..6 {
        line.submit(of("d", &format!("many{n}"), |new| new.owner = 1));
    }
    // User 2 never has more than one run that waits, and yet gets every second place.
    let mut order = Vec::new();
    for n in 0..3 {
        line.submit(of("d", &format!("one{n}"), |new| new.owner = 2));
        for _ in 0..2 {
            let run = live.remove(0);
            live.extend(line.end(&run));
            order.push(run.id.to_string());
        }
    }
    assert_eq!(order, ["first", "one0", "many0", "one1", "many1", "one2"]);
}

#[test]
fn a_dag_at_its_limit_holds_up_nobody_and_counts_over_all_queues() {
    let mut line = Line::new(Config::default());
    let wide = |dag: &str, id: &str, queue: &str| {
        of(dag, id, |new| {
            new.capacity = 0;
            new.group = queue.parse().unwrap();
            new.dag_limit = u32::from(dag == "d");
        })
    };
    let a = line.submit(wide("d", "a", "q"));
    assert_eq!(a.len(), 1);
    assert!(line.submit(wide("d", "b", "q")).is_empty());
    assert!(line.submit(wide("d", "c", "other")).is_empty());
    assert_eq!(line.submit(wide("e", "x", "q")).len(), 1);
    let held = line.bed.engine.holds(&wide("d", "c", "other").run);
    assert_eq!(held, [Hold::DagFull { limit: 1, live: 1 }]);
    // Another user's DAG of that name is another DAG.
    let mut theirs = wide("d", "y", "q");
    theirs.owner = 7;
    assert_eq!(line.submit(theirs).len(), 1);
    assert_eq!(line.end(&a[0]).len(), 1);
}

#[test]
fn a_run_that_starts_at_once_does_so_beyond_every_limit_and_counts() {
    let config = Config {
        max_live: 1,
        ..Config::default()
    };
    let mut line = Line::new(config);
    let a = line.submit(of("d", "a", |new| new.dag_limit = 1));
    let now = line.submit(of("d", "n", |new| {
        new.dag_limit = 1;
        new.now = true;
    }));
    assert_eq!(now.len(), 1);
    assert!(line.submit(of("d", "b", |new| new.dag_limit = 1)).is_empty());
    // Two are live where one may be: both have to end.
    assert!(line.end(&a[0]).is_empty());
    assert_eq!(line.end(&now[0]).len(), 1);
}

#[test]
fn across_queues_the_higher_priority_goes_first_then_they_take_turns() {
    let config = Config {
        max_live: 1,
        ..Config::default()
    };
    let mut line = Line::new(config);
    let live = line.submit(of("d", "a", |_| {}));
    let other = |id: &str, number: i16| {
        of("d", id, |new| {
            new.group = "p".parse().unwrap();
            new.priority = priority(number);
        })
    };
    for id in ["b", "c"] {
        line.submit(of("d", id, |_| {}));
    }
    for id in ["x", "y"] {
        line.submit(other(id, 0));
    }
    line.submit(other("z", 1));
    // The one with the priority takes its queue's turn.
    assert_eq!(line.drain(live), ["a", "z", "b", "x", "c", "y"]);
}

#[test]
fn nothing_of_a_blocked_dag_starts_until_every_block_is_gone() {
    let mut line = Line::new(Config::default());
    let dag = run("x").dag;
    line.bed.engine.groups.block(&dag, 1000);
    line.bed.engine.groups.block(&dag, 1000);
    assert!(line.submit(of("dag", "a", |_| {})).is_empty());
    assert_eq!(line.submit(of("other", "b", |new| new.capacity = 2)).len(), 1);
    line.bed.engine.groups.unblock(&dag, 1000);
    assert!(line.give(Event::Tick).is_empty());
    line.bed.engine.groups.unblock(&dag, 1000);
    assert_eq!(line.give(Event::Tick).len(), 1);
}

#[test]
fn the_configuration_decides_the_capacity_of_its_queues() {
    let named = |capacity| Config {
        queues: [("q".parse().unwrap(), capacity)].into(),
        ..Config::default()
    };
    let mut line = Line::new(named(2));
    assert_eq!(line.submit(of("d", "a", |_| {})).len(), 1);
    // The run says 1.
    assert_eq!(line.submit(of("d", "b", |_| {})).len(), 1);
    assert!(line.submit(of("d", "c", |_| {})).is_empty());
    line.bed.engine.configure(named(1));
    // What is live stays, and nothing comes to it.
    assert!(line.end(&of("d", "a", |_| {}).run).is_empty());
    assert_eq!(line.bed.engine.queue(&"q".parse().unwrap()).live, 1);
    line.bed.engine.configure(named(3));
    assert_eq!(line.give(Event::Tick).len(), 1);
}

#[test]
fn many_that_wait_go_out_in_order() {
    let mut line = Line::new(Config::default());
    let mut live = line.submit(of("d", "r0", |_| {}));
    for n in 1..20_000 {
        let dag = format!("d{}", n % 50);
        line.submit(of(&dag, &format!("r{n}"), |new| {
            new.owner = n % 7;
            new.priority = priority(i16::try_from(n % 3).unwrap());
        }));
    }
    assert_eq!(line.bed.engine.counts().queued, 19_999);
    let mut levels = Vec::new();
    while let Some(run) = live.pop() {
        let number: u32 = run.id.as_str().trim_start_matches('r').parse().unwrap();
        levels.push(number % 3);
        live.extend(line.end(&run));
    }
    assert_eq!(levels.len(), 20_000);
    assert!(levels[1..].is_sorted_by(|a, b| a >= b));
    assert!(line.bed.engine.is_empty());
}

/// A run of a DAG that names no queue: it waits in the one with the DAG's name.
fn plain(id: &str, owner: u32, capacity: u32) -> NewRun {
    of("d", id, |new| {
        new.group = "d".parse().unwrap();
        new.owner = owner;
        new.capacity = capacity;
    })
}

#[test]
fn users_with_a_dag_of_the_same_name_do_not_wait_for_each_other() {
    let mut line = Line::new(Config::default());
    let first = line.submit(plain("a", 1, 1));
    assert_eq!(first.len(), 1);
    assert!(line.submit(plain("b", 1, 1)).is_empty());
    // Neither for a run of theirs, nor for their limit, nor for who names that queue.
    assert_eq!(
        line.submit(of("x", "x", |new| new.group = "d".parse().unwrap()))
            .len(),
        1
    );
    assert_eq!(line.submit(plain("c", 2, 2)).len(), 1);
    assert_eq!(line.submit(plain("d", 2, 2)).len(), 1);
    assert!(line.submit(plain("e", 2, 2)).is_empty());
    assert!(
        line.submit(of("y", "y", |new| new.group = "d".parse().unwrap()))
            .is_empty()
    );
    let full = |capacity, live| [Hold::QueueFull { capacity, live }];
    let holds = |line: &Line, dag: &str, id: &str| line.bed.engine.holds(&of(dag, id, |_| {}).run);
    assert_eq!(holds(&line, "d", "b"), full(1, 1));
    assert_eq!(holds(&line, "d", "e"), full(2, 2));
    assert_eq!(holds(&line, "y", "y"), full(1, 1));
    // Another limit of the one frees nothing of the other.
    assert!(line.submit(plain("f", 2, 1)).is_empty());
    let next = line.end(&first[0]);
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].id.as_str(), "b");
}

#[test]
fn a_queue_that_is_configured_counts_all_that_is_in_it() {
    let named = |capacity| Config {
        queues: [("d".parse().unwrap(), capacity)].into(),
        ..Config::default()
    };
    let mut line = Line::new(named(2));
    let first = line.submit(plain("a", 1, 1));
    assert_eq!(line.submit(plain("b", 1, 1)).len(), 1, "the configuration counts");
    assert!(line.submit(plain("c", 2, 1)).is_empty());
    line.bed.engine.configure(named(3));
    assert_eq!(line.give(Event::Tick).len(), 1);
    assert!(line.submit(plain("e", 1, 1)).is_empty());
    assert_eq!(line.end(&first[0]).len(), 1);
}

#[test]
fn a_queue_shows_users_apart_whose_runs_count_apart() {
    let queue = "d".parse().unwrap();
    let mut line = Line::new(Config::default());
    let rows = |line: &Line| -> Vec<(Option<u32>, Option<u32>, u32)> {
        let rows = line.bed.engine.queue_rows(&queue).into_iter();
        rows.map(|(user, state)| (user, state.capacity, state.live))
            .collect()
    };
    assert_eq!(rows(&line), [(None, None, 0)]);
    line.submit(plain("a", 1, 1));
    line.submit(plain("b", 2, 3));
    line.submit(plain("c", 2, 3));
    assert_eq!(rows(&line), [(Some(1), Some(1), 1), (Some(2), Some(3), 2)]);
    line.submit(of("x", "x", |new| new.group = "d".parse().unwrap()));
    assert_eq!(
        rows(&line),
        [(None, Some(1), 1), (Some(1), Some(1), 1), (Some(2), Some(3), 2)]
    );
    line.bed.engine.configure(Config {
        queues: [("d".parse().unwrap(), 4)].into(),
        ..Config::default()
    });
    assert_eq!(rows(&line), [(None, Some(4), 4)], "it is one for all");
}

#[test]
fn a_queue_that_is_not_configured_any_more_has_the_capacity_that_its_runs_tell() {
    for (queue, one) in [("q", true), ("d", false)] {
        let named = Config {
            queues: [(queue.parse().unwrap(), 3)].into(),
            ..Config::default()
        };
        // They say 1.
        let new = |id: &str| if one { of("d", id, |_| {}) } else { plain(id, 1, 1) };
        let mut line = Line::new(named.clone());
        for id in ["a", "b"] {
            assert_eq!(line.submit(new(id)).len(), 1);
        }
        line.bed.engine.configure(Config::default());
        let capacity = |line: &Line| line.bed.engine.queue(&queue.parse().unwrap()).capacity;
        assert_eq!(capacity(&line), Some(1));
        assert!(line.submit(new("c")).is_empty());
        assert!(line.end(&new("a").run).is_empty(), "one is live yet");
        // It is configured once more.
        line.bed.engine.configure(named);
        assert_eq!(capacity(&line), Some(3));
        assert_eq!(line.give(Event::Tick), [new("c").run]);
    }
}
