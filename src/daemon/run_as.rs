//! `run_as`: whose the runs of a DAG are that names a user, and who may start them.

use crate::dag::types::Execution;
use crate::dag::{LoadOptions, Source, load};
use crate::model::change::InstalledDag;
use crate::sys::creds::{self, CredsError, User};

/// Why a DAG cannot have the user that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    /// What is wrong.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: String,
    /// Whether it may be otherwise in a while: that user is not known, or nobody could tell.
    pub(super) may_pass: bool,
}

/// The user id that runs belong to: that of the user who is named, else `usual`. Only where the text is the system's or
/// root's may it be somebody else than that.
///
/// # Errors
/// There is no such user, or it cannot be this one.
pub(super) fn owner(execution: &Execution, usual: u32, may_choose: bool) -> Result<u32, Unfit> {
    let Some(name) = &execution.run_as else {
        return Ok(usual);
    };
    let own = creds::effective_uid();
    let user = named(name).map_err(|error| Unfit {
        message: format!("`run_as`: {error}"),
        hint: String::from("make that user, or name another one"),
        may_pass: !matches!(error, CredsError::BadName(_)),
    })?;
    if user.uid == usual || (may_choose && own == 0) {
        return Ok(user.uid);
    }
    let whose = User::by_uid(usual).map_or_else(|_| usual.to_string(), |user| user.name);
    if own != 0 {
        return Err(Unfit {
            message: format!(
                "`run_as: {name}`: this daemon runs everything as {whose}, since it is not root"
            ),
            hint: String::from("leave it out, or have the system's daemon run it"),
            may_pass: false,
        });
    }
    Err(Unfit {
        message: format!("`run_as: {name}`: the DAG of a user runs as that user, and this one is {whose}'s"),
        hint: String::from("leave it out; an administrator can make it a DAG of the system"),
        may_pass: false,
    })
}

/// The user of that name. A daemon without root goes by the name that it has itself, also where no database knows one.
fn named(name: &str) -> Result<User, CredsError> {
    if creds::effective_uid() != 0
        && let Ok(own) = User::current()
        && own.name == name
    {
        return Ok(own);
    }
    User::by_name(name)
}

/// The user as whom an attempt runs. The name is looked up again: it may be somebody else's by now, or nobody's, and the
/// number of the run, too.
///
/// # Errors
/// In words, for the run's end.
pub(super) fn user_of(owner: u32, execution: &Execution) -> Result<User, String> {
    let own = creds::effective_uid();
    if own == owner {
        return User::current().map_err(|error| error.to_string());
    }
    if own != 0 {
        return Err(format!("user id {own} cannot run jobs of user id {owner}"));
    }
    let Some(name) = &execution.run_as else {
        return User::by_uid(owner).map_err(|error| error.to_string());
    };
    let user = User::by_name(name).map_err(|error| format!("run_as: {error}"))?;
    if user.uid == owner {
        Ok(user)
    } else {
        Err(format!(
            "run_as: {name} has the user id {} now, and the run belongs to {owner}",
            user.uid
        ))
    }
}

/// Whose runs those of a stored DAG are; none if that cannot be told, as of a user who cannot be found now. May wait for the user database.
pub(super) fn of_stored(row: &InstalledDag) -> Option<u32> {
    let usual = row.owner.unwrap_or_else(creds::effective_uid);
    // Who names no user need not be read.
    if row.owner.is_some() || !row.source.contains("run_as") {
        return Some(usual);
    }
    let source = Source {
        text: row.source.as_bytes(),
        file: &row.file,
        stem: row.dag.as_str(),
    };
    let options = LoadOptions {
        skip_schemas: true,
        ..LoadOptions::default()
    };
    let loaded = load(&source, &options).ok()?;
    owner(&loaded.dag.execution, usual, true).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(name: &str) -> Execution {
        Execution {
            run_as: Some(name.to_owned()),
            ..Execution::default()
        }
    }

    #[test]
    fn who_names_nobody_has_the_usual_owner() {
        for may_choose in [false, true] {
            assert_eq!(owner(&Execution::default(), 1234, may_choose), Ok(1234));
        }
    }

    #[test]
    fn only_the_system_names_somebody_else() {
        let Ok(nobody) = User::by_name("nobody") else {
            return;
        };
        let wanted = naming("nobody");
        assert_eq!(
            owner(&wanted, nobody.uid, false),
            Ok(nobody.uid),
            "one's own name"
        );
        let refused = owner(&wanted, nobody.uid + 1, false).unwrap_err();
        assert!(refused.message.contains("run_as: nobody"), "{refused:?}");
        if creds::effective_uid() == 0 {
            assert_eq!(owner(&wanted, 0, true), Ok(nobody.uid));
        } else if creds::effective_uid() != nobody.uid {
            let refused = owner(&wanted, creds::effective_uid(), true).unwrap_err();
            assert!(refused.message.contains("since it is not root"), "{refused:?}");
        }
    }

    #[test]
    fn numbers_and_unknown_names_are_nobody() {
        for name in [
            "0",
            "0x0",
            "+0",
            " root",
            "no-such-user-here",
            "-1",
            "a:b",
            "4294967296",
        ] {
            assert!(owner(&naming(name), 0, true).is_err(), "{name:?}");
        }
    }

    #[test]
    fn whose_a_stored_dag_is_may_be_unknown() {
        let row = |text: &str, owner| InstalledDag {
            dag: crate::model::DagName::new("a").unwrap(),
            file: "a.yaml".to_owned(),
            owner,
            mode: 0o644,
            at: crate::model::Time(0),
            source: format!("{text}steps: [{{name: a, command: x}}]\n"),
            base: None,
            schemas: Vec::new(),
        };
        let own = creds::effective_uid();
        assert_eq!(of_stored(&row("", None)), Some(own));
        assert_eq!(of_stored(&row("", Some(own + 7))), Some(own + 7));
        assert_eq!(of_stored(&row("run_as: no-such-user-here\n", None)), None);
        if own == 0
            && let Ok(nobody) = User::by_name("nobody")
        {
            assert_eq!(of_stored(&row("run_as: nobody\n", None)), Some(nobody.uid));
        }
    }

    #[test]
    fn an_attempt_runs_as_who_has_the_name_and_the_number() {
        if creds::effective_uid() != 0 {
            return;
        }
        let Ok(nobody) = User::by_name("nobody") else {
            return;
        };
        assert_eq!(user_of(nobody.uid, &naming("nobody")), Ok(nobody.clone()));
        let refused = user_of(nobody.uid - 1, &naming("nobody")).unwrap_err();
        assert!(refused.contains("has the user id"), "{refused}");
        let refused = user_of(nobody.uid, &naming("no-such-user-here")).unwrap_err();
        assert!(refused.contains("no-such-user-here"), "{refused}");
    }
}
