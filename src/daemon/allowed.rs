//! Who may bring work at all: the lists of the configuration, as cron.allow and cron.deny have it.
//!
//! The user database is asked each time, so that a user or a membership that is new counts at once; on threads that
//! may wait, since a directory service may be slow. What cannot be told is refused.

use std::collections::BTreeSet;

use crate::config::types::Access;
use crate::sys::creds::{self, CredsError, User};

/// Why a user may start nothing, in words that follow "user NAME may not ...: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Barred {
    /// A list of those who may not has them.
    #[error("access.{list} names {name}")]
    Denied { list: &'static str, name: String },
    /// The lists of those who may do not have them.
    #[error("access.allow_users and access.allow_groups name others only")]
    NotAllowed,
    /// Nobody can tell now.
    #[error("it cannot be told whether [access] allows it: {0}")]
    Unknown(String),
}

/// What the databases say of users and groups.
struct Accounts<'a> {
    user: &'a dyn Fn(u32) -> Result<User, CredsError>,
    uid: &'a dyn Fn(&str) -> Result<u32, CredsError>,
    gid: &'a dyn Fn(&str) -> Result<u32, CredsError>,
}

/// Whether somebody needs no list's word: root, and the daemon's own user.
pub(super) fn is_exempt(uid: u32) -> bool {
    uid == 0 || uid == creds::effective_uid()
}

/// Whether a user may start anything. Asks the databases, and may wait for them, if a list names anybody.
pub(super) fn judge(access: &Access, uid: u32) -> Result<(), Barred> {
    if access.is_open() || is_exempt(uid) {
        return Ok(());
    }
    let accounts = Accounts {
        user: &User::by_uid,
        uid: &|name| User::by_name(name).map(|user| user.uid),
        gid: &creds::group_gid,
    };
    decide(access, uid, &accounts)
}

fn decide(access: &Access, uid: u32, accounts: &Accounts<'_>) -> Result<(), Barred> {
    let unknown = |error: CredsError| Barred::Unknown(error.to_string());
    let user = (accounts.user)(uid).map_err(unknown)?;
    let is_user = |name: &str| {
        // Two names may mean one user.
        Ok(name == user.name || known((accounts.uid)(name))? == Some(uid))
    };
    let is_member = |name: &str| {
        let gid = known((accounts.gid)(name))?;
        Ok(gid.is_some_and(|gid| user.groups.contains(&gid)))
    };
    let denied = |list, found: Option<&String>| match found {
        Some(name) => Err(Barred::Denied {
            list,
            name: name.clone(),
        }),
        None => Ok(()),
    };
    denied(
        "deny_users",
        first(&access.deny_users, &is_user).map_err(unknown)?,
    )?;
    denied(
        "deny_groups",
        first(&access.deny_groups, &is_member).map_err(unknown)?,
    )?;
    if access.allow_users.is_empty() && access.allow_groups.is_empty() {
        return Ok(());
    }
    let users = first(&access.allow_users, &is_user);
    if matches!(users, Ok(Some(_))) {
        return Ok(());
    }
    let groups = first(&access.allow_groups, &is_member);
    match (users, groups) {
        (_, Ok(Some(_))) => Ok(()),
        (Err(error), _) | (_, Err(error)) => Err(unknown(error)),
        (Ok(_), Ok(None)) => Err(Barred::NotAllowed),
    }
}

