//! News of the directories with installed DAGs and of the base configuration. Events only say where to look.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::place::Place;
use super::scan::Scope;
use crate::config::Config;
use crate::sys::inotify::{Change, DirEvent, Inotify, Watch};

/// The local users. Whose the places are may change with it.
const USERS: &str = "/etc/passwd";

/// Watches every place, and the directories above them in which they may appear.
#[derive(Debug)]
pub(super) struct DirWatch {
    inotify: Inotify,
    watched: HashMap<Watch, PathBuf>,
    /// Of these, those above a directory that is not there: it may be made.
    ways: HashSet<PathBuf>,
    dags: PathBuf,
    users: PathBuf,
    base: PathBuf,
}

impl AsFd for DirWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl DirWatch {
    /// Watches all there is. Who looks after this misses nothing.
    pub(super) fn new(config: &Config) -> io::Result<Self> {
        let paths = &config.paths;
        let mut watch = Self {
            inotify: Inotify::new()?,
            watched: HashMap::new(),
            ways: HashSet::new(),
            dags: paths.dags.clone(),
            users: paths.user_dags(),
            base: paths.base.clone(),
        };
        watch.add_all();
        Ok(watch)
    }

    /// Takes up what is not watched yet.
    pub(super) fn add_all(&mut self) {
        let before = std::mem::take(&mut self.ways);
        let above: Vec<PathBuf> = self
            .targets()
            .filter_map(Path::parent)
            .map(Path::to_owned)
            .collect();
        for dir in &above {
            self.add_way(dir);
        }
        for way in before {
            if !self.ways.contains(&way) && !above.contains(&way) {
                self.drop_watch(&way);
            }
        }
        self.add(&self.dags.clone());
        self.add(&self.users.clone());
        let below = std::fs::read_dir(&self.users).into_iter().flatten().flatten();
        let dirs: Vec<PathBuf> = below
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        for dir in dirs {
            self.add(&dir);
        }
    }

    /// What must be noticed when it comes.
    fn targets(&self) -> impl Iterator<Item = &Path> {
        let own = [&self.dags, &self.users, &self.base].into_iter();
        own.map(PathBuf::as_path).chain([Path::new(USERS)])
    }

    /// Watches a directory, or the nearest one above that is there.
    fn add_way(&mut self, dir: &Path) {
        // What is made while this looks is found by looking again.
        for _ in dir.ancestors() {
            let Some(found) = dir.ancestors().find(|above| self.add(above)) else {
                return;
            };
            if found == dir {
                return;
            }
            self.ways.insert(found.to_owned());
            let next = dir.ancestors().find(|below| below.parent() == Some(found));
            if !next.is_some_and(Path::exists) {
                return;
            }
        }
    }

    fn drop_watch(&mut self, path: &Path) {
        let old: Vec<Watch> = self
            .watched
            .extract_if(|_, watched| watched == path)
            .map(|(watch, _)| watch)
            .collect();
        for watch in old {
            drop(self.inotify.remove_watch(watch));
        }
    }

    /// False if there is no such directory.
    fn add(&mut self, path: &Path) -> bool {
        match self.inotify.add_dir_watch_with_attributes(path) {
            Ok(watch) => {
                self.watched.insert(watch, path.to_owned());
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return false;
            }
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "a directory cannot be watched; `proctorctl reload` has it read");
            }
        }
        true
    }

    /// Where to look after what has happened since the last call. `None`: nowhere.
    pub(super) fn read(&mut self) -> io::Result<Option<Scope>> {
        let mut places = BTreeSet::new();
        let mut all = false;
        loop {
            let events = self.inotify.read()?;
            if events.is_empty() {
                break;
            }
            for event in events {
                match self.about(&event) {
                    Some(Scope::All) => all = true,
                    Some(Scope::Places(more)) => places.extend(more),
                    None => {}
                }
            }
        }
        Ok(if all {
            Some(Scope::All)
        } else if places.is_empty() {
            None
        } else {
            Some(Scope::Places(places))
        })
    }

    fn about(&mut self, event: &DirEvent) -> Option<Scope> {
        let Some(watch) = event.watch else {
            return Some(Scope::All);
        };
        let dir = self.watched.get(&watch)?.clone();
        let Some(name) = event.name.as_ref().filter(|_| event.change != Change::WatchGone) else {
            if event.change == Change::WatchGone {
                self.watched.remove(&watch);
                // One that was only moved away is still watched; its new place is none of ours.
                drop(self.inotify.remove_watch(watch));
                self.add_all();
                return Some(Scope::All);
            }
            return self.itself(&dir);
        };
        let path = dir.join(name);
        if path == self.base || path == Path::new(USERS) {
            return Some(Scope::All);
        }
        if path == self.dags || path == self.users {
            self.add_all();
            return Some(Scope::All);
        }
        if self.ways.contains(&dir) && self.targets().any(|target| target.starts_with(&path)) {
            self.add_all();
            return Some(Scope::All);
        }
        if dir == self.dags {
            return (!hidden(name)).then(|| one(Place::System));
        }
        if dir == self.users {
            let user = name.to_str()?.to_owned();
            if event.change == Change::Appeared {
                self.add(&path);
            }
            return (!hidden(name)).then(|| one(Place::User(user)));
        }
        place_below(&self.users, &dir).filter(|_| !hidden(name))
    }

    /// Where to look when owner or permissions of a directory changed: whether it is trusted may be another matter now.
    fn itself(&self, dir: &Path) -> Option<Scope> {
        if dir == self.dags {
            return Some(one(Place::System));
        }
        let base = self.base.parent() == Some(dir);
        if dir == self.users || base {
            return Some(Scope::All);
        }
        place_below(&self.users, dir)
    }
}

