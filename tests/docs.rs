//! The manual pages and examples against the programs: each documents all that there is, and nothing else.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[cfg(test)]
#[path = "docs/completions.rs"]
mod completions;
#[path = "docs/examples.rs"]
mod examples;

use proctor::wire::access::Verb;

use examples::{Example, of_the_dag_page, page};

const CTL: &str = env!("CARGO_BIN_EXE_proctorctl");

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(both).unwrap()
}

/// `proctorctl` without what in the environment leads elsewhere.
fn proctorctl(args: &[&str]) -> Output {
    Command::new(CTL)
        .args(args)
        .env_remove("PROCTOR_ROOT")
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn shipped() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(repository().join("etc/examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_example_is_valid_without_a_warning() {
    let files = shipped();
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let output = proctorctl(&["validate", "--json", file.to_str().unwrap()]);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{}: {answer}", file.display());
        assert_eq!(answer["warnings"], serde_json::json!([]), "{}", file.display());
        let stem = file.file_stem().unwrap().to_str().unwrap();
        assert_eq!(answer["dag"]["name"], stem);
    }
}

#[test]
fn every_example_of_the_dag_page_is_a_dag() {
    let dir = tempfile::tempdir().unwrap();
    let found = of_the_dag_page();
    assert!(found.len() > 15);
    for example in found {
        let text = match example {
            Example::Schema(schema) => {
                fs::write(dir.path().join("deploy.schema.json"), schema).unwrap();
                continue;
            }
            Example::Dag(text) => text,
        };
        let file = dir.path().join("example.yaml");
        fs::write(&file, &text).unwrap();
        let output = proctorctl(&["validate", "--json", file.to_str().unwrap()]);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["valid"], true, "{text}\n{answer:#}");
        // The page says which keys have no effect.
        let without_effect =
            |warning: &&serde_json::Value| warning.to_string().contains("nothing acts on it yet");
        let warnings = answer["warnings"].as_array().unwrap();
        let others: Vec<_> = warnings
            .iter()
            .filter(|warning| !without_effect(warning))
            .collect();
        assert!(others.is_empty(), "{text}\n{others:#?}");
    }
}

/// The texts between quotes that are a key, from the line that begins a list to the one that ends it.
fn keys_in(source: &str, begin: &str, end: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in source.lines().map(str::trim) {
        inside |= line.contains(begin);
        if inside {
            let is_key = |word: &&str| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            };
            found.extend(
                line.split('"')
                    .skip(1)
                    .step_by(2)
                    .filter(is_key)
                    .map(str::to_owned),
            );
        }
        if line.starts_with(end) || line.ends_with(end) {
            inside = false;
        }
    }
    found
}

/// The words of a page, without roff.
fn words(page: &str) -> BTreeSet<&str> {
    page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .collect()
}

