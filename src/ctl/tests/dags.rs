//! Verbs for those who write DAG files: they need no daemon.

use super::*;

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn validate_shows_every_error_with_its_line_also_that_of_the_base_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let bad = write(
        dir.path(),
        "bad.yaml",
        "steps:\n  - {name: 日本, comand: x}\n  - 5\n",
    );
    let base = write(dir.path(), "base.yaml", "timeout_sec: soon\n");
    let answer = call(dir.path(), &["validate", "--base-config", &base, &bad]);
    assert_eq!(answer.exit, Exit::Negative);
    assert_eq!(answer.stdout, "");
    assert_eq!(
        answer.stderr,
        format!(
            "error: unknown key `comand` in a step\n\
             \x20 --> {bad}:2:16\n\
             \x20 |\n\
             2 |   - {{name: 日本, comand: x}}\n\
             \x20 |                  ^\n\
             \x20 = hint: did you mean `command`?\n\
             error: a step must be a command or a map, not the number 5\n\
             \x20 --> {bad}:3:5\n\
             \x20 |\n\
             3 |   - 5\n\
             \x20 |     ^\n\
             \x20 = hint: put a command in quotes: \"5\"\n\
             error: `timeout_sec` must be a whole number, not the text \"soon\"\n\
             \x20 --> {base}:1:14\n\
             \x20 |\n\
             1 | timeout_sec: soon\n\
             \x20 |              ^\n\
             proctorctl: {bad} is not valid: 3 errors\n"
        )
    );
}

#[test]
fn validate_takes_several_files() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(dir.path(), "good.yaml", "steps: [a]\n");
    let warned = write(dir.path(), "warned.yaml", "name: w\n");
    let bad = write(dir.path(), "bad.yaml", "steps: [5]\n");
    let absent = dir.path().join("absent.yaml").to_str().unwrap().to_owned();

    let answer = call(dir.path(), &["validate", &good, &warned]);
    assert_eq!(answer.exit, Exit::Ok, "{}", answer.stderr);
    assert_eq!(
        answer.stdout,
        format!(
            "{good}: valid, good with 1 step\n{warned}: valid, w with 0 steps, 1 warning\n\
             2 files, none not valid: 0 errors, 1 warning\n"
        )
    );
    let answer = call(dir.path(), &["validate", &good, &bad, &warned, &absent]);
    assert_eq!(answer.exit, Exit::Negative);
    assert!(
        answer
            .stdout
            .ends_with("4 files, 2 not valid: 2 errors, 1 warning\n"),
        "{}",
        answer.stdout
    );
    let answer = call(dir.path(), &["validate", "--json", &good, &bad, &absent]);
    assert_eq!(answer.exit, Exit::Negative);
    let files = answer.json()["files"].clone();
    assert_eq!(
        (&files[0]["file"], &files[0]["valid"]),
        (&json!(good), &json!(true))
    );
    assert_eq!(files[0]["dag"]["name"], "good");
    assert_eq!(
        (&files[1]["valid"], &files[1]["errors"][0]["line"]),
        (&json!(false), &json!(1))
    );
    assert!(
        files[2]["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("absent.yaml")
    );
    assert_eq!(call(dir.path(), &["validate", &absent]).exit, Exit::Usage);
    assert!(Cli::try_parse_from(["proctorctl", "validate"]).is_err());
}

