//! Users who may start nothing: what `[access]` says of each place, and what the engine is told of its DAGs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::allowed::Barred;
use super::super::dispatcher::Dispatcher;
use super::Registry;
use super::place::Place;
use crate::config::types::Access;
use crate::engine::scheduler::Event;
use crate::model::DagName;

/// What is known of whose users may start something.
#[derive(Debug, Default)]
pub(super) struct Judgements {
    /// The last that could be told of each place; of those of which that never could, that it cannot.
    by_place: BTreeMap<Place, Result<(), Barred>>,
    /// Places of which nobody could tell at the last look.
    unsure: BTreeSet<Place>,
    /// The DAGs in force from places whose users may start nothing, and from those of which that was never known, as the
    /// engine has it.
    told: (BTreeSet<DagName>, BTreeSet<DagName>),
}

impl Judgements {
    /// Takes over what a look has found. What cannot be told now is as it was: a directory service that is away for a
    /// minute must not leave out what is due in that.
    pub(super) fn take(&mut self, judged: BTreeMap<Place, Result<(), Barred>>) {
        for (place, judged) in judged {
            if matches!(judged, Err(Barred::Unknown(_))) {
                self.unsure.insert(place.clone());
                let known = self.by_place.get(&place);
                if known.is_none_or(|known| matches!(known, Err(Barred::Unknown(_)))) {
                    self.by_place.insert(place, judged);
                }
            } else {
                self.unsure.remove(&place);
                self.by_place.insert(place, judged);
            }
        }
    }

    /// Drops what is known of other places than these.
    pub(super) fn keep(&mut self, places: &BTreeSet<&Place>) {
        self.by_place.retain(|place, _| places.contains(place));
        self.unsure.retain(|place| places.contains(place));
    }

    /// The lists are others now: what was known says nothing any more, and nobody starts anything until it is known anew.
    pub(super) fn forget(&mut self) {
        for judged in self.by_place.values_mut() {
            *judged = Err(Barred::Unknown(String::from("[access] has changed")));
        }
        self.unsure.clear();
    }

    /// The places of whose users the user database said nothing at the last look.
    pub(super) fn unsure(&self) -> impl Iterator<Item = &Place> {
        self.unsure.iter()
    }

    /// Why the user of a place may start nothing.
    pub(super) fn why(&self, place: &Place) -> Option<&Barred> {
        self.by_place.get(place)?.as_ref().err()
    }
}

impl Registry {
    /// Why the schedules of a DAG start nothing, if its user may start nothing, or nobody knows whether they may.
    pub(in crate::daemon) fn barred(&self, dag: &DagName) -> Option<String> {
        let force = self.in_force.get(dag)?;
        self.judgements.why(&force.file.place).map(ToString::to_string)
    }

    /// Takes over whose users may start something, unless it is by other lists than those of now.
    pub(super) fn take_judged(
        &mut self,
        judged: BTreeMap<Place, Result<(), Barred>>,
        by: &Access,
        now: &Access,
    ) {
        if by == now {
            self.judgements.take(judged);
        }
        let kept = self.files.keys().map(|id| &id.place).collect();
        self.judgements.keep(&kept);
    }

    /// The DAGs in force whose users may start nothing, and those of which nobody knows.
    fn barred_dags(&self) -> (BTreeSet<DagName>, BTreeSet<DagName>) {
        let (mut barred, mut unsure) = (BTreeSet::new(), BTreeSet::new());
        for (dag, force) in &self.in_force {
            match self.judgements.why(&force.file.place) {
                Some(Barred::Unknown(_)) => unsure.insert(dag.clone()),
                Some(_) => barred.insert(dag.clone()),
                None => continue,
            };
        }
        (barred, unsure)
    }
}

impl Dispatcher {
    /// Schedules of users who may start nothing start nothing. Before new versions count, so that none slips through.
    pub(super) fn tell_barred(&mut self) {
        let now = self.registry.barred_dags();
        let last = std::mem::replace(&mut self.registry.judgements.told, now.clone());
        if last != now {
            let (dags, unsure) = now;
            self.tell(Event::Barred { dags, unsure });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::User("ann".to_owned())
    }

    /// Takes over what a look has found of the user, and gives what holds of that, and whether it is to be asked again.
    fn look(judgements: &mut Judgements, what: Result<(), Barred>) -> (Option<Barred>, bool) {
        judgements.take([(place(), what)].into());
        state(judgements)
    }

    fn state(judgements: &Judgements) -> (Option<Barred>, bool) {
        let unsure = judgements.unsure().any(|unsure| *unsure == place());
        (judgements.why(&place()).cloned(), unsure)
    }

    #[test]
    fn what_cannot_be_told_is_as_it_was() {
        let unknown = || Barred::Unknown("no answer".to_owned());
        let mut judgements = Judgements::default();
        assert_eq!(look(&mut judgements, Err(unknown())), (Some(unknown()), true));
        assert_eq!(look(&mut judgements, Ok(())), (None, false));
        assert_eq!(look(&mut judgements, Err(unknown())), (None, true));
        let not = || Barred::NotAllowed;
        assert_eq!(look(&mut judgements, Err(not())), (Some(not()), false));
        assert_eq!(look(&mut judgements, Err(unknown())), (Some(not()), true));
        // By other lists it is not known any more.
        judgements.forget();
        assert!(matches!(state(&judgements), (Some(Barred::Unknown(_)), false)));
        assert_eq!(look(&mut judgements, Err(unknown())), (Some(unknown()), true));
        judgements.keep(&BTreeSet::new());
        assert_eq!(state(&judgements), (None, false));
    }
}
