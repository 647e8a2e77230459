//! What is kept of places that nobody can look at, or of which nobody knows whose they are.

use super::*;
use crate::config::Config;
use crate::daemon::allowed::Barred;
use crate::daemon::registry::version::Context;
use crate::dag::cron::Zone;
use crate::model::Time;
use crate::store::{Done, Options, Store};

const TEXT: &str = "schedule: 1 3 1 1 *\nsteps: [{name: a, command: x}]\n";

/// A registry after a start at which the store has a DAG of a user whom no database knows now.
struct Bed {
    root: tempfile::TempDir,
    registry: Registry,
    store: Store,
}

impl Bed {
    fn new() -> Self {
        Self::with("no-such-user/a.yaml")
    }

    /// The same with that file in the store.
    fn with(file: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let config = Config::defaults(root.path());
        let dir = config.paths.user_dags().join("no-such-user");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("a.yaml"), TEXT).unwrap();
        let done: Done = Box::new(|_, _| {});
        let options = Options {
            log_dir: Arc::new(|_, attempt| attempt.to_string()),
            wait: Duration::ZERO,
        };
        let store = Store::open(&root.path().join("proctor.db"), options, done).unwrap();
        let mut registry = Registry::new();
        registry.take_stored(&[InstalledDag {
            dag: DagName::new("a").unwrap(),
            file: file.to_owned(),
            owner: file.contains('/').then_some(12_345),
            mode: 0o644,
            at: Time(0),
            source: TEXT.to_owned(),
            base: None,
            schemas: Vec::new(),
        }]);
        Self {
            root,
            registry,
            store,
        }
    }

    fn context(&self) -> Context {
        Context {
            config: Arc::new(Config::defaults(self.root.path())),
            zone: Ok(Zone::UTC),
        }
    }

    /// Looks at everything. Gives what counts as gone.
    fn look(&mut self) -> Vec<DagName> {
        let look = self
            .registry
            .look(self.context(), Scope::All, self.store.reader());
        let seen = look.take();
        let before = self.registry.before();
        self.registry.take_files(seen.places, &seen.nobodys, seen.all);
        let reserved = self.registry.reserved(&before);
        self.registry.in_force = settle(&mut self.registry.files, &before, &reserved);
        self.registry.gone(&before)
    }

    fn users(&self) -> std::path::PathBuf {
        Config::defaults(self.root.path()).paths.user_dags()
    }
}

#[test]
fn a_dag_of_a_user_whom_nobody_knows_now_is_not_gone() {
    let mut bed = Bed::new();
    for _ in 0..2 {
        assert_eq!(bed.look(), []);
        // A daemon without root runs everything as its own user, whom it knows.
        let known = crate::sys::creds::effective_uid() != 0;
        assert_eq!(bed.registry.doubts().is_empty(), known);
    }
    std::fs::remove_file(bed.users().join("no-such-user/a.yaml")).unwrap();
    assert_eq!(bed.look(), [DagName::new("a").unwrap()]);
    assert!(bed.registry.doubts().is_empty());
}

#[test]
fn dags_below_a_directory_that_cannot_be_read_are_not_gone() {
    let mut bed = Bed::new();
    assert_eq!(bed.look(), []);
    let (users, away) = (bed.users(), bed.root.path().join("away"));
    std::fs::rename(&users, &away).unwrap();
    std::fs::write(&users, "no directory").unwrap();
    for _ in 0..2 {
        assert_eq!(bed.look(), []);
        assert!(!bed.registry.doubts().is_empty());
    }
    std::fs::remove_file(&users).unwrap();
    std::fs::rename(&away, &users).unwrap();
    assert_eq!(bed.look(), []);
    std::fs::remove_dir_all(&users).unwrap();
    assert_eq!(bed.look(), [DagName::new("a").unwrap()]);
}

