//! What is kept of places that nobody can look at, or of which nobody knows whose they are.

use super::*;
use crate::config::Config;
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
            wait: std::time::Duration::ZERO,
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

    /// Looks at everything. Gives what counts as gone.
    fn look(&mut self) -> Vec<DagName> {
        let context = Context {
            config: Arc::new(Config::defaults(self.root.path())),
            zone: Zone::UTC,
        };
        let seen = self
            .registry
            .look(context, Scope::All, self.store.reader())
            .take();
        let before = self.registry.before();
        self.registry.take_files(seen.places, seen.all);
        self.registry.in_force = settle(&mut self.registry.files, &before);
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
        assert_eq!(bed.registry.is_unsure(), !known);
    }
    std::fs::remove_file(bed.users().join("no-such-user/a.yaml")).unwrap();
    assert_eq!(bed.look(), [DagName::new("a").unwrap()]);
    assert!(!bed.registry.is_unsure());
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
        assert!(bed.registry.is_unsure());
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
    std::fs::create_dir_all(&dags).unwrap();
    std::fs::write(dags.join("a.yaml"), TEXT).unwrap();
    std::fs::write(dags.join("b.yaml"), "nonsense").unwrap();
    assert_eq!(bed.look(), []);
    assert!(!bed.registry.is_unsure());
    std::fs::remove_dir_all(&dags).unwrap();
    for _ in 0..2 {
        assert_eq!(bed.look(), []);
        assert!(bed.registry.in_force.contains_key(&dag) && bed.registry.is_unsure());
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
    assert!(!bed.registry.is_unsure());
}
