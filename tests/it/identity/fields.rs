//! `/proc/<step pid>/{status,environ,fd,cgroup,limits}`, field by field: as for a program that `su - USER` starts, except for
//! what the DAG and the daemon say.

use super::{Change, LOOKS, Land, Look, USERS, user};

/// The same look by a shell that another program starts as the user.
fn by(land: &Land, words: &[&str]) -> Look {
    let command = LOOKS.split_once("command: >-\n").unwrap().1.replace('\n', " ");
    let mut all = words.to_vec();
    all.push(&command);
    Look::parse(&land.say(&all).stdout)
}

/// The fields of a status file that say what a process may, and is.
const SAME: [&str; 18] = [
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapAmb",
    "CapBnd",
    "Seccomp",
    "Seccomp_filters",
    "SigPnd",
    "ShdPnd",
    "SigBlk",
    "SigCgt",
    "TracerPid",
    "THP_enabled",
    "CoreDumping",
    "Cpus_allowed",
];

#[test]
fn what_proc_says_of_a_step_is_what_su_and_the_dag_ask_for_for_0_1_64_and_200_groups() {
    let config = "[job]\numask = \"027\"\n";
    // Of the daemon's language nothing is to be seen.
    let laden: Change = |command| {
        command.env("LANG", "de_DE.UTF-8");
    };
    let Some(land) = Land::found(config, "", laden) else {
        return;
    };
    for (name, _) in USERS {
        let user = user(name);
        let step = land.look(&user, &format!("fields-{name}"), "");
        let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
        let setpriv = by(
            &land,
            &[
                "setpriv",
                "--reuid",
                &uid,
                "--regid",
                &gid,
                "--init-groups",
                "sh",
                "-c",
            ],
        );
        let su = by(&land, &["su", "-", name, "-c"]);
        step.is(&user);
        for reference in [&setpriv, &su] {
            for field in SAME {
                let (found, wanted) = (step.field(field), reference.field(field));
                assert_eq!(found, wanted, "{name}: {field}");
            }
        }
        for zero in [
            "CapInh", "CapPrm", "CapEff", "CapAmb", "SigBlk", "SigIgn", "SigPnd",
        ] {
            assert!(step.field(zero).bytes().all(|digit| digit == b'0'), "{zero}");
        }
        assert_eq!(step.field("Umask"), "0027");
        // A daemon below --root leaves that to the DAG; see proctord.toml(5).
        assert_eq!(step.field("NoNewPrivs"), "0");
        descriptors(&step);
        limits(&step, &setpriv);
        environment(&step, &su);
        cgroup(&step);
        session(&step, &setpriv);
        assert_eq!(step.part("cwd"), "/\n");
    }
    land.daemon.expect_clean();
}

fn descriptors(step: &Look) {
    let found = step.descriptors();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["0", "1", "2"], "{step:?}");
    assert_eq!(found["0"], "/dev/null");
    for output in ["1", "2"] {
        assert!(found[output].contains("/logs/"), "{found:?}");
    }
}

/// Limits are those of the daemon's own start, as for what setpriv starts from there; but the soft one of open files is 1024
/// at most, for programs that use select(2).
fn limits(step: &Look, setpriv: &Look) {
    let rows = |look: &Look| -> Vec<Vec<String>> {
        let lines = look.part("limits").lines();
        lines
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    let (found, mut wanted) = (rows(step), rows(setpriv));
    assert!(found.len() > 15, "{step:?}");
    let files = wanted
        .iter_mut()
        .find(|row| row[1..].starts_with(&["open".to_owned()]))
        .unwrap();
    files[3] = match files[3].parse::<u64>() {
        Ok(soft) => soft.min(1024).to_string(),
        Err(_) => "1024".to_owned(),
    };
    assert_eq!(found, wanted);
}

/// Every variable that `su -` sets has its value, but for PATH, which is the configuration's, and what only logins have.
fn environment(step: &Look, su: &Look) {
    let (found, wanted) = (step.environ(), su.environ());
    for name in ["HOME", "SHELL", "USER", "LOGNAME"] {
        assert_eq!(found.get(name), wanted.get(name), "{name}");
    }
    assert_eq!(found["LANG"], "C.UTF-8", "not the daemon's");
    for name in [
        "SUDO_USER",
        "XDG_RUNTIME_DIR",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "MAIL",
    ] {
        assert!(!found.contains_key(name), "{name}");
    }
}

/// In the attempt's own group, or where there are none, in that of the daemon.
fn cgroup(step: &Look) {
    let path = step
        .part("cgroup")
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("");
    if path.contains("/proctor-") {
        assert!(path.ends_with("/steps"), "{path}");
    } else {
        eprintln!("SKIP the cgroup of a step: none can be made here");
    }
}

/// Leader of a session and a group of its own, without a terminal.
fn session(step: &Look, setpriv: &Look) {
    let words = |look: &Look| -> Vec<String> {
        let rest = look.part("stat").rsplit_once(") ").unwrap().1;
        rest.split_whitespace().map(str::to_owned).collect()
    };
    let (found, wanted) = (words(step), words(setpriv));
    let stat = step.part("stat");
    let pid = stat.split(' ').next().unwrap();
    assert_eq!([&found[2], &found[3], &found[4]], [pid, pid, "0"], "{stat}");
    // Nice value, and scheduling policy and priority.
    for at in [16, 37, 38] {
        assert_eq!(found[at], wanted[at], "{stat}");
    }
}
