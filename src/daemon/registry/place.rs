//! Where installed DAGs lie, and whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::Config;
use crate::model::DagName;
use crate::model::change::InstalledDag;
use crate::sys::creds::{self, CredsError, User};

/// A directory of installed DAGs. Those of the system come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::daemon) enum Place {
    /// That of the system's DAGs.
    System,
    /// That of a user, by its name below the users' directory.
    User(String),
}

/// A DAG file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::daemon) struct FileId {
    /// Its directory.
    pub(in crate::daemon) place: Place,
    /// Its name in there.
    pub(in crate::daemon) name: String,
}

/// Whose DAGs lie in a place, and where their relative paths start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct Owner {
    /// User id their runs belong to.
    pub(in crate::daemon) uid: u32,
    /// Absolute directory.
    pub(in crate::daemon) base_dir: String,
}

/// Why it cannot be told whose DAGs lie in a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::daemon) enum NoOwner {
    /// There is no such user: nothing may start, since somebody else may have the number by now.
    #[error("{0}")]
    Nobody(String),
    /// Nobody can tell now.
    #[error("{0}")]
    Unknown(String),
}

impl From<CredsError> for NoOwner {
    fn from(error: CredsError) -> Self {
        let text = error.to_string();
        match error {
            CredsError::NoSuchName(_) | CredsError::NoSuchUid(_) | CredsError::BadName(_) => {
                Self::Nobody(text)
            }
            _ => Self::Unknown(text),
        }
    }
}

impl Place {
    /// Absolute path of the directory.
    pub(in crate::daemon) fn dir(&self, config: &Config) -> PathBuf {
        match self {
            Self::System => config.paths.dags.clone(),
            Self::User(name) => config.paths.user_dags().join(name),
        }
    }

    /// The directory that `install` uses for a user: named as the user is, or by number if no database knows a name that
    /// can name a directory.
    pub(in crate::daemon) fn of_user(uid: u32) -> Self {
        let name = User::by_uid(uid).map(|user| user.name).ok();
        let plain = name.filter(|name| is_plain(name));
        Self::User(plain.unwrap_or_else(|| uid.to_string()))
    }

    /// Whose DAGs lie here. A daemon without root runs everything as its own user.
    ///
    /// # Errors
    /// There is no such user, or nobody can tell now.
    pub(in crate::daemon) fn owner(&self, config: &Config) -> Result<Owner, NoOwner> {
        let own = creds::effective_uid();
        let name = match self {
            Self::System => {
                let base_dir = self.dir(config).display().to_string();
                return Ok(Owner { uid: own, base_dir });
            }
            Self::User(name) => name,
        };
        let user = if own == 0 {
            user_of(name)?
        } else {
            User::current()?
        };
        // As with cron(8), a user's own jobs start in the user's home.
        let home = Some(user.home).filter(|home| home.is_absolute());
        let base_dir = home.unwrap_or_else(|| self.dir(config));
        Ok(Owner {
            uid: user.uid,
            base_dir: base_dir.display().to_string(),
        })
    }
}

/// Those of these DAGs that lie in places of users who are gone, and the user ids those had.
pub(in crate::daemon) fn ownerless(config: &Config, dags: &[InstalledDag]) -> BTreeSet<(DagName, u32)> {
    let mut gone: BTreeMap<Place, bool> = BTreeMap::new();
    let mut is_gone = |dag: &&InstalledDag| {
        let place = FileId::from_stored(&dag.file).place;
        let known = gone.get(&place).copied();
        known.unwrap_or_else(|| {
            let is = matches!(place.owner(config), Err(NoOwner::Nobody(_)));
            gone.insert(place, is);
            is
        })
    };
    let of_users = dags.iter().filter(|dag| dag.owner.is_some());
    let gone = of_users.filter(|dag| is_gone(dag));
    gone.filter_map(|dag| Some((dag.dag.clone(), dag.owner?)))
        .collect()
}

