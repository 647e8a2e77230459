//! A place in a cgroup that the test has made, and takes away.

use std::cell::Cell;
use std::fs::{create_dir, remove_dir};
use std::path::PathBuf;
use std::sync::Barrier;

use super::*;

/// A parent for a place, and a configuration that names it.
struct Bed {
    parent: PathBuf,
    config: Config,
    place: Place,
}

impl Bed {
    fn new(name: &str) -> Option<Self> {
        let own = crate::sys::testing::cgroups()?;
        let name = format!("proctor-test-{name}-{}", std::process::id());
        let parent = own.subtree(&name).unwrap().path().to_owned();
        let mut config = Config::defaults(Path::new("/nowhere"));
        config.cgroup.parent = Some(parent.clone());
        let place = Place::new(find_cgroups(&config).unwrap());
        Some(Self {
            parent,
            config,
            place,
        })
    }

    fn take_away(&self) {
        remove_dir(self.place.root().unwrap().path()).unwrap();
    }

    fn make(&self, name: &str) -> Result<(), String> {
        let Some(root) = self.place.root() else {
            return Ok(());
        };
        let made = root.create(name).map_err(|error| error.to_string())?;
        made.remove().map_err(|error| error.to_string())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(root) = self.place.root() {
            drop(remove_dir(root.path()));
        }
        drop(remove_dir(&self.parent));
    }
}

#[test]
fn all_that_meet_a_place_that_was_taken_away_go_on_at_the_new_one() {
    let Some(bed) = Bed::new("meet") else { return };
    bed.take_away();
    let all_have_failed = Barrier::new(4);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (bed, all_have_failed) = (&bed, &all_have_failed);
            scope.spawn(move || {
                let first = Cell::new(true);
                let done = bed.place.within(&bed.config, || {
                    let made = bed.make(&format!("a{number}"));
                    if first.replace(false) {
                        assert!(made.is_err());
                        all_have_failed.wait();
                    }
                    made
                });
                assert!(done.is_ok(), "{done:?}");
            });
        }
    });
    // What fails where there is a place fails once.
    let tries = Cell::new(0);
    let failed: Result<(), Failed> = bed.place.within(&bed.config, || {
        tries.set(tries.get() + 1);
        Err("itself".to_owned())
    });
    assert!(
        matches!(&failed, Err(Failed::Itself(why)) if why == "itself"),
        "{failed:?}"
    );
    assert_eq!(tries.get(), 1);
}

#[test]
fn without_another_place_nothing_fails_for_itself_until_there_is_one() {
    let Some(bed) = Bed::new("none") else { return };
    bed.take_away();
    remove_dir(&bed.parent).unwrap();
    for _ in 0..2 {
        let failed = bed.place.within(&bed.config, || bed.make("a"));
        assert!(
            matches!(&failed, Err(Failed::NoPlace(why)) if why.contains("for one: cgroup.parent: cannot open") && !why.contains('\n')),
            "{failed:?}"
        );
    }
    create_dir(&bed.parent).unwrap();
    bed.place.within(&bed.config, || bed.make("a")).unwrap();
    assert!(bed.place.root().is_some());
}

#[test]
fn a_place_that_was_lost_is_looked_for_by_whoever_needs_one() {
    let Some(bed) = Bed::new("lost") else { return };
    let mut without = bed.config.clone();
    without.cgroup.enabled = false;
    bed.take_away();
    bed.place.within(&without, || bed.make("a")).unwrap();
    assert!(bed.place.root().is_none());
    bed.place
        .within(&bed.config, || {
            assert!(bed.place.root().is_some());
            bed.make("a")
        })
        .unwrap();
}