#[test]
fn the_schema_is_one_object() {
    let dir = tempfile::tempdir().unwrap();
    let plain = call(dir.path(), &["schema"]);
    let whole: Value = serde_json::from_str(&plain.stdout).unwrap();
    assert_eq!(whole["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(call(dir.path(), &["schema", "--json"]).json(), whole);
}

#[test]
fn graph_draws_a_file_or_an_installed_dag() {
    let dir = tempfile::tempdir().unwrap();
    let text = "name: pair\nsteps: [{name: a, command: x}, {name: b, script: y}]\n";
    let file = write(dir.path(), "pair.yaml", text);
    let drawn = "pair  2 steps in 2 layers\n1 ● a  $ x\n  │\n2 ■ b  script: y\n";
    assert_eq!(call(dir.path(), &["graph", &file]).stdout, drawn);
    assert_eq!(
        call(dir.path(), &["graph", "--ascii", &file]).stdout,
        "pair  2 steps in 2 layers\n1 * a  $ x\n  |\n2 # b  script: y\n"
    );
    let object = call(dir.path(), &["graph", "--json", &file]).json();
    assert_eq!(
        object["edges"],
        json!([{ "from": "a", "to": "b", "label": null }])
    );
    assert_eq!(
        (&object["steps"][1]["layer"], &object["steps"][1]["kind"]),
        (&json!(2), &json!("script"))
    );
    let dot = call(dir.path(), &["graph", "--dot", &file]).stdout;
    assert!(
        dot.starts_with("digraph \"pair\" {") && dot.ends_with("}\n"),
        "{dot}"
    );
    let mermaid = call(dir.path(), &["graph", "--mermaid", &file]).stdout;
    assert!(mermaid.starts_with("flowchart TD\n"), "{mermaid}");
    assert_eq!(
        call(dir.path(), &["graph", "--json", "--dot", &file]).exit,
        Exit::Usage
    );

    let answer = call(dir.path(), &["graph", "pair"]);
    assert_eq!(answer.exit, Exit::Negative);
    assert!(
        answer.stderr.contains("there is no DAG pair in "),
        "{}",
        answer.stderr
    );
    let etc = dir.path().join("etc/proctor");
    std::fs::create_dir_all(etc.join("dags")).unwrap();
    write(&etc.join("dags"), "pair.yml", text);
    assert_eq!(call(dir.path(), &["graph", "pair"]).stdout, drawn);
    // The configuration says where installed DAGs are.
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    write(&dir.path().join("mine"), "other.yaml", text);
    let mine = dir.path().join("mine");
    write(&etc, "proctord.toml", &format!("[paths]\ndags = {mine:?}\n"));
    assert_eq!(call(dir.path(), &["graph", "other"]).stdout, drawn);
    assert_eq!(call(dir.path(), &["graph", "../x"]).exit, Exit::Usage);
}

#[test]
fn graph_draws_what_the_daemon_knows_also_a_users_own() {
    let server = Server::start(|request| {
        let Request::Source(dag) = request else {
            panic!("{request:?}")
        };
        vec![if dag.as_str() == "own" {
            Response::Source(Box::new(crate::wire::manage::SourceText {
                dag,
                file: "/var/lib/proctor/dags/u/own.yaml".to_owned(),
                text: "name: other\nsteps: [{name: a, command: x}]\n".to_owned(),
                hash: String::new(),
                own: true,
                in_force: false,
            }))
        } else {
            Response::Error {
                kind: ErrorKind::NotFound,
                message: "no DAG is installed".to_owned(),
                hint: None,
                problems: Vec::new(),
            }
        }]
    });
    let drawn = call(server.root(), &["graph", "own"]);
    assert_eq!(
        drawn.stdout, "own  1 step in 1 layer\n1 ● a  $ x\n",
        "{}",
        drawn.stderr
    );
    assert!(
        drawn.stderr.contains("own.yaml is not in force"),
        "{}",
        drawn.stderr
    );
    let none = call(server.root(), &["graph", "none"]);
    assert_eq!(none.exit, Exit::Negative);
    assert!(none.stderr.contains("no DAG is installed"), "{}", none.stderr);
    let dags = server.root().join("etc/proctor/dags");
    std::fs::create_dir_all(&dags).unwrap();
    write(&dags, "late.yaml", "steps: [{name: a, command: x}]\n");
    let late = call(server.root(), &["graph", "late"]);
    assert_eq!(
        late.exit,
        Exit::Ok,
        "the daemon has not seen it yet: {}",
        late.stderr
    );
}

#[test]
fn a_file_with_errors_is_neither_drawn_nor_planned() {
    let dir = tempfile::tempdir().unwrap();
    let bad = write(dir.path(), "bad.yaml", "steps: [5]\n");
    for verb in ["graph", "dry-run"] {
        let answer = call(dir.path(), &[verb, &bad]);
        assert_eq!((answer.exit, answer.stdout.as_str()), (Exit::Usage, ""), "{verb}");
        assert!(answer.stderr.contains("1 | steps: [5]"), "{}", answer.stderr);
        let answer = call(dir.path(), &[verb, "--json", &bad]);
        assert_eq!(answer.json()["problems"][0]["line"], 1, "{verb}");
    }
}

#[test]
fn a_dry_run_executes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let text = format!(
        "params: ['A=`touch {0}`', {{name: B, eval: '`touch {0}`'}}]\nenv: {{X: '`touch {0}`'}}\n\
         preconditions: touch {0}\nsteps: ['touch {0}', {{command: echo $A $B, preconditions: '`touch {0}`'}}]\n\
         handler_on: {{exit: 'touch {0}'}}\n",
        mark.display()
    );
    let file = write(dir.path(), "d.yaml", &text);
    for args in [
        vec!["dry-run", &file],
        vec!["dry-run", "--json", &file],
        vec!["graph", &file],
    ] {
        let answer = call(dir.path(), &args);
        assert_eq!(answer.exit, Exit::Ok, "{}", answer.stderr);
        assert!(answer.stdout.contains("touch"), "shown as written");
    }
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["d.yaml"], "nothing was run and nothing recorded");
}