/// The user that a directory is named after, by name or by number. Only the usual form of a number counts: `+0` and `00`
/// are nobody.
fn user_of(name: &str) -> Result<User, CredsError> {
    let number = name.parse::<u32>().ok().filter(|uid| uid.to_string() == name);
    match (User::by_name(name), number) {
        (Err(CredsError::NoSuchName(_) | CredsError::BadName(_)), Some(uid)) => User::by_uid(uid),
        // The name of one is the number of another, whose name can name no directory.
        (Ok(user), Some(uid))
            if user.uid != uid && User::by_uid(uid).is_ok_and(|user| !is_plain(&user.name)) =>
        {
            Err(CredsError::Lookup {
                what: format!("the user of the directory {name}"),
                source: std::io::Error::other("one user has that name and another one that number"),
            })
        }
        (found, _) => found,
    }
}

/// Whether a user's name can be that of a directory among others.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && !name.contains('/')
}

impl FileId {
    /// Absolute path of the file.
    pub(in crate::daemon) fn path(&self, config: &Config) -> PathBuf {
        self.place.dir(config).join(&self.name)
    }

    /// The file's name without its ending.
    pub(in crate::daemon) fn stem(&self) -> &str {
        let name = &self.name;
        let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
        stem.unwrap_or(name)
    }

    /// How the store calls it: `NAME.yaml` if it is the system's, `USER/NAME.yaml` if it is a user's.
    pub(in crate::daemon) fn stored(&self) -> String {
        match &self.place {
            Place::System => self.name.clone(),
            Place::User(user) => format!("{user}/{}", self.name),
        }
    }

    /// The file that the store calls so.
    pub(in crate::daemon) fn from_stored(text: &str) -> Self {
        match text.split_once('/') {
            Some((user, name)) => Self {
                place: Place::User(user.to_owned()),
                name: name.to_owned(),
            },
            None => Self {
                place: Place::System,
                name: text.to_owned(),
            },
        }
    }
}

/// Whether a file of that name in such a directory is a DAG.
pub(in crate::daemon) fn is_dag_file(name: &str) -> bool {
    !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_a_name_for_each_file() {
        for text in ["a.yaml", "alice/a.yml"] {
            let id = FileId::from_stored(text);
            assert_eq!(id.stored(), text);
            assert_eq!(id.stem(), "a");
        }
        let mut all = [FileId::from_stored("bob/a.yaml"), FileId::from_stored("z.yaml")];
        all.sort();
        assert_eq!(
            all.map(|id| id.stored()),
            ["z.yaml", "bob/a.yaml"],
            "the system's first"
        );
    }

    #[test]
    fn hidden_files_and_others_are_no_dags() {
        for (name, is) in [
            ("a.yaml", true),
            ("a.yml", true),
            (".a.yaml", false),
            ("a.json", false),
            ("yaml", false),
        ] {
            assert_eq!(is_dag_file(name), is, "{name}");
        }
    }

    #[test]
    fn a_user_is_known_by_name_or_by_number() {
        assert_eq!(user_of("root").unwrap().uid, 0);
        assert_eq!(user_of("0").unwrap().uid, 0);
        for odd in ["+0", "00", " 0", "-0", "0x0", "4294967295", "4294967296"] {
            let found = user_of(odd).map_err(NoOwner::from);
            assert!(matches!(found, Err(NoOwner::Nobody(_))), "{odd}: {found:?}");
        }
        let unknown = user_of("no-such-user").map_err(NoOwner::from);
        assert!(matches!(unknown, Err(NoOwner::Nobody(_))), "{unknown:?}");
        let lookup = CredsError::Lookup {
            what: "user ann".to_owned(),
            source: std::io::Error::other("no answer"),
        };
        assert!(matches!(NoOwner::from(lookup), NoOwner::Unknown(_)));
        assert_eq!(Place::of_user(0), Place::User("root".to_owned()));
        assert_eq!(
            Place::of_user(4_000_000_000),
            Place::User("4000000000".to_owned())
        );
    }
}
