//! What the tests share, and the table of all verdicts.

mod changes;
mod defects;
mod format;
mod questions;
mod watching;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entry::LockState;
use super::verdict::{Evidence, Heartbeat, ShimState, Verdict, Writer, verdict};
use super::*;
use crate::model::change::AttemptIdentity;
use crate::model::{AttemptId, DagName, GroupName, RunId, RunRef, Time};

/// The example of seed-spec A.1.
const A1_SECS: i64 = 1_738_367_999;
const A1_NAME: &str = "proc_20250131_235959Z_72756e2d303031_613162326333.proc";
const A1_LEGACY: &str = "proc_20250131_235959Z_run-001.proc";
const A1_JSON: &str = r#"{"version":1,"dag_name":"etl.daily","dag_run_id":"run-001","attempt_id":"a1b2c3","root_name":"etl.daily","root_dag_run_id":"run-001","started_at":1738367999}"#;

const STALE_AFTER: Duration = Duration::from_secs(90);

fn at(secs: i64) -> Time {
    Time::from_secs(A1_SECS + secs)
}

fn dag(name: &str) -> DagName {
    DagName::new(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn run(dag_name: &str, id: &str) -> RunRef {
    RunRef {
        dag: dag(dag_name),
        id: RunId::new(id).unwrap(),
    }
}

fn meta(dag_name: &str, id: &str, attempt: &str) -> Meta {
    let run = run(dag_name, id);
    Meta {
        root: Some(run.clone()),
        run,
        attempt: AttemptId::new(attempt).unwrap(),
        started_at: A1_SECS,
    }
}

fn a1() -> Meta {
    meta("etl.daily", "run-001", "a1b2c3")
}

fn owner() -> Owner {
    Owner {
        identity: AttemptIdentity {
            pid: 4242,
            pidfs_inode: Some(77),
            start_ticks: Some(9),
            boot_id: "6ee4".to_owned(),
            cgroup_id: Some(5),
        },
        uid: 1000,
        socket: "/run/proctor/attempts/a1b2c3.sock".to_owned(),
    }
}

/// A content as other writers make it.
fn body(secs: i64, json: &str) -> Vec<u8> {
    [
        &u64::try_from(A1_SECS + secs).unwrap().to_be_bytes(),
        json.as_bytes(),
    ]
    .concat()
}

struct World {
    dir: ProcDir,
    _temp: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        // In memory, as the directory is when it is in use.
        let temp = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let dir = ProcDir::open(temp.path().join("proc"), STALE_AFTER).unwrap();
        Self { dir, _temp: temp }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Puts a file there as another writer would, with a modification time so far from [`A1_SECS`].
    fn put(&self, place: &str, name: &str, bytes: &[u8], mtime: i64) -> PathBuf {
        let path = self.path().join(place).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let time = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(A1_SECS + mtime).unwrap());
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
        path
    }

    fn put_a1(&self, beat: i64, mtime: i64) -> PathBuf {
        self.put("etl.daily/etl.daily", A1_NAME, &body(beat, A1_JSON), mtime)
    }

    fn scan(&self, secs: i64) -> Scan {
        self.dir.scan(at(secs)).unwrap()
    }

    /// A published entry with the descriptor its shim would hold.
    fn live(&mut self, group_name: &str, meta: Meta, secs: i64) -> (Entry, ProcHandle) {
        let prepared = self.dir.prepare(&group(group_name), meta, at(secs)).unwrap();
        let handle = ProcHandle::new(prepared.descriptor().unwrap());
        (prepared.publish(&owner(), at(secs)).unwrap(), handle)
    }
}

#[test]
fn every_combination_of_evidence_has_its_verdict() {
    use Heartbeat::{Fresh, Stale, Unreadable};
    use LockState::{Free, Held, Unknown};
    use Verdict::{Alive as A, Dead as D, Stalled as S, Unknown as U};
    let own = [
        (ShimState::Alive, Held, [A, S, S]),
        (ShimState::Alive, Free, [U, U, U]),
        (ShimState::Alive, Unknown, [A, S, S]),
        (ShimState::Dead, Held, [D, D, D]),
        (ShimState::Dead, Free, [D, D, D]),
        (ShimState::Dead, Unknown, [D, D, D]),
        (ShimState::Unknown, Held, [A, S, S]),
        (ShimState::Unknown, Free, [D, D, D]),
        (ShimState::Unknown, Unknown, [U, U, U]),
    ];
    let mut seen = std::collections::HashSet::new();
    for (shim, lock, verdicts) in own {
        for (heartbeat, expected) in [Fresh, Stale, Unreadable].into_iter().zip(verdicts) {
            let evidence = Evidence {
                lock,
                shim,
                heartbeat,
                writer: Writer::Own,
            };
            assert_eq!(verdict(&evidence), expected, "{evidence:?}");
            assert_eq!(expected.occupies(), expected != D);
            seen.insert(evidence);
        }
        // Lock and process mean nothing for a writer that knows no lock.
        for (heartbeat, expected) in [(Fresh, A), (Stale, D), (Unreadable, U)] {
            let evidence = Evidence {
                lock,
                shim,
                heartbeat,
                writer: Writer::Foreign,
            };
            assert_eq!(verdict(&evidence), expected, "{evidence:?}");
            seen.insert(evidence);
        }
    }
    assert_eq!(seen.len(), 3 * 3 * 3 * 2);
}
