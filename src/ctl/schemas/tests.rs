//! Tests of where schemas are looked for, and of what is no schema to read.

use super::*;

fn found(source: &str, base_dir: &Path, default_working_dir: Option<&str>) -> Vec<SchemaFile> {
    read(&Referring {
        source,
        base: None,
        base_dir: base_dir.to_str().unwrap(),
        default_working_dir,
    })
}

/// The one answer: the text, or why there is none.
fn one(source: &str, base_dir: &Path, default_working_dir: Option<&str>) -> Result<String, String> {
    let mut all = found(source, base_dir, default_working_dir);
    assert_eq!(all.len(), 1, "{all:?}");
    let file = all.remove(0);
    file.text.ok_or_else(|| file.error.unwrap_or_default())
}

#[test]
fn a_schema_is_looked_for_in_the_working_directory_and_beside_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (base, sub) = (dir.path(), dir.path().join("sub"));
    std::fs::create_dir(&sub).unwrap();
    std::fs::write(base.join("s.json"), "beside").unwrap();
    let text = "params: {schema: s.json}\n";
    assert_eq!(one(text, base, None).as_deref(), Ok("beside"));
    let absolute = format!("params: {{schema: {}/s.json}}\n", base.display());
    assert_eq!(one(&absolute, Path::new("/"), None).as_deref(), Ok("beside"));
    std::fs::write(sub.join("s.json"), "working").unwrap();
    let own = "working_dir: sub\nparams: {schema: s.json}\n";
    assert_eq!(one(own, base, None).as_deref(), Ok("working"));
    assert_eq!(one(text, base, Some("sub")).as_deref(), Ok("working"));
    let unknown = "working_dir: $DIR\nparams: {schema: s.json}\n";
    assert_eq!(
        one(unknown, base, None).as_deref(),
        Ok("beside"),
        "a run's own directory"
    );
    // The current directory comes first: tests run in that of the sources.
    let current = "params: {schema: Cargo.toml}\n";
    std::fs::write(base.join("Cargo.toml"), "beside").unwrap();
    assert!(one(current, base, None).unwrap().contains("[package]"));
}

#[test]
fn what_cannot_be_read_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    let text = "params: {schema: s.json}\n";
    assert_eq!(one(text, base, None).unwrap_err(), "there is no such file");
    std::fs::write(base.join("s.json"), [0xff, 0xfe]).unwrap();
    assert_eq!(one(text, base, None).unwrap_err(), "it is not UTF-8");
    std::fs::write(base.join("s.json"), vec![b' '; SCHEMA_MAX + 1]).unwrap();
    assert!(one(text, base, None).unwrap_err().contains("262144 bytes"));
    let odd = "params: {schema: /dev/zero}\n";
    assert!(one(odd, base, None).unwrap_err().contains("not a regular file"));
    let directory = "params: {schema: .}\n";
    assert!(
        one(directory, base, None)
            .unwrap_err()
            .contains("not a regular file")
    );
    assert_eq!(found("params: a=1\nsteps: [schema]\n", base, None), []);
}

#[test]
fn all_schemas_together_have_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for number in 0..6 {
        std::fs::write(dir.path().join(format!("{number}.json")), vec![b' '; SCHEMA_MAX]).unwrap();
        text += &format!("name: d{number}\nparams: {{schema: {number}.json}}\n---\n");
    }
    let text = text.trim_end_matches("---\n");
    let all = found(text, dir.path(), None);
    let read = all.iter().filter(|file| file.text.is_some()).count();
    assert_eq!((all.len(), read), (6, 4));
    assert!(
        all[5]
            .error
            .as_deref()
            .unwrap()
            .contains("1048576 bytes together")
    );
}
