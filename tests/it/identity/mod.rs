//! Exactly the identity that was asked for, and nothing of anybody else's: T13 to T19 of the table of tests, by name, and
//! `/proc/<step pid>` compared field by field with what `su - USER` and the DAG ask for.
//!
//! The users are made for the tests without touching the machine: the daemon lives in a mount namespace of its own in which
//! `/etc/passwd` and `/etc/group` are files of the test. That needs root, unshare(1) and mount(8), and no directory
//! service; a container would need a whole system booted, and its users would be as far from the test as these are near.

mod fails;
mod fields;
mod groups;
mod leaks;
mod names;
mod peeping;
mod terminal;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use proctor::sys::creds::User;
use serde_json::{Value, json};

use crate::access::control_as;
use crate::helper::{Daemon, Out, Running, is_root, program, read, skip, text_of};
use crate::users::{OPEN, open_up};

/// The first number of the users and groups that are made here.
const FIRST: u32 = 70_000;

/// The users, and in how many groups each is beside their own.
const USERS: [(&str, u32); 5] = [("none", 0), ("one", 1), ("many", 64), ("most", 200), ("wheel", 1)];

/// What is changed of the command that starts the daemon.
pub(crate) type Change = fn(&mut Command);

/// A daemon of root's among users of the test.
pub(crate) struct Land {
    pub(crate) daemon: Daemon,
    change: Change,
}

fn uid_of(name: &str) -> u32 {
    let at = USERS.iter().position(|(user, _)| *user == name).unwrap();
    FIRST + u32::try_from(at).unwrap()
}

/// All groups of a user, their own included, sorted.
pub(crate) fn groups_of(name: &str) -> Vec<u32> {
    let (_, count) = USERS.iter().find(|(user, _)| *user == name).unwrap();
    let mut groups: Vec<u32> = (0..*count).map(|n| FIRST + 1000 + n).collect();
    if name == "wheel" {
        // The group that is root's, too.
        groups = vec![0];
    }
    groups.push(uid_of(name));
    groups.sort_unstable();
    groups
}

/// A user of the land, as a process of theirs is.
pub(crate) fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        uid: uid_of(name),
        gid: uid_of(name),
        groups: groups_of(name),
        home: format!("/var/{name}").into(),
        shell: "/bin/sh".into(),
    }
}

fn passwd() -> String {
    let mut text = "root:*:0:0:root:/root:/bin/sh\n".to_owned();
    for (name, _) in USERS {
        let uid = uid_of(name);
        text += &format!("{name}:*:{uid}:{uid}::/var/{name}:/bin/sh\n");
    }
    text
}

fn group() -> String {
    let mut text = "root:x:0:wheel\n".to_owned();
    for (name, _) in USERS {
        text += &format!("{name}:x:{}:\n", uid_of(name));
    }
    for n in 0..200 {
        let members: Vec<&str> = USERS
            .iter()
            .filter(|(name, count)| n < *count && *name != "wheel")
            .map(|(name, _)| *name)
            .collect();
        text += &format!("g{n}:x:{}:{}\n", FIRST + 1000 + n, members.join(","));
    }
    text
}

/// Has a command run in a mount namespace with these databases.
fn among(root: &Path, command: &Command) -> Command {
    const ENTER: &str = "mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/group\" /etc/group && shift && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"]);
    inside
        .arg(root.join("src"))
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside.stdin(Stdio::null());
    inside
}

impl Land {
    /// A land with this configuration, further lines of passwd(5), and a change to the command that starts the daemon.
    /// None where there cannot be one.
    pub(crate) fn found(config: &str, more: &str, change: Change) -> Option<Self> {
        if !is_root() {
            skip("only root can make users of a namespace");
            return None;
        }
        let probe = Command::new("unshare")
            .args(["--mount", "mount", "--version"])
            .output();
        if !probe.is_ok_and(|out| out.status.success()) {
            skip("no mount namespace can be made here");
            return None;
        }
        let names = read(Path::new("/etc/nsswitch.conf"));
        let services = |line: &str| line.contains("sss") || line.contains("ldap");
        if names.lines().any(services) || Path::new("/run/nscd/socket").exists() {
            skip("users come from a directory service here, not from the files of a namespace");
            return None;
        }
        let daemon = Daemon::prepare(&format!("{OPEN}{config}"));
        std::fs::write(daemon.path("src/passwd"), format!("{}{more}", passwd())).unwrap();
        std::fs::write(daemon.path("src/group"), group()).unwrap();
        daemon.dag("who", "steps: [{name: a, command: \"true\"}]");
        open_up(&daemon, &User::by_uid(0).unwrap());
        let mut land = Self { daemon, change };
        land.restart();
        Some(land)
    }