/// A name that nobody has is nobody's.
fn known(found: Result<u32, CredsError>) -> Result<Option<u32>, CredsError> {
    match found {
        Ok(id) => Ok(Some(id)),
        Err(CredsError::NoSuchName(_) | CredsError::NoSuchGroup(_) | CredsError::BadName(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first name of a list that fits. What cannot be told of one matters only if no other fits.
fn first<'l>(
    list: &'l BTreeSet<String>,
    fits: &dyn Fn(&str) -> Result<bool, CredsError>,
) -> Result<Option<&'l String>, CredsError> {
    let mut failed = None;
    for name in list {
        match fits(name) {
            Ok(true) => return Ok(Some(name)),
            Ok(false) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Ann (1) and her other name anna, Bob (2) of staff (10), Eve (3) of staff and guests (11).
    fn ask(text: &str, uid: u32) -> Result<(), Barred> {
        let names = |list: &str| -> BTreeSet<String> {
            let line = text.split(';').find_map(|part| part.trim().strip_prefix(list));
            line.into_iter()
                .flat_map(str::split_whitespace)
                .map(str::to_owned)
                .collect()
        };
        let access = Access {
            admin_group: String::new(),
            allow_users: names("allow "),
            deny_users: names("deny "),
            allow_groups: names("allow-groups "),
            deny_groups: names("deny-groups "),
        };
        let failed = |what: &str| CredsError::Lookup {
            what: what.to_owned(),
            source: io::Error::other("no answer"),
        };
        let accounts = Accounts {
            user: &|uid| {
                let (name, groups) = match uid {
                    1 => ("ann", vec![1]),
                    2 => ("bob", vec![2, 10]),
                    3 => ("eve", vec![3, 10, 11]),
                    4 => return Err(failed("uid 4")),
                    other => return Err(CredsError::NoSuchUid(other)),
                };
                Ok(User {
                    name: name.to_owned(),
                    uid,
                    gid: uid,
                    groups,
                    home: "/".into(),
                    shell: "/bin/sh".into(),
                })
            },
            uid: &|name| match name {
                "ann" | "anna" => Ok(1),
                "bob" => Ok(2),
                "eve" => Ok(3),
                "slow" => Err(failed(name)),
                _ => Err(CredsError::NoSuchName(name.to_owned())),
            },
            gid: &|name| match name {
                "staff" => Ok(10),
                "guests" => Ok(11),
                "slow" => Err(failed(name)),
                _ => Err(CredsError::NoSuchGroup(name.to_owned())),
            },
        };
        decide(&access, uid, &accounts)
    }

    #[test]
    fn who_is_denied_may_not_and_if_some_are_allowed_only_they_may() {
        // Lists, and for Ann, Bob and Eve whether they may.
        for (lists, may) in [
            ("", [true, true, true]),
            ("deny eve", [true, true, false]),
            ("deny anna", [false, true, true]),
            ("deny nobody-at-all", [true, true, true]),
            ("allow anna bob", [true, true, false]),
            ("allow nobody-at-all", [false, false, false]),
            ("allow-groups staff", [false, true, true]),
            ("allow ann; allow-groups guests", [true, false, true]),
            ("allow-groups staff; deny-groups guests", [false, true, false]),
            ("allow ann eve; deny eve", [true, false, false]),
            ("allow ann; deny-groups staff", [true, false, false]),
        ] {
            let found = [1, 2, 3].map(|uid| ask(lists, uid).is_ok());
            assert_eq!(found, may, "{lists}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_refused_unless_it_does_not_matter() {
        let unknown = |lists, uid| matches!(ask(lists, uid), Err(Barred::Unknown(_)));
        assert!(unknown("deny eve", 4) && unknown("allow ann", 5));
        assert!(unknown("deny slow", 1) && unknown("deny-groups slow", 1));
        assert!(unknown("allow slow", 1) && unknown("allow-groups slow", 1));
        assert_eq!(ask("allow slow ann", 1), Ok(()));
        assert_eq!(ask("allow slow; allow-groups staff", 2), Ok(()));
        let denied = ask("deny ann slow", 1).unwrap_err();
        assert_eq!(denied.to_string(), "access.deny_users names ann");
        let denied = ask("deny-groups guests slow", 3).unwrap_err();
        assert_eq!(denied.to_string(), "access.deny_groups names guests");
    }

    #[test]
    fn root_and_the_daemons_own_user_need_nobodys_word() {
        let access = Access {
            admin_group: String::new(),
            allow_users: BTreeSet::from(["nobody-at-all".to_owned()]),
            deny_users: BTreeSet::from(["root".to_owned()]),
            allow_groups: BTreeSet::new(),
            deny_groups: BTreeSet::new(),
        };
        assert_eq!(judge(&access, 0), Ok(()));
        assert_eq!(judge(&access, creds::effective_uid()), Ok(()));
        assert!(judge(&access, u32::MAX - 1).is_err());
    }
}