#[test]
fn the_dag_page_has_every_key_of_the_loader() {
    let page = page("proctor-dag.5");
    let words = words(&page);
    let load = |name: &str| fs::read_to_string(repository().join("src/dag/load").join(name)).unwrap();
    let keys = load("keys.rs");
    let mut all = keys_in(&keys, "known: &[", "],");
    assert!(all.len() > 40, "{all:?}");
    all.extend(keys_in(&keys, "refused: &[", "renamed:"));
    all.extend(keys_in(&load("param_defs.rs"), "known: &[", "],"));
    let small = keys_in(&keys, "= Keys::plain(", ");");
    assert!(small.len() > 10, "{small:?}");
    all.extend(small);
    let missing: Vec<&String> = all.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn every_key_of_the_loader_is_in_an_example_of_the_dag_page() {
    let mut shown = BTreeSet::new();
    for example in of_the_dag_page() {
        let (Example::Dag(text) | Example::Schema(text)) = example;
        // What stands before a colon, also in a map on one line.
        let before = text
            .split(':')
            .filter_map(|part| part.split([' ', '{', '-', '\n']).next_back());
        shown.extend(before.map(str::to_owned));
    }
    let load = |name: &str| fs::read_to_string(repository().join("src/dag/load").join(name)).unwrap();
    let mut all = keys_in(&load("keys.rs"), "known: &[", "],");
    all.extend(keys_in(&load("keys.rs"), "= Keys::plain(", ");"));
    all.extend(keys_in(&load("param_defs.rs"), "known: &[", "],"));
    let missing: Vec<&String> = all.iter().filter(|key| !shown.contains(key.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// The long options that a help text lists.
fn options(help: &str) -> BTreeSet<String> {
    let option = |line: &str| {
        let line = line.trim_start();
        let line = line
            .split_once(", ")
            .filter(|(short, _)| short.len() == 2)
            .map_or(line, |(_, long)| long);
        let name = line.strip_prefix("--")?;
        let end = name
            .find(|c: char| !(c.is_ascii_lowercase() || c == '-'))
            .unwrap_or(name.len());
        name.get(..end).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    // Only where an option can begin, so that a sentence that mentions one does not count.
    help.lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("          "))
        .filter_map(option)
        .collect()
}

/// The long options that a part of a page has as `.Fl -name`.
fn flags(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with('.')) {
        let mut words = line.split_whitespace().map(|word| word.trim_start_matches('.'));
        while let Some(word) = words.next() {
            if word == "Fl" {
                let name = words.next().unwrap_or_default();
                found.extend(
                    name.strip_prefix('-')
                        .filter(|name| !name.is_empty())
                        .map(str::to_owned),
                );
            }
        }
    }
    found
}

fn help(program: &str, args: &[&str]) -> String {
    text(
        &Command::new(program)
            .args(args)
            .arg("--help")
            .env("NO_COLOR", "1")
            .output()
            .unwrap(),
    )
}

/// The part of a page from one heading to the next.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let from = page.find(heading).expect(heading);
    let rest = page.get(from + heading.len()..).unwrap();
    rest.split("\n.Sh ").next().unwrap()
}

/// The verbs and their parts of the page.
fn verbs(page: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut before = "";
    for line in section(page, ".Sh VERBS").lines() {
        let heading = line
            .strip_prefix(".It Cm ")
            .or_else(|| line.strip_prefix(".Cm ").filter(|_| before == ".It Xo"));
        if let Some(heading) = heading {
            let name = heading.split_whitespace().next().unwrap();
            found.push((name.to_owned(), String::new()));
        }
        if let Some((_, part)) = found.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
        before = line;
    }
    found
}

/// The commands that a help lists.
fn commands(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[test]
fn the_page_of_proctorctl_has_every_verb_and_option_and_no_other() {
    let page = page("proctorctl.1");
    let general = flags(section(&page, ".Ss Options of every verb"));
    let main = help(CTL, &[]);
    assert_eq!(options(&main), general);
    let listed = commands(&main);
    let verbs = verbs(&page);
    assert_eq!(
        verbs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        listed
    );
    for (verb, part) in verbs {
        let told: BTreeSet<String> = flags(&part).difference(&general).cloned().collect();
        let own = help(CTL, &[&verb]);
        let mut there = options(&own);
        for command in commands(&own) {
            there.extend(options(&help(CTL, &[&verb, command])));
        }
        let there: BTreeSet<String> = there.difference(&general).cloned().collect();
        assert_eq!(told, there, "{verb}");
    }
}

#[test]
fn the_page_of_the_protocol_has_every_request() {
    let page = page("proctor-protocol.7");
    // Two requests share the verb that another one is granted by, and one verb is a field's value.
    let words = Verb::all().map(|verb| verb.as_str().replace('-', "_"));
    let requests = words.into_iter().filter(|word| word != "repair");
    for request in requests.chain(["next".to_owned(), "queue".to_owned()]) {
        let known = page
            .lines()
            .filter_map(|line| line.strip_prefix(".It Cm "))
            .any(|names| names.split([' ', ',']).any(|name| name == request));
        assert!(known, "{request}");
    }
}

#[test]
fn the_page_of_proctorctl_has_every_exit_status() {
    let page = page("proctorctl.1");
    let told: Vec<&str> = section(&page, ".Sh EXIT STATUS")
        .lines()
        .filter_map(|line| line.strip_prefix(".It "))
        .collect();
    let main = help(CTL, &[]);
    let there: Vec<&str> = main
        .lines()
        .skip_while(|line| *line != "Exit status:")
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(told, there);
}

#[test]
fn the_page_of_proctord_has_every_option_and_no_other() {
    let page = page("proctord.8");
    let there = options(&help(env!("CARGO_BIN_EXE_proctord"), &[]));
    assert_eq!(flags(section(&page, ".Sh OPTIONS")), there);
    assert_eq!(flags(section(&page, ".Sh SYNOPSIS")), there);
}

#[test]
fn the_page_of_the_shim_has_every_option_and_no_other() {
    let page = page("proctor-shim.8");
    let there = options(&help(env!("CARGO_BIN_EXE_proctor-shim"), &[]));
    assert!(there.len() > 2, "{there:?}");
    assert_eq!(flags(section(&page, ".Sh OPTIONS")), there);
    assert_eq!(flags(section(&page, ".Sh SYNOPSIS")), there);
}

/// The options of one letter that a help text lists.
fn letters(help: &str) -> BTreeSet<String> {
    help.lines()
        .filter_map(|line| line.trim_start().strip_prefix('-'))
        .filter_map(|rest| rest.split_once(", --"))
        .map(|(letter, _)| letter.to_owned())
        .collect()
}

#[test]
fn every_option_of_one_letter_is_in_the_page_of_its_program() {
    let pages = [
        (CTL, "proctorctl.1"),
        (env!("CARGO_BIN_EXE_proctord"), "proctord.8"),
        (env!("CARGO_BIN_EXE_proctor-shim"), "proctor-shim.8"),
    ];
    for (program, name) in pages {
        let page = page(name);
        let main = help(program, &[]);
        let mut there = letters(&main);
        for verb in commands(&main) {
            there.extend(letters(&help(program, &[verb])));
        }
        for letter in there {
            let told = page
                .lines()
                .any(|line| line.starts_with('.') && line.contains(&format!("Fl {letter}")));
            assert!(told, "-{letter} is not in {name}");
        }
    }
}

#[test]
fn the_page_of_the_configuration_has_every_key_in_its_table() {
    let page = page("proctord.toml.5");
    for key in proctor::config::keys::KEYS {
        let part = page
            .split("\n.Ss ")
            .find(|part| part.starts_with(&format!("[{}]", key.section)))
            .expect(key.section);
        let item = format!("\n.It Ic {}", key.name);
        assert!(part.contains(&item), "[{}] {}", key.section, key.name);
    }
}

#[test]
fn what_a_page_opens_it_closes_and_refers_to_pages_that_exist() {
    for entry in fs::read_dir(repository().join("packaging/man")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let page = page(&name);
        let count = |request: &str| page.lines().filter(|line| line.starts_with(request)).count();
        for (open, close) in [(".Bl", ".El"), (".Bd", ".Ed")] {
            assert_eq!(count(open), count(close), "{open} of {name}");
        }
        for reference in page.lines().filter_map(|line| line.strip_prefix(".Xr proctor")) {
            let mut words = reference.split_whitespace();
            let file = format!("proctor{}.{}", words.next().unwrap(), words.next().unwrap());
            assert!(
                repository().join("packaging/man").join(&file).exists(),
                "{name}: {file}"
            );
        }
        // Where groff is installed it judges, too.
        if let Ok(output) = Command::new("groff")
            .args(["-ww", "-mandoc", "-Tutf8", "-z"])
            .arg(repository().join("packaging/man").join(&name))
            .output()
        {
            assert_eq!(text(&output), "", "{name}");
        }
    }
}

#[test]
fn every_page_can_be_read_without_a_word_from_man_or_mandoc() {
    let dir = repository().join("packaging/man");
    let mut judged = BTreeSet::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let mut man = Command::new("man");
        man.args(["--warnings", "-l"]).env("MANWIDTH", "80");
        let mut mandoc = Command::new("mandoc");
        mandoc.args(["-T", "lint", "-W", "error"]);
        for command in [&mut man, &mut mandoc] {
            let program = command.get_program().to_owned();
            let Ok(output) = command.arg(&path).env("LC_ALL", "C.UTF-8").output() else {
                eprintln!(
                    "SKIP {} is not here to judge {}",
                    program.display(),
                    path.display()
                );
                continue;
            };
            judged.insert(program.clone());
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(
                output.status.success() && said.is_empty(),
                "{}: {said}",
                path.display()
            );
            if program == "man" {
                assert!(output.stdout.len() > 500, "{}", path.display());
            }
        }
    }
    eprintln!("judged by {judged:?}");
}
