//! `etc/proctor/proctord.toml` says what the program does: every key is there with its real default.

use proctor::config::Config;
use proctor::config::keys::{Effect, KEYS};
use std::path::{Path, PathBuf};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/proctor/proctord.toml")
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(
        text.as_bytes(),
        Path::new("/etc/proctor/proctord.toml"),
        Path::new("/"),
    )
    .map_err(|error| error.report())
}

/// The settings that are commented out: `#` and no space.
fn settings(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphabetic()) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn the_file_as_installed_changes_nothing_and_has_no_warnings() {
    let config = parse(&std::fs::read_to_string(file()).unwrap()).unwrap();
    assert_eq!(config, Config::defaults(Path::new("/")));
    assert_eq!(config.check(), []);
}

#[test]
fn its_values_are_the_defaults() {
    let text = settings(&std::fs::read_to_string(file()).unwrap());
    assert_eq!(parse(&text).unwrap(), Config::defaults(Path::new("/")));
}

#[test]
fn it_has_every_key_once_under_its_table_and_each_is_explained() {
    let text = std::fs::read_to_string(file()).unwrap();
    let mut found = Vec::new();
    let (mut section, mut before) = (String::new(), "");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = line.strip_prefix('#').and_then(|rest| rest.split_once(" = "))
            && key.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            assert!(before.starts_with("# "), "{key} is not explained");
            found.push((section.clone(), key.to_owned()));
        }
        before = line;
    }
    let mut keys: Vec<(String, String)> = KEYS
        .iter()
        .filter(|key| key.section != "queues.NAME")
        .map(|key| (key.section.to_owned(), key.name.to_owned()))
        .collect();
    found.sort();
    keys.sort();
    assert_eq!(found, keys);
}

#[test]
fn keys_that_need_a_restart_are_marked() {
    let text = std::fs::read_to_string(file()).unwrap();
    for key in KEYS.iter().filter(|key| key.section != "queues.NAME") {
        let at = text.find(&format!("\n[{}]", key.section)).unwrap();
        let table = text.get(at..).unwrap();
        let (above, _) = table.split_once(&format!("\n#{} = ", key.name)).unwrap();
        let comment = above.rsplit("\n\n").next().unwrap();
        let marked = comment.contains("(restart)");
        assert_eq!(
            marked,
            key.effect == Effect::Restart,
            "{}.{}",
            key.section,
            key.name
        );
    }
}

#[test]
fn its_example_of_a_queue_is_right() {
    let text = std::fs::read_to_string(file()).unwrap();
    let example: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("#     "))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = parse(&example).unwrap();
    assert_eq!(config.queue.named.values().copied().collect::<Vec<u32>>(), [2]);
}

#[test]
fn the_manual_has_every_key_with_its_default() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/man/proctord.toml.5");
    let manual = std::fs::read_to_string(page).unwrap();
    let defaults = Config::defaults(Path::new("/")).entries();
    let (mut section, mut found) = (String::new(), Vec::new());
    for line in manual.lines() {
        if let Some(name) = line.strip_prefix(".Ss [") {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some(item) = line.strip_prefix(".It Ic ") {
            let (name, rest) = item.split_once(" No = ").unwrap_or((item, ""));
            let (value, effect) = match rest.strip_suffix(" (restart)") {
                Some(value) => (value, Effect::Restart),
                None => (rest, Effect::Reload),
            };
            let path = format!("{section}.{name}");
            let value = value.replace("\\(dq", "\"");
            // These have no value among the defaults: they stand for names that a file gives.
            let free = ["job.environment", "job.limits.rlimits"].contains(&path.as_str());
            if !free && section != "queues.NAME" {
                let default = defaults
                    .get(&path)
                    .map(|text| text.replace("\"666\"", "\"0666\""));
                assert_eq!(Some(value), default, "{path}");
            }
            found.push((section.clone(), name.to_owned(), effect));
        }
    }
    let keys: Vec<(String, String, Effect)> = KEYS
        .iter()
        .map(|key| (key.section.to_owned(), key.name.to_owned(), key.effect))
        .collect();
    assert_eq!(found, keys);
}
