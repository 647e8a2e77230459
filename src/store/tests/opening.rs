//! Opening: new, old, newer, damaged, foreign, locked.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::{open as opening, schema};
use super::*;

fn refusal(path: &Path) -> OpenError {
    Store::open(path, options(), ignore()).expect_err("opening should be refused")
}

fn made() -> (TempDir, PathBuf) {
    let mut bench = Bench::new();
    for n in 0..200 {
        bench.ok(life("etl", &format!("r{n}"), n));
    }
    bench.store = None;
    let path = bench.path();
    (bench.dir, path)
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_new_database_is_private_complete_and_alone() {
    let mut bench = Bench::new();
    bench.ok(vec![accept("etl", "r", 1)]);
    for entry in fs::read_dir(bench.dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
    bench.store = None;
    let left: Vec<_> = fs::read_dir(bench.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["proctor.db"], "a clean end leaves one file");
    bench.reopen();
    assert_eq!(bench.reader().counts().unwrap().queued, 1);
    assert!(bench.reader().integrity_check().unwrap().is_empty());
}

#[test]
fn what_a_crash_left_of_making_a_database_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    fs::write(dir.path().join("proctor.db.new"), b"half").unwrap();
    fs::write(dir.path().join("proctor.db.new-wal"), b"half").unwrap();
    drop(open(&path).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn migrations_go_step_by_step_and_a_bad_one_changes_nothing() {
    const FIRST: &str = "CREATE TABLE old (a INTEGER); INSERT INTO old VALUES (7);";
    const SECOND: &str = "ALTER TABLE old ADD COLUMN b INTEGER; UPDATE old SET b = a + 1;";
    const BAD: &str = "CREATE TABLE half (a INTEGER); INSERT INTO nowhere VALUES (1);";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    let open = |steps: &[&str]| opening::writer(&path, Duration::ZERO, steps);
    drop(open(&[FIRST]).unwrap());
    let error = open(&[FIRST, SECOND, BAD]).err().unwrap();
    assert!(
        matches!(error, OpenError::Migration { from: 2, to: 3, .. }),
        "{error}"
    );
    let db = open(&[FIRST, SECOND]).unwrap();
    assert_eq!(schema::version(&db).unwrap(), 2, "the good step stays");
    let row: (i64, i64) = db
        .query_row("SELECT a, b FROM old", [], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    assert_eq!(row, (7, 8));
    let half = "SELECT count(*) FROM sqlite_schema WHERE name = 'half'";
    assert_eq!(db.query_row(half, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    drop(db);
    let error = open(&[FIRST]).err().unwrap();
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_database_of_schema_1_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    let db = opening::writer(&path, Duration::ZERO, &schema::MIGRATIONS[..1]).unwrap();
    db.execute_batch(
        "INSERT INTO words VALUES (1, 'etl'), (2, '/d');
         INSERT INTO dags VALUES (1, 'h', 1, '[\"s\"]', '[]', '{}');
         INSERT INTO runs VALUES (1, 1, 'r', 1, 1, 2, 0, 0, 0, 7, 4, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL);
         INSERT INTO attempts VALUES (1, 1, 1, 'a', 4, 7, 8, 9, 1, 0, NULL, NULL, NULL, NULL, NULL);
         INSERT INTO steps VALUES (1, 0, 4, 0, 0, 1, 8, 9, NULL, NULL, 0, 0, 'a.out', '', NULL, NULL);",
    )
    .unwrap();
    drop(db);
    let (store, _answers) = open(&path).unwrap();
    let view = store.reader().run_view(&run_ref("etl", "r")).unwrap().unwrap();
    assert_eq!(view.status, RunStatus::Succeeded);
    assert_eq!(view.parent, None);
    assert!(view.steps[0].children.is_empty());
    assert_eq!(
        store
            .reader()
            .history(&crate::store::Filter::default())
            .unwrap()
            .runs
            .len(),
        1
    );
    assert!(store.reader().integrity_check().unwrap().is_empty());
}

#[test]
fn every_object_of_the_schema_is_known_and_missed() {
    let (_dir, path) = made();
    let db = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'";
    let count: u32 = db.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(count as usize, schema::OBJECTS.len());
    db.execute_batch("DROP INDEX runs_open").unwrap();
    drop(db);
    let error = refusal(&path);
    assert!(
        matches!(&error, OpenError::Corrupt { what, .. } if what.contains("runs_open")),
        "{error}"
    );
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (_dir, path) = made();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 6).unwrap();
    drop(db);
    let before = fs::read(&path).unwrap();
    let error = refusal(&path);
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 6,
                known: 5,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("schema version 6, this program knows up to 5")
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_schema_that_is_still_in_the_log_is_refused() {
    let (_dir, path) = made();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 6).unwrap();
    let error = refusal(&path);
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 6,
                known: 5,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    for garbage in [&b"hello"[..], &[0; 5000], b"SQLite format 3\0short"] {
        fs::write(&path, garbage).unwrap();
        let error = refusal(&path);
        let clear = matches!(error, OpenError::NotADatabase { .. } | OpenError::Corrupt { .. });
        assert!(clear, "{error}");
        assert_eq!(fs::read(&path).unwrap(), garbage);
    }
    fs::remove_file(&path).unwrap();
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(foreign);
    let before = fs::read(&path).unwrap();
    let error = refusal(&path);
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no file is made beside it"
    );
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(refusal(&path), OpenError::NotADatabase { .. }));
}

#[test]
fn a_damaged_database_is_never_replaced() {
    let (_dir, path) = made();
    let whole = fs::read(&path).unwrap();
    for keep in [0, 50, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..keep]).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Corrupt { .. }), "{keep}: {error}");
        assert_eq!(fs::read(&path).unwrap(), &whole[..keep]);
    }
    fs::write(&path, &whole).unwrap();
    // The root of the schema table.
    overwrite(&path, 100, &[0xff; 64]);
    assert!(matches!(refusal(&path), OpenError::Corrupt { .. }));
    fs::write(&path, &whole).unwrap();
    drop(open(&path).unwrap());
}

#[test]
fn after_an_unclean_end_every_page_is_looked_at() {
    let (dir, path) = made();
    let whole = fs::read(&path).unwrap();
    let pages = whole.len() as u64 / 4096;
    // A log with content but without a valid frame is what an unclean end may leave.
    for page in [pages / 2, pages - 1] {
        fs::write(&path, &whole).unwrap();
        overwrite(&path, page * 4096, &[0xff; 4096]);
        fs::write(dir.path().join("proctor.db-wal"), [0; 64]).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Corrupt { .. }), "page {page}: {error}");
    }
}

#[test]
fn a_log_without_its_database_is_not_taken_for_a_new_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    fs::write(dir.path().join("proctor.db-wal"), [1; 64]).unwrap();
    assert!(matches!(refusal(&path), OpenError::Corrupt { .. }));
    assert!(!path.exists());
}

#[test]
fn a_lock_and_a_missing_directory_are_told_apart() {
    let (dir, path) = made();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "locking_mode", "exclusive").unwrap();
    other
        .execute_batch("BEGIN EXCLUSIVE; DELETE FROM steps;")
        .unwrap();
    assert!(matches!(refusal(&path), OpenError::Locked(_)));
    drop(other);
    drop(open(&path).unwrap());
    let missing = dir.path().join("none/proctor.db");
    assert!(matches!(refusal(&missing), OpenError::DirectoryMissing(_)));
    assert!(!missing.exists());
}
