//! The completions that `proctorctl completions` prints, tried in the shells themselves.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::{CTL, commands, help, options, proctorctl, text};

/// A file with the completions for a shell.
fn script(shell: &str) -> tempfile::NamedTempFile {
    let output = proctorctl(&["completions", shell]);
    assert!(output.status.success(), "{output:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &output.stdout).unwrap();
    file
}

/// What bash offers behind these words.
fn offered(script: &tempfile::NamedTempFile, words: &[&str]) -> BTreeSet<String> {
    let ask = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
               _proctorctl \"$1\" \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; \
               printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["--norc", "-c", ask, "bash"])
        .arg(script.path())
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    text(&output).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_every_verb_and_option() {
    let script = script("bash");
    let main = help(CTL, &[]);
    let verbs = offered(&script, &["proctorctl", ""]);
    for verb in commands(&main) {
        assert!(verbs.contains(verb), "{verb}: {verbs:?}");
        let there = offered(&script, &["proctorctl", verb, "--"]);
        for option in options(&help(CTL, &[verb])) {
            assert!(
                there.contains(&format!("--{option}")),
                "{verb} --{option}: {there:?}"
            );
        }
    }
    let parts = offered(&script, &["proctorctl", "queue", ""]);
    for part in commands(&help(CTL, &["queue"])) {
        assert!(parts.contains(part), "queue {part}: {parts:?}");
    }
    let some = offered(&script, &["proctorctl", "deq"]);
    assert_eq!(some, BTreeSet::from(["dequeue".to_owned()]));
}

#[test]
fn the_shells_take_their_completions() {
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = script(shell);
        let main = help(CTL, &[]);
        let body = std::fs::read_to_string(script.path()).unwrap();
        for verb in commands(&main) {
            assert!(body.contains(verb), "{shell}: {verb}");
        }
        let run = Command::new(shell)
            .arg(check)
            .arg(script.path())
            .stdin(Stdio::null())
            .output();
        match run {
            Ok(output) => assert!(output.status.success(), "{shell}: {}", text(&output)),
            Err(error) => eprintln!("SKIP {shell} does not judge its completions: {error}"),
        }
    }
}

#[test]
fn completions_are_one_object_with_json_and_of_known_shells_only() {
    let answer = proctorctl(&["completions", "--json", "fish"]);
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["shell"], "fish");
    let plain = proctorctl(&["completions", "fish"]);
    assert_eq!(answer["script"], String::from_utf8(plain.stdout).unwrap());
    let output = proctorctl(&["completions", "tcsh"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("bash, zsh, fish"), "{output:?}");
}