#[test]
fn the_systems_dags_are_not_gone_because_their_directory_is() {
    let mut bed = Bed::with("a.yaml");
    std::fs::remove_dir_all(bed.users()).unwrap();
    let dags = Config::defaults(bed.root.path()).paths.dags;
    let dag = DagName::new("a").unwrap();
    // Neither when the daemon starts without it, nor later.
    assert_eq!(bed.look(), []);
    let mode = bed.registry.files[&FileId::from_stored("a.yaml")].mode;
    assert_eq!(mode, 0o644, "users see those that they could read");
    std::fs::create_dir_all(&dags).unwrap();
    std::fs::write(dags.join("a.yaml"), TEXT).unwrap();
    std::fs::write(dags.join("b.yaml"), "nonsense").unwrap();
    assert_eq!(bed.look(), []);
    assert!(bed.registry.doubts().is_empty());
    std::fs::remove_dir_all(&dags).unwrap();
    for _ in 0..2 {
        assert_eq!(bed.look(), []);
        assert!(bed.registry.in_force.contains_key(&dag) && !bed.registry.doubts().is_empty());
        let state = &bed.registry.files[&FileId::from_stored("a.yaml")];
        let problem = &state.problems[0].message;
        assert!(problem.contains("no such directory"), "{problem}");
    }
    std::fs::create_dir(&dags).unwrap();
    assert_eq!(bed.look(), [dag]);
    // Where there is nothing, nothing is missed.
    bed.registry.stored.clear();
    std::fs::remove_dir(&dags).unwrap();
    assert_eq!(bed.look(), []);
    assert!(bed.registry.doubts().is_empty());
}

#[test]
fn a_dag_that_names_a_user_who_is_not_there_is_looked_at_again() {
    let mut bed = Bed::with("a.yaml");
    std::fs::remove_dir_all(bed.users()).unwrap();
    let dags = Config::defaults(bed.root.path()).paths.dags;
    std::fs::create_dir_all(&dags).unwrap();
    let file = dags.join("a.yaml");
    let naming = |name: &str| format!("run_as: {name}\n{TEXT}");
    std::fs::write(&file, naming("no-such-user-here")).unwrap();
    for _ in 0..2 {
        assert_eq!(bed.look(), []);
        let state = &bed.registry.files[&FileId::from_stored("a.yaml")];
        assert!(state.now.is_none() && state.stamps.is_none() && !bed.registry.doubts().is_empty());
    }
    std::fs::write(&file, TEXT).unwrap();
    assert_eq!(bed.look(), []);
    assert!(bed.registry.doubts().is_empty());
}

#[test]
fn what_else_is_looked_at_does_not_put_off_the_next_try() {
    let mut bed = Bed::new();
    let users = bed.users();
    std::fs::remove_dir_all(&users).unwrap();
    std::fs::write(&users, "no directory").unwrap();
    bed.look();
    assert_eq!(bed.registry.pause(true), Pause::AtMost(AGAIN), "it is new");
    for _ in 0..20 {
        bed.look();
        assert_eq!(bed.registry.pause(true), Pause::Set);
    }
    assert_eq!(
        bed.registry.pause(false),
        Pause::Begins(AGAIN),
        "none of these was a try"
    );
    bed.registry.unsure += 1;
    assert_eq!(bed.registry.pause(false), Pause::Begins(AGAIN * 2));
    bed.registry.unsure = 100;
    assert_eq!(bed.registry.pause(false), Pause::Begins(AGAIN * 128));
    // What is new does not wait as long as what is old.
    bed.registry
        .judgements
        .take([(Place::User("ann".to_owned()), Err(Barred::Unknown(String::new())))].into());
    assert_eq!(bed.registry.pause(true), Pause::AtMost(AGAIN));
    assert_eq!(bed.registry.pause(false), Pause::Begins(AGAIN));
    bed.registry.judgements.keep(&BTreeSet::new());
    std::fs::remove_file(&users).unwrap();
    bed.look();
    assert_eq!(bed.registry.pause(true), Pause::Over);
    assert_eq!(bed.registry.unsure, 0);
}

/// A good version of the DAG of the store, as it was made while its user was there.
fn good(bed: &Bed) -> Arc<Version> {
    let row = bed.registry.stored.values().next().unwrap();
    let owner = super::super::place::Owner {
        uid: 12_345,
        base_dir: "/".to_owned(),
    };
    let made = version::make(&bed.context(), &owner, "a.yaml", "a", (**row).clone());
    Arc::new(made.unwrap())
}

