//! `[access]`: the lists of those who may start something.

use super::{parse, problem};

#[test]
fn lists_hold_names_of_users_and_groups() {
    for (text, wanted) in [
        (
            "access.allow_users = ['']",
            "1:22: `access.allow_users` names \"\"; write names of users, as in [\"ann\", \"bob\"]",
        ),
        (
            "access.deny_users = 'eve'",
            "1:21: `access.deny_users` is a string; write names of users, as in [\"ann\", \"bob\"]",
        ),
        (
            "access.deny_groups = ['a:b']",
            "1:22: `access.deny_groups` names \"a:b\"; write names of groups, as in [\"staff\", \"operators\"]",
        ),
        (
            "access.allow_groups = [0]",
            "1:23: `access.allow_groups` has an element that is a whole number; write a string in double quotes",
        ),
    ] {
        assert_eq!(problem(text), wanted);
    }
    let access = parse("access.deny_users = ['eve', 'adam', 'eve']")
        .unwrap()
        .access;
    assert!(access.deny_users.iter().eq(["adam", "eve"]));
    assert!(!access.is_open());
    for key in ["allow_users", "allow_groups", "deny_groups"] {
        assert!(!parse(&format!("access.{key} = ['x']")).unwrap().access.is_open());
        assert!(parse(&format!("access.{key} = []")).unwrap().access.is_open());
    }
}

#[test]
fn names_that_mean_nobody_and_lists_that_contradict_are_named() {
    let warned = |text: &str| -> Vec<String> {
        let config = parse(text).unwrap();
        config.check().iter().map(ToString::to_string).collect()
    };
    assert_eq!(warned("access.deny_users = ['nobody']"), [""; 0]);
    for (key, what) in [("users", "user"), ("groups", "group")] {
        for list in ["allow", "deny"] {
            let found = warned(&format!("access.{list}_{key} = ['no-such-name']"));
            let expected = format!(
                "access.{list}_{key}: no {what} named \"no-such-name\" in the {what} database; make it, or correct the name"
            );
            assert_eq!(found, [expected]);
        }
    }
    let both = warned("access = {allow_users = ['daemon', 'nobody'], deny_users = ['nobody']}");
    assert_eq!(
        both,
        ["access.deny_users: also allowed, which has no effect: nobody"]
    );
    let root = warned("access.deny_users = ['root']");
    assert_eq!(root, ["access.deny_users: root has no effect: root always may"]);
}
