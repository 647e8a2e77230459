//! The text of a user's DAG file, and what becomes of the schemas beside it.

use super::*;

fn wanted(path: &str) -> SchemaRef {
    SchemaRef {
        path: path.to_owned(),
        working_dir: None,
    }
}

fn refs(all: &[(&str, &str)]) -> Refs {
    let files: Vec<SchemaFile> = all
        .iter()
        .map(|(path, text)| SchemaFile::new(wanted(path), Ok((*text).to_owned())))
        .collect();
    Refs::of(&files)
}

fn users(name: &str) -> FileId {
    FileId {
        place: Place::User("u".to_owned()),
        name: name.to_owned(),
    }
}

fn dir() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = open_dir(temp.path()).unwrap().unwrap();
    (temp, dir)
}

#[test]
fn the_text_of_a_dag_comes_out_as_it_went_in() {
    let some = refs(&[("a.json", "{}"), ("/b.json", "true")]);
    for text in ["", "a", "a\n", "a\n\n", &format!("a\n{MARK} x=y\nb"), MARK] {
        for refs in [&some, &Refs::default()] {
            let file = join(text, refs);
            assert_eq!(split(&file), (text.to_owned(), refs.clone()), "{file:?}");
        }
    }
    assert_eq!(join("a", &Refs::default()), "a", "nothing is added for nothing");
    let file = join("a", &some) + "by hand\n";
    assert_eq!(split(&file), ("a\nby hand\n".to_owned(), some));
}

#[test]
fn nothing_but_a_schema_of_the_dag_is_reached_from_it() {
    let line = format!("a\n{MARK} ../../etc=passwd 0123456789abcdef=../x 0123456789abcdef\n");
    assert_eq!(split(&line).1, Refs::default());
    let some = refs(&[("/home/u/s.json", "{}")]);
    let name = place_of(&users("d.yaml"), &some, &wanted("/home/u/s.json")).unwrap();
    assert_eq!(name, file_of("d", "{}"));
    assert!(place_of(&users("d.yaml"), &some, &wanted("s.json")).is_err());
    let system = FileId::from_stored("d.yaml");
    assert_eq!(
        place_of(&system, &some, &wanted("s.json")),
        Ok("s.json".to_owned())
    );
    assert!(place_of(&system, &some, &wanted("/home/u/s.json")).is_err());
}

#[test]
fn the_schemas_of_a_dag_are_told_from_those_of_another() {
    assert_eq!(stem_of(&file_of("a.b", "{}")), Some("a.b"));
    assert_eq!(stem_of("a.schema.json"), None);
    assert_eq!(stem_of("a.b.schema.json"), None);
    assert_ne!(file_of("a", "{}"), file_of("a", "true"));
}

#[test]
fn what_no_dag_means_is_removed_and_nothing_else() {
    let (temp, dir) = dir();
    let put = |name: &str, text: &str| std::fs::write(temp.path().join(name), text).unwrap();
    for stem in ["a", "b", "gone", "broken"] {
        for text in ["old", "new"] {
            put(&file_of(stem, text), text);
        }
    }
    put("a.yaml", &join("x", &refs(&[("s.json", "new")])));
    put(
        "b.yml",
        &join("x", &refs(&[("s.json", "old"), ("t.json", "new")])),
    );
    std::fs::write(temp.path().join("broken.yaml"), [0xff]).unwrap();
    put("my.schema.json", "{}");
    let left = || {
        let names = dir.list().unwrap().into_iter();
        names
            .map(|entry| entry.name.into_string().unwrap())
            .collect::<BTreeSet<_>>()
    };
    let mut expected = left();
    remove_unused(&dir, Some("a"));
    expected.remove(&file_of("a", "old"));
    assert_eq!(left(), expected);
    remove_unused(&dir, None);
    for text in ["old", "new"] {
        expected.remove(&file_of("gone", text));
    }
    assert_eq!(left(), expected);
}

#[test]
fn whether_a_schema_changed_is_told_without_its_text() {
    let (temp, dir) = dir();
    let path = temp.path().join("s.json");
    let stamp_of = |length| {
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(length).unwrap();
        Stamp::of(&file.metadata().unwrap())
    };
    assert!(is_same(&dir, "s.json", None), "it is still not there");
    // Larger than any schema may be, so nobody has read it.
    let stamp = stamp_of(1 << 40);
    assert!(is_same(&dir, "s.json", Some(stamp)));
    stamp_of(1 << 39);
    assert!(!is_same(&dir, "s.json", Some(stamp)));
    std::fs::remove_file(&path).unwrap();
    assert!(!is_same(&dir, "s.json", Some(stamp)));
}

#[test]
fn a_dag_that_was_replaced_is_told() {
    let (temp, dir) = dir();
    let path = temp.path().join("d.yaml");
    std::fs::write(&path, join("x", &refs(&[("s.json", "{}")]))).unwrap();
    let read = read_dag(&dir, &users("d.yaml"), None).unwrap().unwrap().unwrap();
    assert_eq!(read.text, "x");
    assert!(is_same_dag(&dir, &users("d.yaml"), read.stamp));
    let system = read_dag(&dir, &FileId::from_stored("d.yaml"), None);
    assert!(
        system.unwrap().unwrap().unwrap().text.contains(MARK),
        "the system's are as they are"
    );
    dir.replace_file("d.yaml", b"y", 0o644).unwrap();
    assert!(!is_same_dag(&dir, &users("d.yaml"), read.stamp));
    std::fs::remove_file(&path).unwrap();
    assert!(!is_same_dag(&dir, &users("d.yaml"), read.stamp));
}
