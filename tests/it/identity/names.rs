//! T14: numbers and names that other programs took for root.

use proctor::sys::creds::User;
use serde_json::json;

use super::{LOOKS, Land, user};
use crate::access::control_as;
use crate::helper::{lines, until};

/// Further users: odd numbers, and names that look like numbers.
const ODD: &str = "big:*:2147483648:2147483648::/var/big:/bin/sh
last:*:4294967294:4294967294::/var/last:/bin/sh
minus:*:4294967295:4294967295::/var/minus:/bin/sh
wraps:*:4294967296:4294967296::/var/wraps:/bin/sh
negative:*:-1:-1::/var/negative:/bin/sh
0day:*:70200:70200::/var/0day:/bin/sh
70001:*:70201:70201::/var/70001:/bin/sh
";

fn numbered(name: &str, uid: u32) -> User {
    User {
        name: name.to_owned(),
        uid,
        gid: uid,
        groups: vec![uid],
        home: format!("/var/{name}").into(),
        shell: "/bin/sh".into(),
    }
}

#[test]
fn t14_large_numbers_are_these_users_and_never_root() {
    let Some(land) = Land::found("", ODD, |_| {}) else {
        return;
    };
    for (name, uid) in [
        ("big", 2_147_483_648),
        ("last", 4_294_967_294),
        ("0day", 70_200),
        ("70001", 70_201),
    ] {
        let user = numbered(name, uid);
        let look = land.look(&user, &format!("run-{uid}"), "");
        look.is(&user);
        assert_eq!(look.environ()["USER"], name);
        // The one whose number the name is, is somebody else.
        let install =
            json!({"install": {"source": format!("working_dir: /\n{LOOKS}"), "stem": format!("d-{uid}")}});
        let answer = control_as(&user, &land.daemon).ask(&install);
        assert_eq!(answer["dag"][0]["owner"], uid, "{answer:#}");
        let run = control_as(&user, &land.daemon)
            .ask(&json!({"submit": {"name": format!("d-{uid}"), "run_id": "r"}}));
        assert!(run["accepted"].is_object(), "{run:#}");
        let result = land.daemon.wait_success(&format!("d-{uid}:r"));
        super::Look::of(&result).is(&user);
    }
    land.daemon.expect_clean();
}

#[test]
fn t14_directories_of_users_are_nobodys_unless_they_are_a_users_name_or_number() {
    let Some(land) = Land::found("", ODD, |_| {}) else {
        return;
    };
    let seen = land.daemon.path("src/seen");
    std::fs::set_permissions(
        land.daemon.path("src"),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let users = land.daemon.path("var/lib/proctor/dags");
    let dags = [
        "0x0",
        "+0",
        "00",
        "-0",
        " root",
        "root ",
        "ROOT",
        "r\u{f6}\u{f6}t",
        "0\u{a0}",
        "\u{ff10}",
        "-1",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "minus",
        "wraps",
        "negative",
        "root:x",
        "+70000",
        "070000",
    ];
    for (number, name) in dags.iter().enumerate() {
        let dir = users.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "schedule: '* * * * * *'\nworking_dir: /\nsteps: [{{name: a, command: \"echo {number} $(id -u) >> {}\"}}]\n",
            seen.display()
        );
        std::fs::write(dir.join(format!("dag-{number}.yaml")), text).unwrap();
    }
    // One that counts, so that it can be told that all were looked at.
    let text = format!(
        "schedule: '* * * * * *'\nworking_dir: /\nsteps: [{{name: a, command: \"echo own $(id -u) >> {}\"}}]\n",
        seen.display()
    );
    std::fs::create_dir_all(users.join("70000")).unwrap();
    std::fs::write(users.join("70000/own.yaml"), text).unwrap();
    land.daemon.ctl(&["reload"]).expect_code(0);
    until("the one that counts runs", || (lines(&seen) >= 4).then_some(()));
    let found = std::fs::read_to_string(&seen).unwrap();
    for line in found.lines() {
        assert_eq!(line, "own 70000", "{found}");
    }
    let listed = land.daemon.json(&["dags"]);
    for dag in listed["dags"].as_array().unwrap() {
        let own = dag["dag"] == "own";
        assert_eq!(dag["in_force"], own, "{dag:#}");
    }
    std::fs::remove_file(users.join("70000/own.yaml")).unwrap();
    until("nothing is scheduled", || {
        let listed = land.daemon.json(&["dags"]);
        let own = listed["dags"]
            .as_array()
            .unwrap()
            .iter()
            .any(|dag| dag["dag"] == "own");
        (!own).then_some(())
    });
    land.daemon.expect_clean();
}

#[test]
fn t14_names_in_the_configuration_are_names_and_no_numbers() {
    let Some(land) = Land::found("", ODD, |_| {}) else {
        return;
    };
    let seen = land.daemon.path("src/seen");
    for (number, name) in ["0", "0x0", "-1", "+0", "4294967296", "minus", "wraps", " root"]
        .into_iter()
        .enumerate()
    {
        let config = format!(
            "{}[hooks.failed]\ncommand = [\"/bin/sh\", \"-c\", \"id > {}\"]\nuser = \"{name}\"\n",
            crate::users::OPEN,
            seen.display()
        );
        land.daemon.configure(&config);
        if land.daemon.ctl(&["reload"]).code() != 0 {
            // Not even the form of a name.
            continue;
        }
        let failed = land.daemon.doctor_value("hooks failed");
        let run = land.submit(
            &user("one"),
            &format!("f{number}"),
            "steps: [{name: a, command: \"false\"}]",
        );
        land.daemon.wait_end(&run);
        until("the hook fails for want of its user", || {
            (land.daemon.doctor_value("hooks failed") > failed).then_some(())
        });
        assert!(!seen.exists(), "{name:?} is somebody");
    }
    // As a name does it.
    land.daemon.configure(&format!(
        "{}[hooks.failed]\ncommand = [\"/bin/sh\", \"-c\", \"id > {}\"]\nuser = \"root\"\n",
        crate::users::OPEN,
        seen.display()
    ));
    land.daemon.ctl(&["reload"]).expect_code(0);
    let run = land.submit(&user("one"), "last", "steps: [{name: a, command: \"false\"}]");
    land.daemon.wait_end(&run);
    until("the hook runs", || seen.exists().then_some(()));
    land.daemon.expect_clean();
}
