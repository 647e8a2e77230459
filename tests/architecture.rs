//! The rules of the house, checked on the text of the sources: which module may use which, which crate belongs to
//! which module, how long a file may be, where `unsafe`, signals by number and clocks are allowed.
//!
//! The tables below are the rules. To break one on purpose, change the table, with a reason, where reviewers see it.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "what fails here fails the test, and places come from searches"
)]

#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/tables.rs"]
mod tables;

use std::collections::BTreeSet;

use source::{Source, tree};
use tables::{
    BY_PATH, CLOCK, CONFINED, FEWER_PLEASE, LONGEST, MODULES, READS_PROC, UNSAFE_COUNT, UNSAFE_HOME,
};

/// Fails with every violation, one per line, each with its place.
fn none_of(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}\n", violations.join("\n  "));
}

fn allowed(module: &str, used: &str) -> bool {
    module == used
        || MODULES
            .iter()
            .find(|(name, _)| *name == module)
            .is_some_and(|(_, may_use)| may_use.contains(&used))
}

#[test]
fn the_table_names_every_module_and_only_lower_ones() {
    let mut lower = BTreeSet::new();
    for (module, may_use) in MODULES {
        for used in *may_use {
            assert!(
                lower.contains(used),
                "{module} may not be allowed {used}: it comes later in the table"
            );
        }
        assert!(lower.insert(*module), "{module} is in the table twice");
    }
    let found: BTreeSet<String> = tree("src").iter().filter_map(Source::module).collect();
    let known: BTreeSet<String> = lower.iter().map(ToString::to_string).collect();
    assert_eq!(found, known, "the modules of src/ and those of the table");
}

#[test]
fn modules_use_only_lower_floors() {
    let mut violations = Vec::new();
    for file in tree("src") {
        let Some(module) = file.module() else { continue };
        for (line, used) in file.modules_used() {
            if MODULES.iter().any(|(name, _)| *name == used) && !allowed(&module, &used) {
                violations.push(format!("{}:{line}: {module} uses {used}", file.path));
            }
        }
    }
    none_of("a module may use only what DESIGN §7 allows it", &violations);
}

#[test]
fn binaries_are_a_few_lines() {
    let mut violations = Vec::new();
    for file in tree("src/bin") {
        if file.lines.len() > 8 {
            violations.push(format!("{}:9: a binary does nothing itself", file.path));
        }
    }
    none_of("what a binary does is in the library", &violations);
}

#[test]
fn crates_stay_in_their_modules() {
    let mut violations = Vec::new();
    let mut used = BTreeSet::new();
    for file in tree("src") {
        for (line, text) in file.code() {
            for (name, homes) in CONFINED {
                if !source::names_crate(&text, name) {
                    continue;
                }
                let listed = FEWER_PLEASE
                    .iter()
                    .filter(|(known, path, _)| known == name && file.path == *path);
                let mut at_home = homes.iter().any(|home| file.is_below(home));
                for (name, path, _) in listed {
                    used.insert((*name, *path));
                    at_home = true;
                }
                if !at_home {
                    violations.push(format!("{}:{line}: {name} belongs to {homes:?}", file.path));
                }
            }
        }
    }
    for (name, path, _) in FEWER_PLEASE {
        if !used.contains(&(*name, *path)) {
            violations.push(format!(
                "tests/architecture/tables.rs: {path} uses {name} no more: strike it out"
            ));
        }
    }
    none_of("each of these crates has one home", &violations);
}

#[test]
fn every_crate_has_a_rule() {
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let names: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect();
    let known: BTreeSet<String> = CONFINED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        names, known,
        "the dependencies of Cargo.toml and the table of their homes"
    );
}

#[test]
fn files_fit_on_a_few_screens() {
    let mut violations = Vec::new();
    for file in tree("src") {
        let length = file.lines.len();
        if length > LONGEST {
            violations.push(format!("{}:{length}: {length} lines", file.path));
        }
    }
    none_of(
        "a file is about one thing and at most 400 lines long",
        &violations,
    );
}

#[test]
fn every_file_says_what_it_is() {
    let mut violations = Vec::new();
    for file in tree("src").into_iter().chain(tree("tests")) {
        if !file.lines.first().is_some_and(|line| line.starts_with("//! ")) {
            violations.push(format!("{}:1: no `//!`", file.path));
        }
    }
    none_of("a file begins with what it is for", &violations);
}

