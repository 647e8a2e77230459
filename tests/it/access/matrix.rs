//! Every cell of role, verb and owner against a real daemon of root's (P15, T5). What is expected is written the other way
//! round than the permit table: by rule, for each verb.

use proctor::sys::creds::User;
use proctor::wire::access::Verb;
use serde_json::{Value, json};

use super::{People, control_as, open_world, people};
use crate::helper::{Control, Daemon, text_of, until};
use crate::users::put;

const TRUE: &str = "working_dir: /\nsteps: [{name: a, command: \"true\"}]";

/// What somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It is done, or cannot be done for a reason that is none of permission.
    Yes,
    /// It is denied, and logged.
    Denied,
    /// There is no such thing, as far as they are told.
    Hidden,
}

/// Whose the thing is that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Root,
    /// Of the system, and for the eyes of root alone.
    Closed,
    Ann,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Root,
    Admin,
    Ann,
    Bob,
}

/// The rules in words: DESIGN §8.
fn expected(verb: &str, asks: Asks, whose: Whose) -> Word {
    let rules = matches!(asks, Asks::Root | Asks::Admin);
    let owns = asks == Asks::Ann && whose == Whose::Ann;
    let word = |yes| if yes { Word::Yes } else { Word::Denied };
    match verb {
        // For everybody; what lists show is another test's matter.
        "ping" | "submit" | "ps" | "history" | "dags" | "install" | "queues" | "cleanup" => Word::Yes,
        // About a run: its owner's, and those who rule.
        "status" | "follow" | "why" | "attempts" | "stop" | "retry" | "rerun" | "approve" | "reject"
        | "dequeue" => word(rules || owns),
        // About the daemon, or others' places in the queue.
        "doctor" | "pause-queue" | "move" | "metrics" => word(rules),
        "repair" | "reload" => word(asks == Asks::Root),
        // About a file: other users' and closed ones are as if they were not there.
        "source" | "remove" | "enable" if rules || owns => Word::Yes,
        "source" if whose == Whose::Root => Word::Yes,
        "remove" | "enable" if whose == Whose::Root => Word::Denied,
        "source" | "remove" | "enable" => Word::Hidden,
        other => panic!("no rule for the verb {other}: say here who may"),
    }
}

fn name_of(whose: Whose) -> &'static str {
    match whose {
        Whose::Root => "of-root",
        Whose::Closed => "of-root-closed",
        Whose::Ann => "of-ann",
    }
}

/// A request with that verb about what is somebody's.
fn request(verb: &str, whose: Whose, number: usize) -> Value {
    let dag = name_of(whose);
    let run = json!({"dag": dag, "run": "r"});
    match verb {
        "ping" | "ps" | "history" | "dags" | "reload" | "queues" | "doctor" | "metrics" => json!({verb: {}}),
        "repair" => json!({"doctor": {"repair": true}}),
        "submit" => json!({"submit": {"source": TRUE, "stem": "more", "run_id": format!("n{number}")}}),
        "status" | "follow" | "why" | "attempts" | "retry" | "rerun" => json!({verb: run}),
        "dequeue" => json!({"dequeue": run}),
        "stop" | "approve" | "reject" => json!({verb: {"run": run}}),
        "install" => json!({"install": {"source": TRUE, "stem": format!("i{number}")}}),
        "remove" | "source" => json!({verb: dag}),
        "enable" => json!({"enable": {"dag": dag, "on": true}}),
        "pause-queue" => json!({"pause_queue": {"queue": "q", "on": false}}),
        "move" => json!({"move": {"run": run, "first": true}}),
        "cleanup" => json!({"cleanup": {"dag": dag, "keep_runs": 1000, "dry_run": true}}),
        other => panic!("no request for the verb {other}: make one here"),
    }
}

struct World {
    daemon: Daemon,
    people: People,
}

impl World {
    fn user(&self, asks: Asks) -> User {
        match asks {
            Asks::Root => User::by_uid(0).unwrap(),
            Asks::Admin => self.people.admin.clone(),
            Asks::Ann => self.people.ann.clone(),
            Asks::Bob => self.people.bob.clone(),
        }
    }

    fn control(&self, asks: Asks) -> Control {
        control_as(&self.user(asks), &self.daemon)
    }

    /// Sees to it that the DAG is there, as its owner's.
    fn install(&self, whose: Whose) {
        let (asks, name) = (
            if whose == Whose::Ann {
                Asks::Ann
            } else {
                Asks::Root
            },
            name_of(whose),
        );
        let there = |name: &str| self.control(Asks::Root).ask(&json!({"source": name}))["source"].is_object();
        if there(name) {
            return;
        }
        match whose {
            Whose::Ann => {
                let install = json!({"install": {"source": TRUE, "stem": name}});
                let answer = self.control(asks).ask(&install);
                assert!(answer["dag"].is_array(), "{answer:#}");
            }
            Whose::Root => put(&self.daemon, &format!("{name}.yaml"), TRUE, 0o644),
            Whose::Closed => put(&self.daemon, &format!("{name}.yaml"), TRUE, 0o600),
        }
        until("it is installed", || there(name).then_some(()));
    }

