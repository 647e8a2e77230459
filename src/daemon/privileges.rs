//! What not everybody may ask for: that a run goes before those of others, and the ids of scheduled runs.

use super::admission::new_id;
use super::control::refusal;
use super::registry::of_file;
use crate::dag::Dag;
use crate::model::{Priority, RunId};
use crate::sys::creds;
use crate::wire::control::{ErrorKind, Problem, Response, Submit};

/// Whether the priority above 0 that a DAG file says counts for a run of this user: root and the daemon's own user.
pub(super) fn owner_goes_first(uid: u32) -> bool {
    uid == 0 || uid == creds::effective_uid()
}

/// What of a submission has the run go before those of others, in words that follow "may not submit a run".
pub(super) fn goes_before(submit: &Submit) -> Option<&'static str> {
    let high = submit.priority > Some(Priority::default());
    if submit.now {
        Some("with --now, which is for root, the admin group and the daemon's own user")
    } else if high {
        Some("with a priority above 0, which is for root, the admin group and the daemon's own user")
    } else {
        None
    }
}

/// That the priority of an installed DAG counts as 0, from what is said of a submitted one: nobody is there whose groups
/// would count when its schedule starts it.
pub(super) fn lowered_when_scheduled(lowered: Problem) -> Problem {
    Problem {
        message: "when its schedule starts it, a priority above 0 counts as 0: that is for DAGs of the system, of root \
                  and of the daemon's own user, and not for those of others in the admin group"
            .to_owned(),
        ..lowered
    }
}

/// Has a priority above 0 count as 0, in the file of somebody whose runs may not go before those of others.
pub(super) fn lower(dag: &mut Dag, file: &str) -> Option<Problem> {
    if dag.scheduling.priority <= Priority::default() {
        return None;
    }
    dag.scheduling.priority = Priority::default();
    let message = "a priority above 0 is for root, the admin group and the daemon's own user; it counts as 0";
    let hint = "ask an administrator to move the run, if it is urgent";
    Some(of_file(message.to_owned(), Some(hint.to_owned()), file))
}

/// The id that somebody wants for a run, or a new one.
pub(super) fn run_id(wanted: Option<&String>) -> Result<RunId, Box<Response>> {
    let text = wanted.cloned();
    let id = RunId::new(text.unwrap_or_else(new_id))
        .map_err(|error| Box::new(refusal(ErrorKind::Invalid, &error.to_string())))?;
    if id.is_scheduled() {
        return Err(Box::new(refusal(
            ErrorKind::Invalid,
            &format!(
                "the run id {id} begins as those of scheduled runs do; choose one that begins with neither `sched-` nor \
             `restart-`"
            ),
        )));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DagName, Time};

    #[test]
    fn nobody_chooses_the_id_of_a_scheduled_run() {
        let dag = DagName::new("etl").unwrap();
        for restart in [false, true] {
            let id = RunId::scheduled(&dag, 0, Time(0), restart).to_string();
            let refused = run_id(Some(&id)).unwrap_err();
            assert!(format!("{refused:?}").contains("scheduled runs"), "{refused:?}");
            assert_ne!(
                RunId::scheduled(&dag, 1, Time(0), restart).as_str(),
                id,
                "a user's own"
            );
        }
        assert_eq!(run_id(Some(&"schedule".to_owned())).unwrap().as_str(), "schedule");
        assert!(run_id(None).is_ok());
    }
}