    /// Starts the daemon (again).
    pub(crate) fn restart(&mut self) {
        let (root, change) = (self.daemon.root().to_owned(), self.change);
        self.daemon.restart_with(|command| {
            let mut inside = among(&root, command);
            inside.stdout(Stdio::null()).stderr(Stdio::piped());
            change(&mut inside);
            *command = inside;
        });
    }

    /// What a program says when it is run among the users.
    pub(crate) fn say(&self, words: &[&str]) -> Out {
        let mut command = program(words[0]);
        command.args(&words[1..]);
        Running::start(among(self.daemon.root(), &command))
            .finish()
            .expect_code(0)
    }

    /// Submits a DAG as a user and gives the run's name.
    pub(crate) fn submit(&self, user: &User, id: &str, source: &str) -> String {
        let answer = self.try_submit(user, id, source);
        assert!(answer["accepted"].is_object(), "{answer:#}");
        format!("look:{id}")
    }

    pub(crate) fn try_submit(&self, user: &User, id: &str, source: &str) -> Value {
        let source = format!("working_dir: /\n{source}");
        let submit = json!({"submit": {"source": source, "stem": "look", "run_id": id}});
        control_as(user, &self.daemon).ask(&submit)
    }

    /// Runs a DAG of one step that looks at itself.
    pub(crate) fn look(&self, user: &User, id: &str, head: &str) -> Look {
        let run = self.submit(user, id, &format!("{head}{LOOKS}"));
        let result = self.daemon.wait_success(&run);
        Look::of(&result)
    }
}

/// A step that shows what /proc says of it: of the shell itself, which starts others only to read. Not for its status:
/// while a process makes another one it has all its signals blocked.
pub(crate) const LOOKS: &str = r#"steps:
  - name: look
    command: >-
      echo "== status"; while IFS= read -r line; do echo "$line"; done < /proc/$$/status;
      for f in environ cgroup limits stat; do echo "== $f"; tr '\0' '\n' < /proc/$$/$f; done;
      echo "== fd"; ls -l /proc/$$/fd;
      echo "== cwd"; readlink /proc/$$/cwd
"#;

/// What a step saw of itself, by the name of the file in /proc.
#[derive(Debug)]
pub(crate) struct Look(BTreeMap<String, String>);

/// The descriptors of a list of `/proc/PID/fd`.
pub(crate) fn descriptors(list: &str) -> BTreeMap<String, String> {
    let links = list.lines().filter_map(|line| line.split_once(" -> "));
    let named = links.filter_map(|(left, target)| Some((left.rsplit(' ').next()?, target)));
    named
        .map(|(number, target)| (number.to_owned(), target.to_owned()))
        .collect()
}

impl Look {
    /// What the first step of a run saw.
    pub(crate) fn of(result: &Value) -> Self {
        Self::parse(&read(text_of(&result["steps"][0]["stdout"]).as_ref()))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut parts: BTreeMap<String, String> = BTreeMap::new();
        let mut part = String::new();
        for line in text.lines() {
            match line.strip_prefix("== ") {
                Some(name) => name.clone_into(&mut part),
                None => {
                    let part = parts.entry(part.clone()).or_default();
                    part.push_str(line);
                    part.push('\n');
                }
            }
        }
        Self(parts)
    }

    pub(crate) fn part(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A field of the status file.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut lines = self.part("status").lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no {name} in {self:?}")).trim()
    }

    /// The numbers of a field.
    pub(crate) fn numbers(&self, name: &str) -> Vec<u32> {
        self.field(name)
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect()
    }

    pub(crate) fn groups(&self) -> Vec<u32> {
        let mut groups = self.numbers("Groups");
        groups.sort_unstable();
        groups
    }

    /// The descriptors by number, as ls(1) lists them: the shell itself would open one for that.
    pub(crate) fn descriptors(&self) -> BTreeMap<String, String> {
        descriptors(self.part("fd"))
    }

    /// The environment, sorted.
    pub(crate) fn environ(&self) -> BTreeMap<String, String> {
        let pairs = self
            .part("environ")
            .lines()
            .filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Fails unless it is this user, wholly.
    pub(crate) fn is(&self, user: &User) {
        assert_eq!(self.numbers("Uid"), [user.uid; 4], "{self:?}");
        assert_eq!(self.numbers("Gid"), [user.gid; 4], "{self:?}");
        assert_eq!(self.groups(), user.groups, "{}", user.name);
    }
}
