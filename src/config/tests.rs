//! Tests of the configuration: defaults, errors, paths.

mod access;
mod effects;
mod everything;
mod hooks;
mod limits;

use std::path::{Path, PathBuf};

use super::keys::{KEYS, cure_for_key, nearest};
use super::types::{LogTarget, OnShutdown};
use super::{Config, ConfigError, Problem};
use crate::model::GroupName;
use everything::EVERYTHING;

const FILE: &str = "/etc/proctor/proctord.toml";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text.as_bytes(), Path::new(FILE), Path::new("/"))
}

fn problems(text: &str) -> Vec<Problem> {
    match parse(text).unwrap_err() {
        ConfigError::Invalid { problems, .. } => problems,
        other => panic!("{other}"),
    }
}

/// The one problem of a file, as `line:column: message; cure`.
fn problem(text: &str) -> String {
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].to_string()
}

#[test]
fn every_key_is_read() {
    let config = parse(EVERYTHING).unwrap();
    assert_eq!(config.paths.state, PathBuf::from("/a/state"));
    assert_eq!(config.proc.heartbeat_interval_sec, 2.5);
    assert_eq!(config.queue.named.get(&GroupName::new("a.b").unwrap()), Some(&0));
    assert_eq!(config.job.inherit_environment, Some(true));
    assert_eq!(config.job.umask, 0o077);
    assert_eq!(config.control.socket_mode, 0o660);
    assert_eq!(config.shutdown.attempts, OnShutdown::Stop);
    assert_eq!(config.log.target, LogTarget::Json);
    let (default, read) = (Config::defaults(Path::new("/")).entries(), config.entries());
    for (key, value) in &default {
        assert_ne!(read.get(key), Some(value), "{key} has its default");
    }
}

#[test]
fn the_entries_are_a_file_that_means_the_same() {
    let config = parse(EVERYTHING).unwrap();
    let mut text = String::new();
    for (key, value) in config.entries() {
        let key = key.replace("queues.a.b.", "queues.\"a.b\".");
        text += &format!("{key} = {value}\n");
    }
    assert_eq!(parse(&text).unwrap(), config, "{text}");
}

#[test]
fn the_table_of_keys_has_every_entry() {
    let config = parse(EVERYTHING).unwrap();
    for entry in config.entries().keys() {
        let known = KEYS.iter().any(|key| {
            let path = format!("{}.{}", key.section, key.name);
            path == *entry
                || (entry.starts_with("queues.") && path == "queues.NAME.max_active_runs")
                || (entry.starts_with("job.environment.") && path == "job.environment")
                || (entry.starts_with("job.limits.rlimits.") && path == "job.limits.rlimits")
        });
        assert!(known, "{entry}");
    }
}

#[test]
fn no_file_and_an_empty_one_mean_the_defaults() {
    assert_eq!(parse("").unwrap(), Config::defaults(Path::new("/")));
    let root = tempfile::tempdir().unwrap();
    let config = Config::load(None, root.path()).unwrap();
    assert_eq!(config, Config::defaults(root.path()));
    assert!(config.paths.private && !config.job.no_new_privs);
    let absent = root.path().join("absent.toml");
    let error = Config::load(Some(&absent), root.path()).unwrap_err();
    assert!(error.to_string().contains("absent.toml"), "{error}");
}

#[test]
fn a_file_is_found_below_the_root_or_by_name() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("etc/proctor/proctord.toml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "queue.max_active_runs = 4").unwrap();
    assert_eq!(Config::load(None, root.path()).unwrap().queue.max_active_runs, 4);
    let named = root.path().join("other.toml");
    std::fs::write(&named, "queue.max_active_runs = 5").unwrap();
    let config = Config::load(Some(&named), root.path()).unwrap();
    assert_eq!((config.queue.max_active_runs, config.paths.config), (5, named));
}

