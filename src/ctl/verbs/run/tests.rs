//! Tests of how `run` sees its file and name.

use super::*;
use clap::Parser;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &[&str]) -> Args {
    Line::try_parse_from(["run"].iter().chain(line)).unwrap().args
}

#[test]
fn files_are_told_from_names() {
    for file in ["a.yaml", "a.yml", "./a", "/etc/x", "dir/a.yaml"] {
        assert_eq!(named(file.as_ref()).unwrap(), Named::File(file.as_ref()));
    }
    for name in ["a", "my.dag", "a.yamlx"] {
        assert_eq!(named(name.as_ref()).unwrap(), Named::Installed(name));
    }
    let failure = named(OsStr::from_bytes(b"caf\xe9")).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.hint.unwrap().contains(".yaml"));
}

#[test]
fn a_file_may_have_a_name_that_is_not_utf_8() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(OsStr::from_bytes(b"caf\xe9.yaml"));
    std::fs::write(&path, "steps: []").unwrap();
    let line = Line::try_parse_from([OsStr::new("run"), path.as_os_str()]).unwrap();
    let submit = submission(&line.args.wanted).unwrap();
    assert_eq!(
        (submit.source.as_str(), submit.stem.as_str()),
        ("steps: []", "caf\u{fffd}")
    );
    assert!(submit.file.ends_with("/caf\u{fffd}.yaml"));
}

#[test]
fn an_installed_dag_travels_as_its_name() {
    let submit = submission(&parse(&["backup", "--params", ""]).wanted).unwrap();
    assert_eq!(
        (submit.source.as_str(), submit.name.as_deref()),
        ("", Some("backup"))
    );
    assert_eq!(
        submit.params.as_deref(),
        Some(""),
        "an empty text is not the same as none"
    );
    assert!(submission(&parse(&["backup", "--name", "x"]).wanted).is_err());
}

#[test]
fn a_file_travels_as_its_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("d.v2.yaml"), "steps: []").unwrap();
    std::fs::write(path("base"), "env: []").unwrap();
    let args = parse(&[&path("d.v2.yaml"), "--name", "n", "--base-config", &path("base")]);
    let submit = submission(&args.wanted).unwrap();
    assert_eq!(
        (submit.source.as_str(), submit.stem.as_str()),
        ("steps: []", "d.v2")
    );
    assert_eq!(
        (submit.name.as_deref(), submit.base.as_deref()),
        (Some("n"), Some("env: []"))
    );
    assert_eq!(submit.base_dir, dir.path().to_str().unwrap());
}

#[test]
fn unreadable_files_are_refused_before_the_daemon_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| read_text(path).unwrap_err();
    assert_eq!(refused(&dir.path().join("none.yaml")).exit, Exit::Usage);
    assert_eq!(refused(dir.path()).exit, Exit::Usage);
    let binary = dir.path().join("b.yaml");
    std::fs::write(&binary, b"ab\xff").unwrap();
    assert!(refused(&binary).message.ends_with("is not UTF-8 (at byte 2)"));
    let huge = dir.path().join("h.yaml");
    File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    assert!(refused(&huge).message.contains("over the limit"));
}
