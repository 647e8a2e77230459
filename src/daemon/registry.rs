//! Installed DAGs: which there are and what is in force of them. Their directories are watched; a burst of changes
//! settles, then what changed is read beside the dispatcher, and what follows is told to store, engine and log.

mod answers;
mod apply;
mod barred;
mod clock;
mod edit;
mod enable;
mod files;
mod names;
mod place;
mod problems;
mod record;
mod scan;
mod schemas;
mod settling;
mod turns;
mod version;
mod watch;
mod write;
mod zone;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::dispatcher::{Dispatcher, GoOn, Msg, now};
use crate::dag::cron::Zone;
use crate::engine::scheduler::Token;
use crate::model::DagName;
use crate::model::change::{Change, InstalledDag};
use crate::store::{PlanRecord, Reader};
use crate::sys::reactor;
use crate::wire::control::{Problem, Response};

pub(super) use files::{NO_DIR, open_dir, read_base};
pub(super) use names::{FileState, InForce};
pub(super) use place::{FileId, Place, ownerless};
use scan::{Look, Scope};
pub(super) use schemas::{READS_MAX, is_same_dag, read_dag, read_schema, schemas_of};
pub(super) use version::{Context, make, of_file};
use watch::DirWatch;
pub(super) use zone::{DefaultZone, zone_of};

/// How long after a failure a version is given to the store again.
const AGAIN: Duration = Duration::from_secs(30);

/// What is known of installed DAGs.
pub(super) struct Registry {
    /// Zone of schedules that name none.
    pub(super) zone: DefaultZone,
    pub(super) files: BTreeMap<FileId, FileState>,
    pub(super) in_force: BTreeMap<DagName, InForce>,
    /// The same, for those who start a DAG by name.
    pub(super) catalog: Arc<Catalog>,
    /// What became of the last scheduled time of a DAG, in words.
    pub(super) last: HashMap<DagName, String>,
    /// What is decided of schedules, and is in the store.
    plans: HashMap<DagName, PlanRecord>,
    /// What is decided of schedules, and on its way to the store, by batch.
    deciding: HashMap<u64, Vec<Change>>,
    /// What the store has, as far as it is told.
    stored: BTreeMap<DagName, Arc<InstalledDag>>,
    base: Result<Option<String>, String>,
    /// What is wrong with it, as the log has it.
    base_told: Vec<Problem>,
    watch: Option<DirWatch>,
    /// What changed and is not looked at yet.
    dirty: settling::Dirty,
    /// Whether everything is to be made anew.
    anew: bool,
    looking: bool,
    /// What the next look is to be at, which is taken right after the one that is being taken.
    next: Option<Scope>,
    /// Who waits for the next look that begins from now on, and for the one that is being taken.
    waiting: Vec<GoOn>,
    answered: Vec<GoOn>,
    /// DAGs of which versions, or that there are none, are on their way to the store, by batch; and whether what is decided
    /// of them is to be forgotten.
    saving: HashMap<u64, (DagName, bool)>,
    /// Why places cannot be read, as the log has it.
    unreadable: BTreeMap<Place, String>,
    /// How many times in a row something was tried again, and could not be looked at all the same.
    unsure: u32,
    /// What that was at the last look.
    doubts: BTreeSet<apply::Doubt>,
    /// DAGs that somebody removes on purpose.
    removed: BTreeSet<DagName>,
    /// DAGs of which the next batch makes the store forget what is decided.
    forgets: BTreeSet<DagName>,
    /// DAGs of which the store is told when it has answered for what is on its way.
    postponed: BTreeSet<DagName>,
    /// DAGs whose users are gone, and the user ids those had, as the engine has it.
    pub(super) ownerless: BTreeSet<(DagName, u32)>,
    /// Whose users may start something.
    judgements: barred::Judgements,
    /// Installations and removals that wait.
    turns: turns::Jobs,
    /// Who waits for schedules to be held back, or not any more.
    suspending: HashMap<Token, Suspending>,
}

/// A request to hold back the schedules of a DAG, or not any more.
#[derive(Debug)]
struct Suspending {
    dag: DagName,
    on: bool,
    /// The user who asked; none is an administrator.
    owner: Option<u32>,
    answers: Sender<Response>,
}

