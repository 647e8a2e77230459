//! `enable` and `disable`: whether the schedules of an installed DAG count, and retries of its owner's runs come.

use std::collections::BTreeSet;

use super::super::control::refusal;
use super::super::dispatcher::Dispatcher;
use super::super::requests::Asker;
use super::Suspending;
use super::answers::{named_twice, not_installed};
use super::scan::Scope;
use crate::engine::scheduler::{Event, Refusal, Token};
use crate::model::DagName;
use crate::sys::creds;
use crate::telemetry::events;
use crate::wire::control::ErrorKind;
use crate::wire::manage::DagSummary;

/// A DAG of the system of which there is no file any more.
fn gone(dag: DagName) -> DagSummary {
    DagSummary {
        dag,
        file: String::new(),
        owner: creds::effective_uid(),
        system: true,
        description: None,
        schedules: Vec::new(),
        suspended: false,
        problems: Vec::new(),
        in_force: false,
        next: None,
        last: None,
        newest: None,
    }
}

impl Dispatcher {
    /// Holds back the schedules of a DAG, or not any more.
    pub(in crate::daemon) fn enable(&mut self, dag: DagName, on: bool, owner: Option<u32>, asker: Asker) {
        // A file of the system that is gone may come back, and its name and runs wait until then unless somebody lets them go.
        let system = creds::effective_uid();
        let left = self.registry.is_reserved(&dag) && (on || self.file_of(&dag, None).is_some());
        let user = match self.file_to_change(&dag, owner) {
            _ if left && owner.is_none_or(|uid| uid == system) => system,
            // It goes by name, and the right to it by file: the name must be that file's.
            Ok(id) if owner.is_some() && self.registry.holder(&dag) != Some(id.clone()) => {
                return self.answer(&asker.answers, named_twice(&dag));
            }
            Ok(id) => self.registry.user_of(&id),
            Err(refused) => return self.refuse_change(&asker, &dag, *refused),
        };
        self.next_token += 1;
        let token = Token(self.next_token);
        let suspending = Suspending {
            dag: dag.clone(),
            on: !on,
            owner,
            answers: asker.answers,
        };
        self.registry.suspending.insert(token, suspending);
        self.tell(Event::Suspend {
            token,
            dag,
            owner: user,
            on: !on,
        });
    }

    /// The engine answered such a request. False if it is another one's token.
    pub(in crate::daemon) fn suspended(&mut self, token: Token, refused: Option<&Refusal>) -> bool {
        let Some(Suspending {
            dag,
            on,
            owner,
            answers,
        }) = self.registry.suspending.remove(&token)
        else {
            return false;
        };
        match refused {
            None => {
                self.note_hold(&dag);
                events::dag_suspended(&dag, on);
                let files = &self.registry.files;
                // A user's file that waits for the name is not what was meant.
                let id = self
                    .file_of(&dag, None)
                    .filter(|id| files.get(id).is_none_or(|state| !state.reserved));
                let summary = id.and_then(|id| self.summary(&id, owner));
                self.answer_dag(Some(summary.unwrap_or_else(|| gone(dag))), Vec::new(), answers);
                if !on && self.registry.files.values().any(|state| state.reserved) {
                    // The name is free, and no file tells of that.
                    self.look_now(Scope::Places(BTreeSet::new()));
                }
            }
            Some(Refusal::Store(why)) => {
                let text = format!("nothing was changed: the store cannot be written: {why}");
                self.answer(&answers, refusal(ErrorKind::Unavailable, &text));
            }
            Some(Refusal::Draining) => {
                self.answer(
                    &answers,
                    refusal(ErrorKind::Unavailable, "the daemon is shutting down"),
                );
            }
            Some(_) => self.answer(&answers, not_installed(&dag)),
        }
        true
    }
}
