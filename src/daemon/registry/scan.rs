//! One look at the directories: which files there are, and what those say that changed. Done beside the dispatcher.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::super::allowed::{Barred, judge};
use super::files::{self, Stamp};
use super::place::{FileId, NoOwner, Owner, Place, is_dag_file};
use super::schemas::{self, READS_MAX};
use super::version::{self, Context, Version, Wrong, of_file};
use crate::config::types::Access;
use crate::dag::{LoadOptions, Source};
use crate::model::change::InstalledDag;
use crate::model::{DagName, Time};
use crate::store::Reader;
use crate::sys::files::Dir;
use crate::wire::control::Problem;

/// What tells that a file and the schemas it refers to are as they were read, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamps {
    owner: Owner,
    file: Stamp,
    /// Those that have a file, by its name; without a stamp if it could not be read.
    schemas: Vec<(String, Option<Stamp>)>,
}

#[cfg(test)]
impl Stamps {
    /// As if the user had had another number when the file was read.
    pub(super) const fn given_to(&mut self, uid: u32) {
        self.owner.uid = uid;
    }
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// Every place.
    All,
    /// These.
    Places(BTreeSet<Place>),
}

/// A look that is to be taken.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) context: Context,
    pub(super) scope: Scope,
    /// What is known of files, so that they are read only if they changed; nothing if all is to be made anew.
    pub(super) known: BTreeMap<FileId, Stamps>,
    /// The base configuration as it was last time.
    pub(super) base: Result<Option<String>, String>,
    /// Places that are known to hold DAGs.
    pub(super) places: BTreeSet<Place>,
    /// The last good versions of the store that are not in memory.
    pub(super) stored: Vec<InstalledDag>,
    /// Whether a DAG of the system was in force last.
    pub(super) has_system: bool,
    pub(super) reader: Reader,
    pub(super) at: Time,
}

/// A file as it was found.
#[derive(Debug)]
pub(super) struct FoundFile {
    /// What it says now; none if it is the same as last time.
    pub(super) now: Option<Result<Arc<Version>, Vec<Problem>>>,
    pub(super) stamps: Option<Stamps>,
    /// User id that its runs would belong to, if there is such a user.
    pub(super) owner: Option<u32>,
    /// Permission bits of the file; none if it could not be read.
    pub(super) mode: u32,
    /// Whether it, or its last good version, may be good without a change of it: it names a user who cannot be found.
    pub(super) unsure: bool,
    /// Its last good version, if it is bad now and the store knows one.
    pub(super) stored: Option<Arc<Version>>,
}

/// The files of a place, or why it could not be looked at.
pub(super) type Found = Result<BTreeMap<String, FoundFile>, Unreadable>;

/// A place that could not be looked at.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Why, with the path.
    pub(super) why: String,
    /// What the store knows of it beyond what is in memory.
    pub(super) stored: BTreeMap<String, FoundFile>,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Whether every place was looked at: then there are no others.
    pub(super) all: bool,
    pub(super) base: Result<Option<String>, String>,
    /// The files of each place; or why it could not be looked at, and then all is as it was.
    pub(super) places: BTreeMap<Place, Found>,
    /// Those of them that are named after no user that there is.
    pub(super) nobodys: BTreeSet<Place>,
    /// Those of them whose users may start nothing, with why, and those whose users may. Of others nobody can tell now.
    pub(super) judged: BTreeMap<Place, Result<(), Barred>>,
    /// By which lists they were judged.
    pub(super) access: Access,
    /// The newest time that a success of a user's DAG counts for, for those where that matters.
    pub(super) last_success: HashMap<(DagName, u32), Time>,
}

