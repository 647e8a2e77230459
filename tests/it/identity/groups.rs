//! T13: supplementary groups, neither one too few nor one too many, on every path.

use proctor::sys::creds::User;
use serde_json::json;

use super::{LOOKS, Land, Look, USERS, groups_of, user};
use crate::access::control_as;
use crate::helper::{read, text_of, until};

/// What `id -G` says of a user, sorted.
fn database(land: &Land, name: &str) -> Vec<u32> {
    let said = land.say(&["id", "-G", name]).stdout;
    let mut groups: Vec<u32> = said
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    groups.sort_unstable();
    groups
}

#[test]
fn t13_groups_of_users_with_0_1_64_and_200_of_them_and_of_gid_0_are_exact_on_every_path() {
    let Some(mut land) = Land::found("", "", |_| {}) else {
        return;
    };
    for (name, count) in USERS {
        let user = user(name);
        assert_eq!(database(&land, name), groups_of(name), "the test's own list");
        assert_eq!(user.groups.len(), usize::try_from(count).unwrap() + 1);
        // The peer's own groups are no source: a login that is older than the membership has others.
        let stale = User {
            groups: vec![user.gid],
            ..user.clone()
        };
        land.look(&stale, &format!("start-{name}"), "").is(&user);
        let extra = User {
            groups: vec![user.gid, 0, 71_199],
            ..user.clone()
        };
        land.look(&extra, &format!("extra-{name}"), "").is(&user);
        retried(&land, &user);
        called(&land, &user);
        scheduled(&land, &user);
    }
    adopted(&mut land);
    land.daemon.expect_clean();
}

/// A further attempt, by hand and by itself.
fn retried(land: &Land, user: &User) {
    let id = format!("again-{}", user.name);
    let fails = LOOKS.replace("readlink /proc/$$/cwd", "readlink /proc/$$/cwd; exit 1");
    let policy = "retry_policy: {limit: 1, interval_sec: 1}\n";
    let run = land.submit(user, &id, &format!("{policy}{fails}"));
    let result = land.daemon.wait_end(&run);
    assert_eq!(
        (&result["status"], &result["attempt"]),
        (&"failed".into(), &2.into())
    );
    Look::of(&result).is(user);
    land.daemon.ctl(&["retry", &run]).expect_code(1);
    let result = land.daemon.wait_end(&run);
    assert!(result["attempt"].as_u64() > Some(2), "{result:#}");
    Look::of(&result).is(user);
}

/// A run that another one calls.
fn called(land: &Land, user: &User) {
    let id = format!("calls-{}", user.name);
    let text = format!("steps: [{{name: c, call: child}}]\n---\nname: child\nworking_dir: /\n{LOOKS}");
    let run = land.submit(user, &id, &text);
    let result = land.daemon.wait_success(&run);
    Look::of(&result["steps"][0]["children"][0]).is(user);
}

/// A run that a schedule of the user's makes.
fn scheduled(land: &Land, user: &User) {
    let name = format!("due-{}", user.name);
    let source = format!("schedule: '* * * * * *'\noverlap_policy: skip\nworking_dir: /\n{LOOKS}");
    let mut control = control_as(user, &land.daemon);
    let answer = control.ask(&json!({"install": {"source": source, "stem": name}}));
    assert!(answer["dag"].is_array(), "{answer:#}");
    let run = until("the schedule starts a run", || {
        let listed = control.ask(&json!({"history": {"dag": name, "statuses": ["succeeded"]}}));
        Some(text_of(&listed["runs"][0]["run"]["id"]).to_owned()).filter(|id| !id.is_empty())
    });
    control.ask(&json!({"remove": name}));
    Look::of(&land.daemon.status(&format!("{name}:{run}"))).is(user);
}

/// A step that starts when the daemon that made the attempt is gone, and another one has taken it up.
fn adopted(land: &mut Land) {
    let user = user("most");
    let go = land.daemon.path("src/go");
    let wait = format!(
        "  - name: waits\n    command: while [ ! -e {} ]; do sleep 0.05; done\n",
        go.display()
    );
    let steps = LOOKS.replace("steps:\n", &format!("type: graph\nsteps:\n{wait}"));
    let steps = steps.replace("- name: look\n", "- name: look\n    depends: waits\n");
    let run = land.submit(&user, "adopted", &steps);
    land.daemon.shim(&run);
    land.daemon.kill9();
    land.restart();
    std::fs::write(&go, "").unwrap();
    let result = land.daemon.wait_success(&run);
    Look::parse(&read(text_of(&result["steps"][1]["stdout"]).as_ref())).is(&user);
}

#[test]
fn t13_hooks_have_the_groups_of_their_user() {
    for name in ["most", "none"] {
        let Some(mut land) = Land::found("", "", |_| {}) else {
            return;
        };
        let dir = land.daemon.path("src");
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let told = dir.join("told");
        let script = format!(
            "(echo == status; cat /proc/self/status; echo == end) > {}",
            told.display()
        );
        land.daemon.configure(&format!(
            "{}[hooks.failed]\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\nuser = \"{name}\"\n",
            crate::users::OPEN
        ));
        land.daemon.kill9();
        land.restart();
        let run = land.submit(&user("one"), "fails", "steps: [{name: a, command: \"false\"}]");
        land.daemon.wait_end(&run);
        let text = until("the hook", || {
            let text = read(&told);
            text.contains("== end").then_some(text)
        });
        Look::parse(&text).is(&user(name));
        land.daemon.expect_clean();
    }
}

#[test]
fn t13_a_user_who_is_in_no_database_runs_nothing_also_if_they_were_when_they_asked() {
    let Some(land) = Land::found("", "", |_| {}) else {
        return;
    };
    let nobody = User {
        uid: 70_900,
        gid: 70_900,
        groups: vec![70_900],
        ..user("none")
    };
    let answer = land.try_submit(&nobody, "nobody", LOOKS);
    assert_eq!(answer["error"]["kind"], "invalid", "{answer:#}");
    land.daemon.ctl(&["queue", "pause", "later"]).expect_code(0);
    let run = land.submit(&user("one"), "vanishes", &format!("queue: later\n{LOOKS}"));
    let databases = read(&land.daemon.path("src/passwd"));
    let without: String = databases
        .lines()
        .filter(|line| !line.starts_with("one:"))
        .map(|line| format!("{line}\n"))
        .collect();
    // In place: it is mounted.
    std::fs::write(land.daemon.path("src/passwd"), without).unwrap();
    land.daemon.ctl(&["queue", "resume", "later"]).expect_code(0);
    let result = land.daemon.wait_end(&run);
    assert_eq!(result["status"], "failed", "{result:#}");
    let told = format!("no user with uid {} in the user database", user("one").uid);
    assert!(text_of(&result["error"]).contains(&told), "{result:#}");
    // They come back, and may have it run again.
    std::fs::write(land.daemon.path("src/passwd"), databases).unwrap();
    land.daemon.ctl(&["retry", &run]).expect_code(0);
    Look::of(&land.daemon.wait_success(&run)).is(&user("one"));
    land.daemon.expect_clean();
}