#[test]
fn nothing_of_a_user_who_is_gone_is_in_force_and_nothing_is_forgotten() {
    if crate::sys::creds::effective_uid() != 0 {
        // Such a daemon runs everything as its own user.
        return;
    }
    let mut bed = Bed::new();
    let (dag, file) = (
        DagName::new("a").unwrap(),
        FileId::from_stored("no-such-user/a.yaml"),
    );
    let version = good(&bed);
    let force = InForce {
        file: file.clone(),
        version: Arc::clone(&version),
    };
    let state = bed.registry.files.entry(file.clone()).or_default();
    (state.now, state.good, state.owner) = (Some(Arc::clone(&version)), Some(version), Some(12_345));
    bed.registry.in_force.insert(dag.clone(), force);
    let last = bed.registry.in_force.clone();
    assert_eq!(bed.look(), [], "it is not gone");
    assert!(bed.registry.in_force.is_empty());
    let state = &bed.registry.files[&file];
    assert!(state.good.is_some() && state.problems[0].message.contains("no-such-user"));
    assert!(bed.registry.stored.contains_key(&dag));
    assert!(!bed.registry.doubts().is_empty(), "the user may come back");
    assert_eq!(bed.registry.idle(&last, &[]), std::slice::from_ref(&dag));
    // Whose it was is known, and that no retry may come: also after a restart, from the store alone.
    let whose = BTreeSet::from([(dag.clone(), 12_345)]);
    assert_eq!(
        (bed.registry.user_of(&file), bed.registry.ownerless()),
        (12_345, whose.clone())
    );
    bed.registry.stored.clear();
    assert_eq!(
        (bed.registry.user_of(&file), bed.registry.ownerless()),
        (12_345, whose.clone())
    );
    let mut bed = Bed::new();
    let rows: Vec<InstalledDag> = bed.registry.stored.values().map(|row| (**row).clone()).collect();
    let config = Config::defaults(bed.root.path());
    assert_eq!(super::super::place::ownerless(&config, &rows), whose);
    assert_eq!(bed.look(), []);
    assert_eq!(
        (bed.registry.user_of(&file), bed.registry.ownerless()),
        (12_345, whose)
    );
    std::fs::remove_file(bed.users().join("no-such-user/a.yaml")).unwrap();
    assert_eq!(bed.look(), [dag]);
    assert!(bed.registry.ownerless().is_empty(), "it is gone for good");
}

#[test]
fn a_file_that_has_not_changed_is_read_again_when_it_is_somebody_elses() {
    let mut bed = Bed::new();
    let dags = Config::defaults(bed.root.path()).paths.dags;
    std::fs::create_dir_all(&dags).unwrap();
    std::fs::write(dags.join("b.yaml"), TEXT).unwrap();
    let file = FileId::from_stored("b.yaml");
    let look = |bed: &mut Bed| {
        bed.look();
        bed.registry.anew = false;
        bed.registry.files[&file].now.clone().unwrap()
    };
    let first = look(&mut bed);
    assert!(Arc::ptr_eq(&first, &look(&mut bed)), "it is as it was");
    let state = bed.registry.files.get_mut(&file).unwrap();
    state.stamps.as_mut().unwrap().given_to(54_321);
    assert!(!Arc::ptr_eq(&first, &look(&mut bed)));
}

#[test]
fn who_looks_at_one_place_sees_no_other_and_no_new_base_configuration() {
    let mut bed = Bed::with("a.yaml");
    let config = Config::defaults(bed.root.path());
    let dags = config.paths.dags.clone();
    std::fs::create_dir_all(&dags).unwrap();
    std::fs::write(dags.join("a.yaml"), TEXT).unwrap();
    assert_eq!(bed.look(), []);
    bed.registry.anew = false;
    // A file, and the base configuration, are being made anew.
    std::fs::remove_file(dags.join("a.yaml")).unwrap();
    std::fs::write(&config.paths.base, "env: [A: b]\n").unwrap();
    let own = Place::User("no-such-user".to_owned());
    let look = |bed: &mut Bed, scope| {
        let look = bed.registry.look(bed.context(), scope, bed.store.reader());
        look.take()
    };
    let seen = look(&mut bed, Scope::Places(BTreeSet::from([own.clone()])));
    assert!(!seen.all && seen.base == Ok(None), "{:?}", seen.base);
    assert_eq!(seen.places.keys().collect::<Vec<_>>(), [&own]);
    let seen = look(&mut bed, Scope::All);
    assert!(seen.all && seen.base != Ok(None));
}
