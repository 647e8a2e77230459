//! The attempt engine in a simulated world: random DAGs, processes that end as they please, stops at any moment,
//! timers and answers in any order, a crash after any record.
//!
//! `PROCTOR_SIM_RUNS=n` sets the number of histories, `PROCTOR_SIM_SEED=n` replays one.

#[cfg(test)]
mod checks;
#[cfg(test)]
mod dags;
#[cfg(test)]
mod fate;
#[cfg(test)]
mod history;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod world;

use proctor::engine::attempt::{Resume, carry_over};
use proctor::model::view::StepView;
use proctor::model::{LostCause, RunStatus, StepStatus};

use checks::check;
use fate::{Fate, Rng};
use history::{History, Plan};
use seeds::histories;

#[test]
fn no_history_breaks_a_promise() {
    histories(30_000, |seed| {
        let mut rng = Rng::new(seed);
        let dag = dags::any(&mut rng);
        let plan = Plan::any(&dag, &mut rng);
        let fate = Fate::new(seed, &dag);
        let history = History::run(&dag, None, &fate, &plan, seed);
        if std::env::var_os("PROCTOR_SIM_SEED").is_some() {
            eprintln!("{}{plan:?}", dags::text(&dag));
            for (at, line) in &history.effects {
                eprintln!("{:>9} {line:?}", at.0);
            }
        }
        check(&dag, None, &plan, &history);
        if seed % 16 == 0 {
            let again = History::run(&dag, None, &fate, &plan, seed);
            assert_eq!(
                history.effects, again.effects,
                "the same seed gives another history"
            );
        }
    });
}

/// The supervisor dies after any record. What the journal holds then is a state that a new attempt can go on from.
#[test]
fn an_attempt_goes_on_from_a_journal_cut_anywhere() {
    histories(10_000, |seed| {
        let mut rng = Rng::new(seed ^ 0x00C0_FFEE);
        let dag = dags::any(&mut rng);
        let plan = Plan::any(&dag, &mut rng);
        let fate = Fate::new(seed, &dag);
        let first = History::run(&dag, None, &fate, &plan, seed);
        let cut = rng.below(first.records.len() + 1);
        let mut view = history::view(&dag, None);
        for record in first.records.iter().take(cut) {
            view.apply(record);
        }
        if !view.status.is_terminal() {
            view.lose(view.created_at, LostCause::SupervisorGone);
        }
        let resume = Resume { steps: view.steps };
        let carried = carry_over(&dag, Some(&resume));
        let kept: Vec<bool> = carried
            .iter()
            .map(|view| view.status != StepStatus::NotStarted)
            .collect();
        for (index, (new, old)) in carried.iter().zip(&resume.steps).enumerate() {
            assert!(if kept[index] {
                new == old
            } else {
                *new == StepView::new(&old.name)
            });
            let mut depends = dag.steps[index]
                .depends
                .iter()
                .map(|place| usize::try_from(*place).unwrap());
            assert!(
                !kept[index] || depends.all(|place| kept[place]),
                "step {index} is kept behind one that runs"
            );
        }
        let calm = Plan::calm();
        let fate = Fate::new(seed + 1, &dag);
        let second = History::run(&dag, Some(&resume), &fate, &calm, seed);
        check(&dag, Some(&resume), &calm, &second);
    });
}

/// Without stops and time limits of the run nothing depends on time, so a plain interpreter can tell the end.
#[test]
fn the_end_is_what_the_reference_says() {
    histories(15_000, |seed| {
        let mut rng = Rng::new(seed ^ 0x0005_EED5);
        let mut dag = dags::any(&mut rng);
        dag.timeout_sec = 0;
        let calm = Plan::calm();
        let fate = Fate::new(seed, &dag);
        let history = History::run(&dag, None, &fate, &calm, seed);
        check(&dag, None, &calm, &history);
        let expected = reference::interpret(&dag, &fate);
        assert_eq!(history.summary(&dag), expected, "{}", dags::text(&dag));
        assert_ne!(expected.status, RunStatus::Running);
    });
}