#[test]
fn what_is_no_readable_file_is_an_error_that_does_not_wait() {
    let root = tempfile::tempdir().unwrap();
    let error = Config::load(Some(root.path()), root.path()).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
    let large = root.path().join("large.toml");
    std::fs::write(&large, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    let error = Config::load(Some(&large), root.path()).unwrap_err();
    assert!(error.to_string().contains("larger than 1048576"), "{error}");
}

#[test]
fn unknown_names_suggest_what_was_meant() {
    for (text, wanted) in [
        (
            "[control]\nmax_client = 3",
            "2:1: unknown key `max_client` in [control]; did you mean `max_clients`?",
        ),
        (
            "[proc]\nstale_after = 3",
            "2:1: unknown key `stale_after` in [proc]; did you mean `stale_after_sec`?",
        ),
        (
            "[proc]\nstale-after-sec = 3",
            "2:1: unknown key `stale-after-sec` in [proc]; did you mean `stale_after_sec`?",
        ),
        (
            "[queue]\numask = '1'",
            "2:1: unknown key `umask` in [queue]; `umask` belongs in [job]",
        ),
        (
            "[shutdown]\nxyzzy = 1",
            "2:1: unknown key `xyzzy` in [shutdown]; [shutdown] has these keys: attempts, wait_sec",
        ),
        (
            "[contorl]",
            "1:2: unknown table or key `contorl`; did you mean [control]?",
        ),
        (
            "max_clients = 1",
            "1:1: unknown table or key `max_clients`; `max_clients` belongs below the line [control]",
        ),
        (
            "[queues.a]\nmax_active_run = 1\nmax_active_runs = 1",
            "2:1: unknown key `max_active_run` in [queues.a]; did you mean `max_active_runs`?",
        ),
        (
            "[shutdown]\nattempts = 'keeep'",
            "2:12: `shutdown.attempts` is \"keeep\"; did you mean \"keep\"?",
        ),
        (
            "[log]\nlevel = 'ifno'",
            "2:9: `log.level` has the level \"ifno\"; did you mean \"info\"?",
        ),
    ] {
        assert_eq!(problem(text), wanted);
    }
}

#[test]
fn wrong_types_and_ranges_say_what_to_write() {
    for (text, wanted) in [
        (
            "control.max_clients = 0",
            "1:23: `control.max_clients` is 0; write a whole number from 1 to 65536",
        ),
        (
            "control.max_clients = -1",
            "1:23: `control.max_clients` is -1; write a whole number from 1 to 65536",
        ),
        (
            "control.max_clients = 99999999999999999999",
            "1:23: `control.max_clients` is 99999999999999999999; write a whole number from 1 to 65536",
        ),
        (
            "control.max_clients = '5'",
            "1:23: `control.max_clients` is a string; write a whole number from 1 to 65536, without quotes",
        ),
        (
            "control.max_clients = 1.5",
            "1:23: `control.max_clients` is a number with a fraction; write a whole number from 1 to 65536",
        ),
        (
            "control.client_timeout_sec = nan",
            "1:30: `control.client_timeout_sec` is nan; write seconds from 0.1 to 3600",
        ),
        (
            "control.client_timeout_sec = inf",
            "1:30: `control.client_timeout_sec` is inf; write seconds from 0.1 to 3600",
        ),
        (
            "job.umask = 22",
            "1:13: `job.umask` is the decimal number 22; write octal digits in a string, such as \"022\"",
        ),
        (
            "job.umask = '089'",
            "1:13: `job.umask` is \"089\"; write octal digits in a string, such as \"022\", up to \"777\"",
        ),
        (
            "control.socket_mode = '1777'",
            "1:23: `control.socket_mode` is \"1777\"; write octal digits in a string, such as \"022\", up to \"777\"",
        ),
        (
            "job.no_new_privs = 'true'",
            "1:20: `job.no_new_privs` is a string; write true or false, without quotes",
        ),
        (
            "paths.state = 'var'",
            "1:15: `paths.state` is \"var\"; write an absolute path",
        ),
        (
            "paths = 3",
            "1:9: `paths` is a whole number; write a table: [paths]",
        ),
        (
            "queues.a = 3",
            "1:12: `queues.a` is a whole number; write a table: [queues.a]",
        ),
        (
            "[queues.a]",
            "1:9: `queues.a.max_active_runs` is not set; say how many runs of this queue may be live, 0 for no limit",
        ),
        (
            "job.environment.'a=b' = 'x'",
            "1:17: `job.environment.a=b` is no name for a variable; use letters, digits and '_', and no digit first",
        ),
        (
            "job.environment.A = 1",
            "1:21: `job.environment.A` is a whole number; write a string in double quotes",
        ),
        (
            "job.default_shell = \"a\\u0000\"",
            "1:21: `job.default_shell` holds a control character; leave it out",
        ),
        (
            "metrics.textfile = '/m/'",
            "1:20: `metrics.textfile` names the directory \"/m/\"; write the path of a file in it, such as /var/lib/node_exporter/proctor.prom",
        ),
        (
            "log.step_output = 'jounral'",
            "1:19: `log.step_output` is \"jounral\"; did you mean \"journal\"?",
        ),
        (
            "access.admin_group = 'a b'",
            "1:22: `access.admin_group` is \"a b\"; write a group's name, or \"\" for nobody",
        ),
    ] {
        assert_eq!(problem(text), wanted);
    }
    assert!(problem("[queues.'a/b']\nmax_active_runs = 1").contains("the queue name"));
    assert!(problem("log.level = 'a b=info'").contains("module"));
}

#[test]
fn contradictions_are_errors_at_the_key_that_was_set() {
    let found = problem("[proc]\nheartbeat_interval_sec = 90");
    assert!(
        found.starts_with("2:26: `proc.stale_after_sec` (90) is not more"),
        "{found}"
    );
    let found = problem("paths.state = '/x'\npaths.runtime = '/x'");
    assert!(
        found.starts_with("2:17: `paths.state` and `paths.runtime` are the same"),
        "{found}"
    );
}

#[test]
fn everything_wrong_is_found_at_once_in_the_order_of_the_file() {
    let found =
        problems("[job]\numask = 022\nfoo = 1\n[proc]\nstale_after_sec = 1\n[control]\nmax_clients = \n");
    let lines: Vec<usize> = found.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 7], "{found:#?}");
    assert!(found[0].cure.contains("\"022\""), "{found:?}");
    let twice = problem("[log]\nlevel = 'info'\nlevel = 'warn'\n");
    assert!(twice.starts_with("3:1: duplicate key"), "{twice}");
    // A broken header must not make strangers of the keys below it.
    assert_eq!(
        problems("[log\nlevel = 'info'\n")
            .iter()
            .filter(|p| p.line == 2)
            .count(),
        0
    );
}

