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
use proctor::model::view::{Decision, StepView};
use proctor::model::{LostCause, RunStatus, StepStatus, Time};

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
        if !view.status.ends_attempt() {
            view.lose(view.created_at, LostCause::SupervisorGone);
        }
        let resume = Resume { steps: view.steps };
        let rejected = resume
            .steps
            .iter()
            .any(|step| step.status == StepStatus::Rejected);
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
                rejected || !kept[index] || depends.all(|place| kept[place]),
                "step {index} is kept behind one that runs"
            );
        }
        let calm = Plan::calm();
        let fate = Fate::new(seed + 1, &dag);
        let second = History::run(&dag, Some(&resume), &fate, &calm, seed);
        check(&dag, Some(&resume), &calm, &second);
    });
}

/// A person decides about one step after the other. What waits is not executed again, and the run comes to an end.
#[test]
fn decisions_lead_to_an_end() {
    let rejections = std::cell::Cell::new(0);
    let approvals = std::cell::Cell::new(0);
    histories(10_000, |seed| {
        let mut rng = Rng::new(seed ^ 0x0A99_0BAD);
        let dag = dags::any(&mut rng);
        let calm = Plan::calm();
        let mut resume: Option<Resume> = None;
        for round in 0.. {
            assert!(round < 100, "it waits for ever: {}", dags::text(&dag));
            let fate = Fate::new(seed + round * 1_000_003, &dag);
            let history = History::run(&dag, resume.as_ref(), &fate, &calm, seed);
            check(&dag, resume.as_ref(), &calm, &history);
            let status = history.summary(&dag).status;
            let decided = |step: &StepView| step.decision.as_ref().is_some_and(|decision| !decision.approved);
            if resume.is_some_and(|before| before.steps.iter().any(decided)) {
                assert_eq!(status, RunStatus::Rejected);
                rejections.set(rejections.get() + 1);
            }
            if status != RunStatus::Waiting {
                break;
            }
            let mut steps = history.steps;
            let waits = |place: &usize| {
                dag.steps[*place].approval.is_some() && steps[*place].status == StepStatus::Waiting
            };
            let waiting: Vec<usize> = (0..steps.len()).filter(waits).collect();
            if !waiting.is_empty() {
                let decision = Decision {
                    approved: rng.percent(80),
                    uid: 7,
                    at: Time(0),
                    reason: None,
                };
                approvals.set(approvals.get() + u64::from(decision.approved));
                let place = rng.pick(&waiting);
                steps[place] = steps[place].decided(decision, &[]);
            }
            resume = Some(Resume { steps });
        }
    });
    if std::env::var_os("PROCTOR_SIM_SEED").is_none() {
        assert!(rejections.get() > 0 && approvals.get() > 0);
    }
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
