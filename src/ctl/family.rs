//! The sub-runs of a run, asked for one by one, down the tree.

use std::collections::HashMap;

use super::client::ClientError;
use super::failure::Failure;
use super::follow::exactly;
use super::session::Session;
use crate::model::RunRef;
use crate::model::view::RunView;
use crate::wire::control::{ErrorKind, Request, Response};

/// The sub-runs that the daemon knows. One that was planned and never started is none of them.
#[derive(Debug, Default)]
pub(super) struct Family {
    views: HashMap<RunRef, RunView>,
}

impl Family {
    /// All sub-runs of a run, of their sub-runs, and so on.
    ///
    /// # Errors
    /// When the daemon cannot be asked.
    pub(super) fn of(session: &mut Session, view: &RunView) -> Result<Self, Failure> {
        let mut family = Self::default();
        let mut open = children(view);
        while let Some(run) = open.pop() {
            if family.views.contains_key(&run) {
                continue;
            }
            match session.client.call(&Request::Status(exactly(&run))) {
                Ok(Response::Run(view)) => {
                    open.extend(children(&view));
                    family.views.insert(run, *view);
                }
                Ok(_) => return Err(Failure::unexpected()),
                Err(ClientError::Refused {
                    kind: ErrorKind::NotFound,
                    ..
                }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(family)
    }

    /// The sub-run, if the daemon knows it.
    pub(super) fn get(&self, run: &RunRef) -> Option<&RunView> {
        self.views.get(run)
    }
}

fn children(view: &RunView) -> Vec<RunRef> {
    let steps = view.nodes().flat_map(|(_, step)| &step.children);
    steps.map(|child| child.run.clone()).collect()
}