fn place_below(users: &Path, dir: &Path) -> Option<Scope> {
    let user = (dir.parent() == Some(users)).then(|| dir.file_name()?.to_str())??;
    Some(one(Place::User(user.to_owned())))
}

fn one(place: Place) -> Scope {
    Scope::Places(BTreeSet::from([place]))
}

/// Editors and the daemon write beside the file first, under such names.
fn hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

impl Scope {
    /// Both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Places(mut places), Self::Places(more)) => {
                places.extend(more);
                Self::Places(places)
            }
            _ => Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn directories_that_are_made_later_are_noticed_with_all_above_them() {
        let root = tempfile::tempdir().unwrap();
        let mut config = Config::defaults(&root.path().join("a/b"));
        config.paths.dags = root.path().join("x/y/dags");
        let at = |path: &str| root.path().join(path);
        let mut watch = DirWatch::new(&config).unwrap();
        std::fs::create_dir(at("other")).unwrap();
        assert_eq!(watch.read().unwrap(), None);
        for path in ["x", "x/y", "x/y/dags"] {
            std::fs::create_dir(at(path)).unwrap();
            assert_eq!(watch.read().unwrap(), Some(Scope::All), "{path} has come");
        }
        std::fs::write(at("x/y/dags/a.yaml"), "x").unwrap();
        assert_eq!(watch.read().unwrap(), Some(one(Place::System)));
        // All at once.
        std::fs::create_dir_all(at("a/b/etc/proctor")).unwrap();
        std::fs::create_dir_all(at("a/b/var/lib/proctor/dags/alice")).unwrap();
        assert_eq!(watch.read().unwrap(), Some(Scope::All));
        std::fs::write(at("a/b/etc/proctor/base.yaml"), "x").unwrap();
        assert_eq!(watch.read().unwrap(), Some(Scope::All));
        std::fs::write(at("a/b/var/lib/proctor/dags/alice/a.yaml"), "x").unwrap();
        assert_eq!(watch.read().unwrap(), Some(one(Place::User("alice".to_owned()))));
        // Nobody listens any more where nothing can come.
        assert!(watch.ways.is_empty());
        assert!(!watch.watched.values().any(|path| path == root.path()));
        // What goes may come again.
        std::fs::remove_dir_all(at("x")).unwrap();
        assert_eq!(watch.read().unwrap(), Some(Scope::All));
        std::fs::create_dir_all(at("x/y/dags")).unwrap();
        assert_eq!(watch.read().unwrap(), Some(Scope::All));
    }

    #[test]
    fn events_tell_where_to_look() {
        let root = tempfile::tempdir().unwrap();
        let config = Config::defaults(root.path());
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("etc/proctor")).unwrap();
        std::fs::create_dir_all(at("var/lib/proctor/dags")).unwrap();
        let mut watch = DirWatch::new(&config).unwrap();
        assert_eq!(watch.read().unwrap(), None);
        std::fs::create_dir(at("etc/proctor/dags")).unwrap();
        assert_eq!(watch.read().unwrap(), Some(Scope::All), "the directory has come");
        std::fs::write(at("etc/proctor/dags/a.yaml"), "x").unwrap();
        assert_eq!(watch.read().unwrap(), Some(one(Place::System)));
        std::fs::write(at("etc/proctor/dags/.hidden"), "x").unwrap();
        std::fs::write(at("etc/proctor/proctord.toml"), "x").unwrap();
        assert_eq!(watch.read().unwrap(), None);
        std::fs::create_dir(at("var/lib/proctor/dags/alice")).unwrap();
        let alice = || one(Place::User("alice".to_owned()));
        assert_eq!(watch.read().unwrap(), Some(alice()));
        std::fs::write(at("var/lib/proctor/dags/alice/a.yaml"), "x").unwrap();
        assert_eq!(watch.read().unwrap(), Some(alice()));
        std::fs::write(at("etc/proctor/base.yaml"), "x").unwrap();
        assert_eq!(watch.read().unwrap(), Some(Scope::All));
        for (path, scope) in [
            ("etc/proctor/dags/a.yaml", one(Place::System)),
            ("etc/proctor/dags", Scope::All),
            ("var/lib/proctor/dags/alice/a.yaml", alice()),
            ("var/lib/proctor/dags/alice", alice()),
            ("var/lib/proctor/dags", Scope::All),
            ("etc/proctor/base.yaml", Scope::All),
            ("etc/proctor", Scope::All),
        ] {
            let mode = if at(path).is_dir() { 0o750 } else { 0o640 };
            std::fs::set_permissions(at(path), PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(watch.read().unwrap(), Some(scope), "the permissions of {path}");
        }
        let etc = watch.watched.iter().find(|(_, path)| **path == Path::new("/etc"));
        let of = |name: &str| DirEvent {
            watch: etc.map(|(watch, _)| *watch),
            change: Change::Appeared,
            name: Some(name.into()),
        };
        let (users, other) = (of("passwd"), of("motd"));
        assert_eq!(watch.about(&users), Some(Scope::All), "there are other users");
        assert_eq!(watch.about(&other), None);
        std::fs::remove_dir_all(at("etc/proctor/dags")).unwrap();
        assert_eq!(watch.read().unwrap(), Some(Scope::All), "the directory has gone");
        std::fs::create_dir(at("etc/proctor/dags")).unwrap();
        std::fs::write(at("etc/proctor/dags/a.yaml"), "x").unwrap();
        assert_eq!(watch.read().unwrap(), Some(Scope::All), "and come again");
    }
}