/// What is in force, by name.
pub(super) type Catalog = BTreeMap<DagName, InForce>;

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            zone: Ok(Zone::UTC),
            files: BTreeMap::new(),
            in_force: BTreeMap::new(),
            catalog: Arc::default(),
            last: HashMap::new(),
            plans: HashMap::new(),
            deciding: HashMap::new(),
            stored: BTreeMap::new(),
            base: Ok(None),
            base_told: Vec::new(),
            watch: None,
            dirty: settling::Dirty::default(),
            anew: true,
            looking: false,
            next: None,
            waiting: Vec::new(),
            answered: Vec::new(),
            saving: HashMap::new(),
            unreadable: BTreeMap::new(),
            unsure: 0,
            doubts: BTreeSet::new(),
            removed: BTreeSet::new(),
            forgets: BTreeSet::new(),
            postponed: BTreeSet::new(),
            ownerless: BTreeSet::new(),
            judgements: barred::Judgements::default(),
            turns: turns::Jobs::default(),
            suspending: HashMap::new(),
        }
    }

    /// Whether the schedules of a DAG are held back.
    pub(super) fn is_suspended(&self, dag: &DagName) -> bool {
        self.plans.get(dag).is_some_and(|plan| plan.suspended)
    }

    /// How many files have errors.
    pub(super) fn with_errors(&self) -> usize {
        let bad = |state: &&FileState| !state.problems.is_empty() || state.clash.is_some() || state.reserved;
        self.files.values().filter(bad).count()
    }

    /// What a look needs to know.
    fn look(&mut self, context: Context, scope: Scope, reader: Reader) -> Look {
        let anew = std::mem::take(&mut self.anew);
        let known = if anew {
            BTreeMap::new()
        } else {
            let stamped = self
                .files
                .iter()
                .filter_map(|(id, state)| Some((id.clone(), state.stamps.clone()?)));
            stamped.collect()
        };
        let blank = |row: &Arc<InstalledDag>| {
            let state = self.files.get(&FileId::from_stored(&row.file));
            state.is_none_or(FileState::is_blank)
        };
        let stored = self.stored.values().filter(|row| blank(row));
        let of_system = |(id, state): (&FileId, &FileState)| id.place == Place::System && !state.is_blank();
        let has_system = self.files.iter().any(of_system)
            || self
                .stored
                .values()
                .any(|row| FileId::from_stored(&row.file).place == Place::System);
        Look {
            has_system,
            context,
            places: self.files.keys().map(|id| id.place.clone()).collect(),
            stored: stored.map(|row| (**row).clone()).collect(),
            scope: if anew { Scope::All } else { scope },
            known,
            base: self.base.clone(),
            reader,
            at: now().wall,
        }
    }
}

impl Dispatcher {
    /// Reads what is installed and tells the engine, then goes on watching. After the engine has recovered.
    ///
    /// # Errors
    /// If the store cannot be read, or the configured zone does not exist.
    pub(super) async fn start_registry(&mut self) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| format!("installed DAGs: {error}");
        self.take_zone(zone_of(&self.config)?);
        for plan in self.reader.plans().map_err(|error| text(&error))? {
            self.registry.plans.insert(plan.dag.clone(), plan);
        }
        let stored = self.reader.installed().map_err(|error| text(&error))?;
        self.registry.take_stored(&stored);
        // What changes from here on is told, so that nothing falls between.
        match DirWatch::new(&self.config) {
            Ok(watch) => self.registry.watch = Some(watch),
            Err(error) => {
                tracing::warn!(%error, "installed DAGs cannot be watched; `proctorctl reload` has them read");
            }
        }
        let look = self.next_look(Scope::All);
        let config = Arc::clone(&self.config);
        let first = move || {
            schemas::sweep(&config);
            look.take()
        };
        let seen = tokio::task::spawn_blocking(first)
            .await
            .map_err(|error| text(&error))?;
        self.seen(seen);
        self.note_holds(|_| true);
        self.watch_directories();
        self.watch_clock();
        Ok(())
    }

    /// What versions are made with.
    pub(super) fn context(&self) -> Context {
        Context {
            config: Arc::clone(&self.config),
            zone: self.registry.zone.clone(),
        }
    }

    /// A daemon that leaves again acts on no schedule, and needs no zone for one.
    fn take_zone(&mut self, zone: DefaultZone) {
        self.registry.zone = match zone {
            Err(_) if self.embedded => Ok(Zone::UTC),
            Err(error) => {
                tracing::warn!(
                    "{error}; schedules that name no time zone are errors until schedule.time_zone names one"
                );
                Err(error)
            }
            Ok(zone) => Ok(zone),
        };
    }

    fn next_look(&mut self, scope: Scope) -> Look {
        let context = self.context();
        let reader = self.reader.clone();
        self.registry.look(context, scope, reader)
    }

    /// Has the dispatcher told when something happens in a directory.
    fn watch_directories(&self) {
        let Some(watch) = &self.registry.watch else { return };
        let watched = watch.as_fd().try_clone_to_owned().and_then(reactor::readable);
        let watched = match watched {
            Ok(watched) => watched,
            Err(error) => {
                tracing::warn!(%error, "installed DAGs cannot be watched; `proctorctl reload` has them read");
                return;
            }
        };
        let to_self = self.to_self.clone();
        tokio::spawn(async move {
            while let Ok(mut ready) = watched.readable().await {
                ready.clear_ready();
                let told = to_self.send(Msg::Then(Box::new(Self::directories_changed)));
                if told.is_err() {
                    return;
                }
            }
        });
    }

    fn directories_changed(&mut self) {
        let read = self.registry.watch.as_mut().map(DirWatch::read);
        match read {
            Some(Ok(Some(scope))) => self.look_later(scope),
            Some(Err(error)) => {
                tracing::warn!(%error, "news of installed DAGs cannot be read; all are looked at");
                self.look_later(Scope::All);
            }
            _ => {}
        }
    }

    /// The configuration was read again: everything that depends on it is made anew. `access` is whether who may start
    /// something may be others now.
    pub(super) fn reload_registry(&mut self, access: bool) {
        if let Ok(zone) = zone_of(&self.config) {
            self.take_zone(zone);
        }
        if let Some(watch) = &mut self.registry.watch {
            watch.add_all();
        }
        self.registry.anew = true;
        if access {
            self.registry.judgements.forget();
            self.tell_barred();
        }
        self.look_now(Scope::All);
    }
}
