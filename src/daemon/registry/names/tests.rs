//! Names that move between files.

use super::*;
use crate::model::Time;
use crate::model::change::InstalledDag;

fn version(dag: &str) -> Arc<Version> {
    Arc::new(Version {
        record: Arc::new(InstalledDag {
            dag: DagName::new(dag).unwrap(),
            file: String::new(),
            owner: None,
            mode: 0o644,
            at: Time(0),
            source: String::new(),
            base: None,
            schemas: Vec::new(),
        }),
        hash: String::new(),
        description: None,
        run_as: false,
        schedules: Vec::new(),
        warnings: Vec::new(),
        owner: 0,
        plan: None,
    })
}

#[derive(Default)]
struct World {
    files: BTreeMap<FileId, FileState>,
    before: BTreeMap<DagName, FileId>,
    reserved: BTreeSet<DagName>,
}

impl World {
    /// The file says this now: a name, or rubbish.
    fn write(&mut self, file: &str, dag: Option<&str>) {
        let state = self.files.entry(FileId::from_stored(file)).or_default();
        state.now = dag.map(version);
    }

    /// What is in force: `DAG=FILE`; the files whose name another one has, with that: `FILE>FILE`; and those whose name the
    /// system keeps: `FILE>`.
    fn settle(&mut self) -> String {
        let force = settle(&mut self.files, &self.before, &self.reserved);
        self.before = force
            .iter()
            .map(|(dag, force)| (dag.clone(), force.file.clone()))
            .collect();
        let mut words: Vec<String> = force
            .iter()
            .map(|(dag, force)| format!("{dag}={}", force.file.stored()))
            .collect();
        for (id, state) in &self.files {
            words.extend(
                state
                    .clash
                    .as_ref()
                    .map(|first| format!("{}>{}", id.stored(), first.stored())),
            );
            words.extend(state.reserved.then(|| format!("{}>", id.stored())));
        }
        words.join(" ")
    }
}

#[test]
fn a_name_belongs_to_the_file_that_had_it_first() {
    for (first, second) in [("z.yaml", "a.yaml"), ("u/a.yaml", "t/a.yaml")] {
        let mut world = World::default();
        world.write(first, Some("a"));
        assert_eq!(world.settle(), format!("a={first}"));
        world.write(second, Some("a"));
        assert_eq!(
            world.settle(),
            format!("a={first} {second}>{first}"),
            "the past counts before the order"
        );
        world.files.remove(&FileId::from_stored(first));
        assert_eq!(
            world.settle(),
            format!("a={second}"),
            "what waited for the name has it"
        );
    }
}

#[test]
fn no_user_keeps_a_name_from_the_system() {
    let mut world = World::default();
    world.write("u/a.yaml", Some("a"));
    assert_eq!(world.settle(), "a=u/a.yaml");
    world.write("z.yaml", Some("a"));
    assert_eq!(
        world.settle(),
        "a=z.yaml u/a.yaml>z.yaml",
        "not even one who had it first"
    );
    world.write("z.yaml", None);
    assert_eq!(world.settle(), "a=z.yaml u/a.yaml>z.yaml");
    world.files.remove(&FileId::from_stored("z.yaml"));
    assert_eq!(world.settle(), "a=u/a.yaml");
}

#[test]
fn a_bad_file_keeps_its_last_good_version_and_name() {
    let mut world = World::default();
    world.write("a.yaml", Some("a"));
    world.settle();
    world.write("a.yaml", None);
    assert_eq!(world.settle(), "a=a.yaml");
    world.write("b.yaml", Some("a"));
    assert_eq!(world.settle(), "a=a.yaml b.yaml>a.yaml");
    world.write("c.yaml", None);
    assert_eq!(
        world.settle(),
        "a=a.yaml b.yaml>a.yaml",
        "what was never good is not in force"
    );
}

#[test]
fn what_belongs_to_nobody_is_not_in_force() {
    let mut world = World::default();
    let nobodys = |world: &mut World, is| {
        let state = world.files.get_mut(&FileId::from_stored("u/a.yaml")).unwrap();
        state.nobodys = is;
    };
    world.write("u/a.yaml", Some("a"));
    assert_eq!(world.settle(), "a=u/a.yaml");
    world.write("u/a.yaml", None);
    nobodys(&mut world, true);
    assert_eq!(world.settle(), "");
    nobodys(&mut world, false);
    assert_eq!(world.settle(), "a=u/a.yaml");
}

#[test]
fn a_file_may_rename_its_dag_unless_the_name_is_taken() {
    let mut world = World::default();
    world.write("a.yaml", Some("a"));
    world.write("b.yaml", Some("b"));
    world.settle();
    world.write("a.yaml", Some("b"));
    assert_eq!(
        world.settle(),
        "a=a.yaml b=b.yaml a.yaml>b.yaml",
        "it keeps its old name"
    );
    world.write("a.yaml", Some("c"));
    assert_eq!(world.settle(), "b=b.yaml c=a.yaml");
    world.write("a.yaml", Some("b"));
    world.write("b.yaml", Some("c"));
    assert_eq!(world.settle(), "b=a.yaml c=b.yaml", "two may swap");
}

#[test]
fn a_name_that_is_reserved_goes_to_no_user() {
    let mut world = World::default();
    world.write("u/a.yaml", Some("a"));
    world.write("u/b.yaml", Some("b"));
    world.write("z.yaml", Some("a"));
    assert_eq!(world.settle(), "a=z.yaml b=u/b.yaml u/a.yaml>z.yaml");
    world.reserved.insert(DagName::new("a").unwrap());
    assert_eq!(
        world.settle(),
        "a=z.yaml b=u/b.yaml u/a.yaml>z.yaml",
        "it is there"
    );
    let system = world.files.remove(&FileId::from_stored("z.yaml")).unwrap();
    for _ in 0..2 {
        assert_eq!(world.settle(), "b=u/b.yaml u/a.yaml>");
    }
    // Nor for what was in force once.
    let state = world.files.get_mut(&FileId::from_stored("u/a.yaml")).unwrap();
    state.good = state.now.clone();
    assert_eq!(world.settle(), "b=u/b.yaml u/a.yaml>");
    world.files.insert(FileId::from_stored("y.yaml"), system);
    assert_eq!(
        world.settle(),
        "a=y.yaml b=u/b.yaml u/a.yaml>y.yaml",
        "the system's may come back"
    );
    world.files.remove(&FileId::from_stored("y.yaml"));
    world.reserved.clear();
    assert_eq!(world.settle(), "a=u/a.yaml b=u/b.yaml", "it is free");
}