impl Look {
    /// Looks.
    pub(super) fn take(mut self) -> Seen {
        // Whoever wants to see one place at once has no business with a base configuration that is just being changed:
        // all are looked at when that has settled.
        let base = match self.scope {
            Scope::All => files::read_base(&self.context.config),
            Scope::Places(_) => self.base.clone(),
        };
        if base != self.base {
            // It holds for all of them.
            self.known.clear();
            self.scope = Scope::All;
        }
        let mut seen = Seen {
            all: self.scope == Scope::All,
            base: base.clone(),
            places: BTreeMap::new(),
            nobodys: BTreeSet::new(),
            judged: BTreeMap::new(),
            access: self.context.config.access.clone(),
            last_success: HashMap::new(),
        };
        let (places, users) = self.places();
        for place in places {
            let owner = place.owner(&self.context.config);
            if matches!(owner, Err(NoOwner::Nobody(_))) {
                seen.nobodys.insert(place.clone());
            }
            // A DAG of the system is no user's work, whoever it runs as.
            if let (Ok(owner), Place::User(_)) = (&owner, &place) {
                let judged = judge(&self.context.config.access, owner.uid);
                seen.judged.insert(place.clone(), judged);
            }
            let found = self.place(&place, owner.as_ref(), &users, &base);
            seen.places.insert(place, found);
        }
        let files = seen.places.values().flat_map(|found| match found {
            Ok(files) => files.values(),
            Err(unreadable) => unreadable.stored.values(),
        });
        for file in files {
            let now = file.now.as_ref().and_then(|now| now.as_ref().ok());
            for version in now.into_iter().chain(&file.stored) {
                let matters = version
                    .plan
                    .as_ref()
                    .is_some_and(version::Plan::skips_if_successful);
                let dag = &version.record.dag;
                if matters && let Ok(Some(at)) = self.reader.last_success(dag, version.owner, self.at) {
                    seen.last_success.insert((dag.clone(), version.owner), at);
                }
            }
        }
        seen
    }

    /// The places to look at, and why those of users cannot be told. Those that are known are among them, so that a
    /// place that cannot be read, or not be found, keeps what it has.
    fn places(&self) -> (BTreeSet<Place>, Result<(), String>) {
        if let Scope::Places(places) = &self.scope {
            return (places.clone(), Ok(()));
        }
        let mut places = self.places.clone();
        places.insert(Place::System);
        places.extend(self.stored.iter().map(|row| FileId::from_stored(&row.file).place));
        let path = self.context.config.paths.user_dags();
        let listed = files::open_dir(&path).and_then(|root| {
            let below = root.map(|root| root.list()).transpose();
            below.map_err(|error| error.to_string())
        });
        let below = match listed {
            Ok(below) => below.unwrap_or_default().into_iter(),
            Err(error) => return (places, Err(format!("{} cannot be read: {error}", path.display()))),
        };
        let names = below
            .filter(|entry| entry.is_dir)
            .filter_map(|entry| entry.name.into_string().ok());
        places.extend(names.filter(|name| !name.starts_with('.')).map(Place::User));
        (places, Ok(()))
    }

    fn place(
        &self,
        place: &Place,
        owner: Result<&Owner, &NoOwner>,
        users: &Result<(), String>,
        base: &Result<Option<String>, String>,
    ) -> Found {
        let path = place.dir(&self.context.config);
        let mut found = BTreeMap::new();
        let shown = |error: String| format!("{} cannot be read: {error}", path.display());
        let known = match place {
            Place::System => Ok(()),
            Place::User(_) => users.clone(),
        };
        let listed = known.and_then(|()| {
            let Some(dir) = files::open_dir(&path).map_err(shown)? else {
                // A file system that is not mounted, more likely than an administrator who wants all of them gone.
                if *place == Place::System && self.has_system {
                    return Err(shown(files::NO_DIR.to_owned()));
                }
                return Ok(None);
            };
            let names = dir.list().map_err(|error| shown(error.to_string()))?;
            Ok(Some((dir, names)))
        });
        let (dir, names) = match listed {
            Ok(Some(listed)) => listed,
            Ok(None) => return Ok(found),
            Err(why) => {
                // What the store knows of it is all there is.
                for row in &self.stored {
                    let id = FileId::from_stored(&row.file);
                    if id.place == *place {
                        let problem = of_file(
                            why.clone(),
                            None,
                            &id.path(&self.context.config).display().to_string(),
                        );
                        found.insert(id.name.clone(), self.bad(&id, vec![problem]));
                    }
                }
                return Err(Unreadable { why, stored: found });
            }
        };
        for entry in names {
            let Ok(name) = entry.name.into_string() else {
                continue;
            };
            if !is_dag_file(&name) || entry.is_dir {
                continue;
            }
            let id = FileId {
                place: place.clone(),
                name,
            };
            if let Some(file) = self.file(&dir, &id, owner, base, READS_MAX) {
                found.insert(id.name, file);
            }
        }
        Ok(found)
    }

