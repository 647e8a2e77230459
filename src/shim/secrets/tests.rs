//! Where values come from, what is said when they are not there, and what is told of them.

use super::*;
use crate::engine::attempt::NodeKey;
use crate::model::Exit;

fn scope(vars: &[(&str, &str)]) -> Scope {
    Scope::new().with(vars.iter().copied())
}

fn known(values: &[&str]) -> Secrets {
    let named = values
        .iter()
        .map(|value| (String::from("NAME"), (*value).to_owned()));
    Secrets::new(named.collect())
}

#[test]
fn a_variable_of_the_run_is_a_secret_even_if_it_is_empty() {
    let scope = scope(&[("TOKEN", "value"), ("EMPTY", "")]);
    assert_eq!(from_environment("TOKEN", &scope).unwrap(), "value");
    assert_eq!(from_environment("EMPTY", &scope).unwrap(), "");
    let missing = from_environment("OTHER", &scope).unwrap_err();
    assert!(missing.contains("OTHER is not set; set it"), "{missing}");
}

#[test]
fn a_file_is_looked_for_in_the_working_directory_first() {
    let temp = tempfile::tempdir().unwrap();
    let (work, base) = (temp.path().join("work"), temp.path().join("base"));
    std::fs::create_dir_all(&base).unwrap();
    std::fs::write(base.join("token"), "from base\r\n\n").unwrap();
    let dirs = [work.as_path(), base.as_path()];
    assert_eq!(from_file("token", &dirs, "alice").unwrap(), "from base");
    std::fs::create_dir_all(&work).unwrap();
    std::fs::write(work.join("token"), " from\nwork ").unwrap();
    assert_eq!(from_file("token", &dirs, "alice").unwrap(), " from\nwork ");
    let absolute = base.join("token").display().to_string();
    assert_eq!(from_file(&absolute, &dirs, "alice").unwrap(), "from base");
    let missing = from_file("other", &dirs, "alice").unwrap_err();
    for part in ["work/other", "base/other", "readable for alice"] {
        assert!(missing.contains(part), "{missing}");
    }
    let absolute = base.join("other").display().to_string();
    let missing = from_file(&absolute, &dirs, "alice").unwrap_err();
    assert_eq!(missing.matches("base/other").count(), 1, "{missing}");
}

#[test]
fn what_is_no_short_text_in_a_regular_file_is_refused_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(at("large"), vec![b'x'; VALUE_MAX + 1]).unwrap();
    std::fs::write(at("fits"), vec![b'x'; VALUE_MAX]).unwrap();
    std::fs::write(at("binary"), [0xff, 0xfe]).unwrap();
    for (name, reason) in [
        ("fifo", "no regular file"),
        ("large", "larger than 65536 bytes"),
        ("binary", "not UTF-8"),
        (".", "no regular file"),
    ] {
        let error = from_file(name, &[temp.path()], "alice").unwrap_err();
        assert!(error.contains(reason), "{name}: {error}");
    }
    let value = from_file("fits", &[temp.path()], "alice").unwrap();
    let others = [(String::new(), "x".repeat(TOTAL_MAX - VALUE_MAX))];
    assert!(check(value.clone(), &others).is_ok());
    assert!(
        check(format!("{value}x"), &[])
            .unwrap_err()
            .contains("at most 65536")
    );
    assert!(check("a\0b".into(), &[]).unwrap_err().contains("NUL"));
    let others = [(String::new(), "x".repeat(TOTAL_MAX - VALUE_MAX + 1))];
    assert!(check(value, &others).unwrap_err().contains("together"));
}

#[test]
fn a_credential_is_a_file_in_the_directory_that_the_job_is_told_of() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("dir")).unwrap();
    std::fs::write(temp.path().join("dir/token"), "value\n").unwrap();
    std::fs::write(temp.path().join("outside"), "value\n").unwrap();
    let dir = temp.path().join("dir").display().to_string();
    let told = scope(&[("CREDENTIALS_DIRECTORY", &dir)]);
    assert_eq!(from_credential("token", &told, "alice").unwrap(), "value");
    for (name, scope, reason) in [
        ("other", &told, "no credential other in"),
        ("../outside", &told, "not the name of a credential"),
        ("..", &told, "not the name of a credential"),
        ("", &told, "not the name of a credential"),
        ("token", &Scope::new(), "CREDENTIALS_DIRECTORY is not set"),
        (
            "token",
            &scope(&[("CREDENTIALS_DIRECTORY", "dir")]),
            "not an absolute path",
        ),
    ] {
        let error = from_credential(name, scope, "alice").unwrap_err();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn what_is_told_is_masked_and_what_was_captured_is_kept() {
    let secrets = known(&["hunter2"]);
    let node = Node::Step(3);
    let output = |value: &str| Fact::NodeOutput {
        node,
        name: "OUT".into(),
        value: value.into(),
    };
    assert_eq!(secrets.cover_fact(output("is hunter2")), output("is *******"));
    assert_eq!(secrets.output(node).as_deref(), Some("is hunter2"));
    assert_eq!(secrets.cover_fact(output("harmless")), output("harmless"));
    assert_eq!(secrets.output(node), None);
    let params = |value: &str| Fact::Params {
        params: vec![("hunter2".into(), value.into())],
    };
    assert_eq!(secrets.cover_fact(params("-phunter2")), params("-p*******"));

    let key = NodeKey { node, serial: 1 };
    let end = |text: &str| TryEnd {
        exit: Some(Exit::Code(1)),
        error: Some(format!("exit status 1\n{text}")),
        output: Some(text.to_owned()),
        ..TryEnd::default()
    };
    for (raw, told) in [
        (
            Event::TryEnded(key, end("hunter2")),
            Event::TryEnded(key, end("*******")),
        ),
        (
            Event::Initialised(Err("hunter2".into())),
            Event::Initialised(Err("*******".into())),
        ),
        (
            Event::Initialised(Ok(Err("hunter2".into()))),
            Event::Initialised(Ok(Err("*******".into()))),
        ),
        (
            Event::Prepared(key, Err("hunter2".into())),
            Event::Prepared(key, Err("*******".into())),
        ),
        (
            Event::RepeatChecked(key, Err("hunter2".into())),
            Event::RepeatChecked(key, Err("*******".into())),
        ),
        (Event::Begin, Event::Begin),
    ] {
        assert_eq!(secrets.cover_event(raw), told);
    }
    let unmet = |text: &str| {
        let ready = Prepared {
            unmet: Some(text.to_owned()),
            ..Prepared::default()
        };
        Event::Prepared(key, Ok(ready))
    };
    assert_eq!(secrets.cover_event(unmet("`hunter2`")), unmet("`*******`"));
    // Without anything to hide nothing is touched or kept.
    let empty = known(&[""]);
    assert!(empty.masker().is_none());
    assert_eq!(empty.cover_fact(output("hunter2")), output("hunter2"));
    assert_eq!(empty.output(node), None);
}
