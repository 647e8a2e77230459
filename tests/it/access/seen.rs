//! What lists show: users see their own runs, DAGs and queues, those who rule all.

use std::path::PathBuf;

use proctor::sys::creds::User;
use serde_json::{Value, json};

use super::{as_user, control_as, open_world, people};
use crate::helper::files_below;

const SLEEPS: &str = "working_dir: /\nsteps: [{name: a, command: sleep 1000}]";
const TRUE: &str = "working_dir: /\nsteps: [{name: a, command: echo said}]";
const WAITS: &str = "working_dir: /\nsteps: [{name: a, command: \"true\", approval: {}}]";

#[test]
fn every_list_shows_a_user_what_is_theirs_and_those_who_rule_everything() {
    let Some(people) = people() else { return };
    let daemon = open_world(&people.config());
    let root = User::by_uid(0).unwrap();
    let owners = [(&people.ann, "anns"), (&people.bob, "bobs"), (&root, "roots")];
    for (user, word) in owners {
        let mut control = control_as(user, &daemon);
        let mut run = |kind: &str, source: &str| {
            let name = format!("{word}-{kind}");
            let queue = format!("{word}-q-{kind}");
            let submit = json!({"submit": {"source": source, "stem": name, "run_id": "r", "queue": queue}});
            assert!(control.ask(&submit)["accepted"].is_object());
        };
        run("live", SLEEPS);
        run("waits", WAITS);
        run("ended", TRUE);
        daemon.shim(&format!("{word}-live:r"));
        daemon.wait_end(&format!("{word}-waits:r"));
        daemon.wait_success(&format!("{word}-ended:r"));
        // This one waits behind the live one.
        let queue = format!("{word}-q-live");
        let submit = json!({"submit": {"source": TRUE, "stem": format!("{word}-queued"), "run_id": "r", "queue": queue}});
        assert!(control.ask(&submit)["accepted"].is_object());
        let scheduled = format!("schedule: 1 3 1 1 *\n{TRUE}");
        let install =
            json!({"install": {"source": scheduled, "stem": format!("{word}-dag"), "private": true}});
        assert!(control.ask(&install)["dag"].is_array());
    }
    let lists: [(Value, &[&str]); 6] = [
        (json!({"ps": {}}), &["live", "waits", "queued"]),
        (json!({"history": {}}), &["live", "waits", "ended", "queued"]),
        (json!({"dags": {}}), &["dag"]),
        (json!({"next": {}}), &["dag"]),
        (json!({"queues": {}}), &["q-live"]),
        (json!({"cleanup": {"keep_runs": 0, "dry_run": true}}), &[]),
    ];
    for (user, sees) in [
        (&people.ann, &["anns"][..]),
        (&people.bob, &["bobs"]),
        (&people.admin, &["anns", "bobs", "roots"]),
        (&root, &["anns", "bobs", "roots"]),
    ] {
        for (request, kinds) in &lists {
            let answer = control_as(user, &daemon).ask(request).to_string();
            for (_, word) in owners {
                for kind in *kinds {
                    let shown = answer.contains(&format!("{word}-{kind}"));
                    let right = sees.contains(&word);
                    assert_eq!(shown, right, "{} {request} {word}-{kind}: {answer}", user.name);
                }
                let mentioned = answer.contains(&format!("{word}-"));
                assert!(
                    !mentioned || sees.contains(&word),
                    "{} {request}: {answer}",
                    user.name
                );
            }
        }
        // One queue, by its name.
        for (_, word) in owners {
            let answer = control_as(user, &daemon).ask(&json!({"queue": format!("{word}-q-live")}));
            let shown = answer["runs"].as_array().is_some_and(|runs| !runs.is_empty());
            assert_eq!(shown, sees.contains(&word), "{} {word}: {answer:#}", user.name);
        }
        let cleanup = control_as(user, &daemon).ask(&json!({"cleanup": {"keep_runs": 0, "dry_run": true}}));
        assert_eq!(cleanup["cleaned"]["runs"], sees.len(), "{cleanup:#}");
    }
    // Nor do files show what the daemon does not: what others' runs have said, journals, the store.
    let state = daemon.path("var/lib/proctor");
    let files: Vec<PathBuf> = files_below(&state)
        .into_iter()
        .filter(|file| !file.starts_with(state.join("dags")))
        .collect();
    let logs = files
        .iter()
        .filter(|file| file.to_string_lossy().contains("/logs/"));
    assert!(logs.count() > 0, "{files:#?}");
    let open = files.clone();
    let opened: Vec<PathBuf> = as_user(&people.bob, move || {
        open.into_iter()
            .filter(|file| std::fs::File::open(file).is_ok())
            .collect()
    });
    for file in opened {
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&file).unwrap());
        assert_eq!(owner, people.bob.uid, "{}", file.display());
    }
    for (_, word) in owners {
        for run in [format!("{word}-live:r"), format!("{word}-waits:r")] {
            daemon.ctl(&["stop", &run]).expect_code(0);
        }
        daemon.wait_end(&format!("{word}-queued:r"));
    }
    daemon.expect_clean();
}