#[test]
fn unsafe_code_has_one_home_and_a_known_size() {
    let mut violations = Vec::new();
    let mut count = 0;
    for file in tree("src").into_iter().chain(tree("tests")) {
        for (line, text) in file.code() {
            let found = source::words(&text).filter(|word| *word == "unsafe").count();
            if found > 0 && !file.is_below(UNSAFE_HOME) {
                violations.push(format!("{}:{line}: unsafe", file.path));
            } else {
                count += found;
            }
        }
    }
    none_of("unsafe code is in src/sys/raw", &violations);
    assert_eq!(
        count, UNSAFE_COUNT,
        "{UNSAFE_HOME} has another number of `unsafe` than before; if that is meant, change UNSAFE_COUNT in \
         tests/architecture/tables.rs"
    );
}

#[test]
fn nothing_is_signalled_by_its_number() {
    let mut violations = Vec::new();
    for file in tree("src") {
        for (line, text) in file.code() {
            let by_number = ["kill", "killpg", "pidfd_send_signal", "tgkill"]
                .iter()
                .any(|name| source::calls_function(&text, name));
            if by_number && !file.is_below(UNSAFE_HOME) {
                violations.push(format!("{}:{line}: {}", file.path, text.trim()));
            }
        }
    }
    none_of(
        "a signal goes through a verified pidfd or to the attempt's own cgroup",
        &violations,
    );
}

/// T1d: a path can lead elsewhere by the time it is used (CVE-2018-15687, CVE-2017-9525).
#[test]
fn t01d_owner_mode_and_trees_are_changed_through_descriptors() {
    let by_path = [
        "set_permissions",
        "chown",
        "lchown",
        "fchownat",
        "chmod",
        "fchmodat",
        "utimes",
        "utimensat",
        "lutimes",
        "remove_dir_all",
    ];
    let (mut violations, mut used) = (Vec::new(), BTreeSet::new());
    for file in tree("src").iter().filter(|file| !file.is_test()) {
        for (line, text) in file
            .code()
            .into_iter()
            .take_while(|(line, _)| *line < file.tests_begin())
        {
            for name in by_path.iter().filter(|name| source::calls_function(&text, name)) {
                match BY_PATH
                    .iter()
                    .find(|(known, path, _)| known == name && *path == file.path)
                {
                    Some(known) => drop(used.insert(*known)),
                    None => violations.push(format!("{}:{line}: {}", file.path, text.trim())),
                }
            }
        }
    }
    for (name, path, _) in BY_PATH.iter().filter(|known| !used.contains(*known)) {
        violations.push(format!(
            "tests/architecture/tables.rs: {path} uses {name} no more: strike it out"
        ));
    }
    none_of("owner and mode are changed through open descriptors", &violations);
}

/// T10: what is read of a process by its number can be another one's (CVE-2025-4598).
#[test]
fn t10_processes_are_read_by_number_only_while_they_are_held() {
    let mut violations = Vec::new();
    let mut found = 0;
    for file in tree("src").iter().filter(|file| !file.is_test()) {
        for (line, text) in (1..file.tests_begin()).zip(&file.lines) {
            if text.contains("\"/proc/{") {
                found += 1;
                if !READS_PROC.contains(&file.path.as_str()) {
                    violations.push(format!("{}:{line}: {}", file.path, text.trim()));
                }
            }
        }
    }
    assert!(
        found >= READS_PROC.len(),
        "the table names files that read nothing there"
    );
    none_of("/proc/<pid> is read through sys::pidfd", &violations);
}

#[test]
fn clocks_are_read_in_one_place() {
    let mut violations = Vec::new();
    for file in tree("src") {
        for (line, text) in file.code() {
            let reads = ["Utc::now", "Local::now", "SystemTime::now", "Instant::now"]
                .iter()
                .any(|call| text.contains(call));
            if reads && file.path != CLOCK && !file.is_test() {
                violations.push(format!("{}:{line}: {}", file.path, text.trim()));
            }
        }
    }
    none_of("time comes from sys::clock", &violations);
}

/// There is one supervisor for each live attempt: what it does not need would be paid for a thousand times, in memory and
/// at its start.
#[test]
fn the_supervisor_carries_no_tables_of_time_zones() {
    let has_zones = |path: &str| {
        let bytes = std::fs::read(path).unwrap();
        let zone = b"America/Argentina/ComodRivadavia";
        bytes.windows(zone.len()).any(|part| part == zone)
    };
    assert!(has_zones(env!("CARGO_BIN_EXE_proctord")));
    assert!(!has_zones(env!("CARGO_BIN_EXE_proctor-shim")));
}
