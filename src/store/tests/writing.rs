//! The writer: order, groups, savepoints, a full disk, the end.

use std::sync::mpsc::{Sender, channel};

use super::super::{open as opening, schema, writer::Writer};
use super::*;

/// A store whose writer stands still behind the answer of batch 0 until the sender is dropped, so that what is
/// submitted meanwhile becomes one group.
fn gated(path: &std::path::Path) -> (Store, Sender<()>, Answers) {
    let (gate, closed) = channel::<()>();
    let (sender, answers) = channel();
    let done: Done = Box::new(move |number, result| {
        sender.send((number, result)).unwrap();
        if number == 0 {
            assert!(closed.recv().is_err());
        }
    });
    let store = Store::open(path, options(), done).unwrap();
    store.submit(0, Vec::new()).unwrap();
    (store, gate, answers)
}

#[test]
fn a_bad_batch_of_a_group_is_undone_alone_and_all_are_answered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    let (store, gate, answers) = gated(&path);
    assert_eq!(answers.recv().unwrap(), (0, Ok(())));
    let before = store.reader();
    let unknown = run_ref("etl", "unknown");
    store.submit(1, vec![accept("etl", "a", 1)]).unwrap();
    store
        .submit(
            2,
            vec![
                accept("new", "b", 2),
                accept("etl", "c", 3),
                start(&unknown, 1, 4),
            ],
        )
        .unwrap();
    store
        .submit(3, vec![accept("etl", "d", 5), accept("etl", "a", 6)])
        .unwrap();
    store.submit(4, vec![accept("etl", "d", 7)]).unwrap();
    assert_eq!(before.counts().unwrap().queued, 0);
    drop(gate);
    let told: Vec<_> = (1..=4).map(|_| answers.recv().unwrap()).collect();
    assert_eq!(told[0], (1, Ok(())));
    assert!(
        matches!(&told[1], (2, Err(Error::Other(text))) if text.contains("no attempt")),
        "{told:?}"
    );
    assert_eq!(told[2], (3, Err(Error::Exists)));
    assert_eq!(told[3], (4, Ok(())));
    let queue = store.reader().queue(None).unwrap();
    let ids: Vec<_> = queue.iter().map(|queued| queued.run.id.as_str()).collect();
    assert_eq!(ids, ["a", "d"]);
    assert_eq!(
        store
            .reader()
            .launch_data(&run_ref("etl", "d"))
            .unwrap()
            .unwrap()
            .created_at,
        Time(7)
    );
}

#[test]
fn a_group_is_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    let (store, gate, answers) = gated(&path);
    for n in 1..=300 {
        store.submit(n, life("etl", &format!("r{n}"), 1)).unwrap();
    }
    let wal = || {
        std::fs::metadata(dir.path().join("proctor.db-wal"))
            .unwrap()
            .len()
    };
    let before = wal();
    drop(gate);
    for n in 0..=300 {
        assert_eq!(answers.recv().unwrap(), (n, Ok(())));
    }
    // One commit each would write every changed page 300 times, some ten pages each time.
    let pages = (wal() - before) / 4096;
    assert!(pages < 150, "{pages} pages");
}

#[test]
fn dropping_the_store_commits_what_was_submitted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    let (store, gate, answers) = gated(&path);
    for n in 1..=1000 {
        store.submit(n, vec![accept("etl", &format!("r{n}"), 1)]).unwrap();
    }
    drop(gate);
    drop(store);
    assert_eq!(answers.iter().filter(|(_, result)| result.is_ok()).count(), 1001);
    let (store, _answers) = open(&path).unwrap();
    assert_eq!(store.reader().counts().unwrap().queued, 1000);
}

#[test]
fn a_full_database_is_told_and_what_is_answered_is_what_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proctor.db");
    let connection = opening::writer(&path, Duration::ZERO, schema::MIGRATIONS).unwrap();
    let pages: i64 = connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    connection
        .pragma_update(None, "max_page_count", pages + 8)
        .unwrap();
    let (sender, answers) = channel();
    let done: Done = Box::new(move |number, result| sender.send((number, result)).unwrap());
    let mut writer = Writer::start(connection, &path, log_dir(), done).unwrap();
    for n in 0..20u64 {
        let mut run = new_run("etl", &format!("r{n}"), 1);
        if n % 2 == 1 {
            // Too big a snapshot for what is left.
            run.dag_hash = format!("{n}");
            run.dag = "x".repeat(100_000).into();
        }
        writer.submit(n, vec![Change::Accept(Box::new(run))]).unwrap();
    }
    writer.finish();
    let answers: Vec<_> = answers.iter().collect();
    assert_eq!(answers.len(), 20);
    assert!(
        answers
            .iter()
            .any(|(_, result)| matches!(result, Err(Error::DiskFull(_))))
    );
    let (store, _answers) = open(&path).unwrap();
    for (number, result) in answers {
        let stored = store
            .reader()
            .run_view(&run_ref("etl", &format!("r{number}")))
            .unwrap();
        assert_eq!(stored.is_some(), result.is_ok(), "{number}: {result:?}");
    }
}

#[test]
fn readers_see_whole_batches_while_the_writer_works() {
    let mut bench = Bench::new();
    let reader = bench.reader();
    let (stop, stopped) = channel::<()>();
    let watcher = std::thread::spawn(move || {
        let mut looks = 0u64;
        while stopped.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            for run in reader.history(&super::super::Filter::default()).unwrap().runs {
                assert_eq!((run.status, run.progress), (RunStatus::Succeeded, (1, 2)));
            }
            assert_eq!(reader.counts().unwrap(), super::super::Counts::default());
            looks += 1;
        }
        looks
    });
    for n in 0..100 {
        bench.ok(life("etl", &format!("r{n}"), n));
    }
    drop(stop);
    assert!(watcher.join().unwrap() > 0);
}