    /// An ended run of the owner's.
    fn run(&self, whose: Whose) {
        let asks = if whose == Whose::Ann {
            Asks::Ann
        } else {
            Asks::Root
        };
        let name = name_of(whose);
        let answer = self.control(asks).submit(name, "r", TRUE).unwrap();
        assert!(answer["accepted"].is_object(), "{answer:#}");
        self.daemon.wait_success(&format!("{name}:r"));
    }

    /// Asks, and waits until nothing runs that the request started.
    fn ask(&self, asks: Asks, request: &Value) -> (Word, Value) {
        let mut control = self.control(asks);
        let answer = control.ask(request);
        if let Some(run) = answer["accepted"]["run"].as_object() {
            self.daemon
                .wait_end(&format!("{}:{}", text_of(&run["dag"]), text_of(&run["id"])));
        }
        let word = match answer["error"]["kind"].as_str() {
            Some("denied") => Word::Denied,
            Some("not_found") => Word::Hidden,
            _ => Word::Yes,
        };
        (word, answer)
    }
}

#[test]
fn t05_every_cell_of_role_verb_and_owner_is_as_the_rules_say_and_every_denial_is_logged() {
    let Some(people) = people() else { return };
    let daemon = open_world(&people.config());
    let world = World { daemon, people };
    for whose in [Whose::Root, Whose::Closed, Whose::Ann] {
        world.install(whose);
        world.run(whose);
    }
    let exe = std::env::current_exe().unwrap();
    let (mut cells, mut number, mut denials) = (0, 0, 0);
    let logged = || world.daemon.log().matches("denied to uid ").count();
    for verb in Verb::all() {
        for asks in [Asks::Root, Asks::Admin, Asks::Ann, Asks::Bob] {
            for whose in [Whose::Root, Whose::Closed, Whose::Ann] {
                let word = verb.as_str();
                if ["remove", "source", "enable"].contains(&word) {
                    world.install(whose);
                }
                number += 1;
                let request = request(word, whose, number);
                let (found, answer) = world.ask(asks, &request);
                let wanted = expected(word, asks, whose);
                // Of an ended run it is told that it is not in the queue: that is no secret from who may.
                let of_run = verb.is_about_a_run() || verb == Verb::Move;
                let same = found == wanted || (wanted == Word::Yes && found == Word::Hidden && of_run);
                assert!(same, "{asks:?} {word} {whose:?}: {wanted:?} expected: {answer:#}");
                if wanted == Word::Denied {
                    denials += 1;
                    until("the denial is logged", || (logged() == denials).then_some(()));
                    let uid = world.user(asks).uid;
                    let line = format!(
                        "denied to uid {uid} (pid {}, {}): ",
                        std::process::id(),
                        exe.display()
                    );
                    let log = world.daemon.log();
                    let last = log.lines().rfind(|line| line.contains("denied to uid ")).unwrap();
                    assert!(last.contains(&line), "{line}: {last}");
                }
                cells += 1;
            }
        }
    }
    // And nothing else was.
    assert_eq!(logged(), denials, "{}", world.daemon.log());
    assert_eq!(world.daemon.doctor_value("requests denied"), denials as u64);
    assert_eq!(cells, Verb::all().len() * 12);
    world.daemon.expect_clean();
}

#[test]
fn without_a_run_id_somebody_means_a_run_that_is_theirs() {
    let Some(people) = people() else { return };
    let daemon = open_world(&people.config());
    let world = World { daemon, people };
    let submit = |asks: Asks, id: &str| {
        let answer = world.control(asks).submit("backup", id, TRUE).unwrap();
        assert!(answer["accepted"].is_object(), "{answer:#}");
        world.daemon.wait_success(&format!("backup:{id}"));
    };
    let newest = |asks: Asks| {
        let answer = world.control(asks).ask(&json!({"status": {"dag": "backup"}}));
        match answer["run"]["run"]["id"].as_str() {
            Some(id) => id.to_owned(),
            None => text_of(&answer["error"]["message"]).to_owned(),
        }
    };
    submit(Asks::Ann, "anns");
    submit(Asks::Root, "roots");
    assert_eq!(newest(Asks::Ann), "anns");
    for asks in [Asks::Root, Asks::Admin] {
        assert_eq!(newest(asks), "roots");
    }
    // Not even that there is one.
    assert_eq!(newest(Asks::Bob), "there is no run of backup");
    submit(Asks::Bob, "bobs");
    assert_eq!(
        (newest(Asks::Bob), newest(Asks::Ann)),
        ("bobs".to_owned(), "anns".to_owned())
    );
    world.daemon.expect_clean();
}