#[test]
fn the_report_points_at_the_place() {
    let report = parse("[log]\n\tlevel = 'lo\u{1b}ud' # ä\n").unwrap_err().report();
    assert!(!report.contains('\u{1b}'), "{report:?}");
    let report = parse("# ä\n[control]\nmax_clients = 'ää'\n")
        .unwrap_err()
        .report();
    assert_eq!(
        report,
        "/etc/proctor/proctord.toml:3:15: `control.max_clients` is a string\n  |\n3 | max_clients = 'ää'\n  |               \
         ^^^^\n  = write a whole number from 1 to 65536\n"
    );
    // A line of any length stays a line of the screen.
    let long = format!("job.path = '{}'\njob.umask = 1", "x".repeat(5000));
    assert!(
        parse(&long)
            .unwrap_err()
            .report()
            .lines()
            .all(|line| line.len() < 250)
    );
    let wide = format!("job . {} umask = 1", " ".repeat(3000));
    assert!(
        parse(&wide)
            .unwrap_err()
            .report()
            .lines()
            .all(|line| line.len() < 250)
    );
    let not_text = Config::parse(b"# a\n\xff", Path::new(FILE), Path::new("/")).unwrap_err();
    assert!(
        not_text
            .to_string()
            .starts_with("/etc/proctor/proctord.toml:2:1: not UTF-8")
    );
}

#[test]
fn guesses_are_near_and_few() {
    let words = ["keep", "stop"];
    assert_eq!(nearest("KEEP", words.into_iter()), Some("keep"));
    assert_eq!(nearest("kepe", words.into_iter()), Some("keep"));
    assert_eq!(nearest("start", words.into_iter()), None);
    assert_eq!(nearest(&"keep".repeat(1000), words.into_iter()), None);
    assert!(cure_for_key("queue", "nonsense").contains("has these keys"));
}