    /// A file with an error, and what the store knows of it.
    fn bad(&self, id: &FileId, problems: Vec<Problem>) -> FoundFile {
        let stored = id.stored();
        let row = self.stored.iter().find(|row| row.file == stored);
        let last = row.and_then(|row| {
            let owner = id.place.owner(&self.context.config).ok()?;
            let path = id.path(&self.context.config).display().to_string();
            Some(version::make(
                &self.context,
                &owner,
                &path,
                id.stem(),
                row.clone(),
            ))
        });
        let unsure = matches!(&last, Some(Err(wrong)) if wrong.may_pass);
        FoundFile {
            now: Some(Err(problems)),
            stamps: None,
            owner: id.place.owner(&self.context.config).ok().map(|owner| owner.uid),
            mode: 0,
            unsure,
            stored: last.and_then(Result::ok).map(Arc::new),
        }
    }

    /// Reads a file if it changed, so often at most as it changes meanwhile. `None` if it is gone by now.
    fn file(
        &self,
        dir: &Dir,
        id: &FileId,
        owner: Result<&Owner, &NoOwner>,
        base: &Result<Option<String>, String>,
        reads: usize,
    ) -> Option<FoundFile> {
        let path = id.path(&self.context.config).display().to_string();
        let known = self
            .known
            .get(id)
            .filter(|known| owner.is_ok_and(|owner| *owner == known.owner))
            .filter(|known| known.same_schemas(dir));
        let text = match schemas::read_dag(dir, id, known.map(|known| known.file)) {
            Ok(None) => return None,
            Ok(Some(Err(_))) => {
                return Some(FoundFile {
                    now: None,
                    stamps: known.cloned(),
                    owner: None,
                    mode: 0,
                    unsure: false,
                    stored: None,
                });
            }
            Ok(Some(Ok(text))) => text,
            Err(error) => {
                let problem = of_file(format!("it cannot be used: {error}"), None, &path);
                return Some(self.bad(id, vec![problem]));
            }
        };
        let (owner, base) = match (owner, base) {
            (Ok(owner), Ok(base)) => (owner, base.clone()),
            (Err(error), _) => return Some(self.bad(id, vec![of_file(error.to_string(), None, &path)])),
            (_, Err(error)) => {
                let base = self.context.config.paths.base.display().to_string();
                return Some(self.bad(id, vec![of_file(error.clone(), None, &base)]));
            }
        };
        let mut stamps = Stamps {
            owner: owner.clone(),
            file: text.stamp,
            schemas: Vec::new(),
        };
        let mut record = InstalledDag {
            // The text tells the name.
            dag: version::name_for(id.stem())?,
            file: id.stored(),
            owner: matches!(id.place, Place::User(_)).then_some(owner.uid),
            mode: text.mode,
            at: self.at,
            source: text.text,
            base,
            schemas: Vec::new(),
        };
        record.schemas = schemas::schemas_of(&record, &path, id.stem(), |wanted| {
            let read = schemas::read_schema(dir, id, &text.refs, wanted);
            if let Ok(name) = schemas::place_of(id, &text.refs, wanted) {
                stamps
                    .schemas
                    .push((name, read.as_ref().ok().map(|text| text.stamp)));
            }
            read.map(|text| text.text)
        });
        if record.schemas.iter().any(|schema| schema.text.is_none())
            && reads > 1
            && !schemas::is_same_dag(dir, id, text.stamp)
        {
            // Another version has taken its place, and those of this one are gone.
            return self.file(dir, id, Ok(owner), &Ok(record.base), reads - 1);
        }
        Some(
            match version::make(&self.context, owner, &path, id.stem(), record) {
                Ok(version) => FoundFile {
                    stamps: Some(stamps),
                    owner: Some(version.owner),
                    now: Some(Ok(Arc::new(version))),
                    mode: text.mode,
                    unsure: false,
                    stored: None,
                },
                Err(Wrong { problems, may_pass }) => {
                    let bad = self.bad(id, problems);
                    let unsure = bad.unsure || may_pass;
                    FoundFile {
                        // It is made again at the next look, though it has not changed.
                        stamps: Some(stamps).filter(|_| !unsure),
                        mode: text.mode,
                        unsure,
                        ..bad
                    }
                }
            },
        )
    }
}

impl Stamps {
    fn same_schemas(&self, dir: &Dir) -> bool {
        let mut schemas = self.schemas.iter();
        schemas.all(|(name, stamp)| schemas::is_same(dir, name, *stamp))
    }
}

/// The name that a text gives itself, if it does.
pub(super) fn own_name(text: &str) -> Option<String> {
    let source = Source {
        text: text.as_bytes(),
        file: "",
        stem: "",
    };
    let name = crate::dag::name_of(&source, &LoadOptions::default());
    name.ok().map(|name| name.to_string())
}
