//! Parameters with an `eval` whose value follows from the other parameters alone.

use super::ResolvedParams;
use crate::dag::diag::Diagnostic;
use crate::dag::eval::{Scope, known};
use crate::dag::params::check;
use crate::dag::types::Params;

/// Most bytes that are settled here for one run, since the daemon keeps them; more is left to the run itself.
const KNOWN_MAX: usize = 1024 * 1024;

impl ResolvedParams {
    /// Settles the parameters whose `eval` refers to nothing but parameters declared before them. Nothing is executed
    /// and no environment is looked at (W28): the others stay pending until the run begins.
    ///
    /// # Errors
    /// A value violates its declaration.
    pub fn settle_known(&mut self, params: &Params) -> Result<(), Vec<Diagnostic>> {
        if self.pending_eval.is_empty() {
            return Ok(());
        }
        let mut scope = Scope::new();
        let mut waiting = Vec::new();
        let mut errors = Vec::new();
        let mut room = KNOWN_MAX;
        // The list is in the order of declaration. What is given beyond that comes behind, where nothing refers to it.
        let mut defs = params.defs.iter();
        for (position, (name, slot)) in self.list.iter_mut().enumerate() {
            let Some(def) = defs.find(|def| def.name == *name) else {
                break;
            };
            if self.pending_eval.binary_search(&position).is_ok() {
                let value = def.eval.as_deref().and_then(|text| known(text, &scope));
                let fitting = value.and_then(|value| {
                    room = room.checked_sub(value.len())?;
                    Some(value)
                });
                let Some(value) = fitting else {
                    waiting.push(position);
                    continue;
                };
                match check(def, &value) {
                    Ok(value) => *slot = value,
                    Err(message) => errors.push(Diagnostic::nowhere(message)),
                }
            }
            scope.set(name.as_str(), slot.as_str());
        }
        self.pending_eval = waiting;
        if !self.json_given {
            self.json = super::object(&self.list);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The parameters whose values are settled. A pending one is not among them, not even with its default: that counts
    /// only if its `eval` fails when the run begins.
    #[must_use]
    pub fn settled(&self) -> Vec<(String, String)> {
        let settled = self.list.iter().enumerate();
        settled
            .filter(|(position, _)| self.pending_eval.binary_search(position).is_err())
            .map(|(_, pair)| pair.clone())
            .collect()
    }
}
