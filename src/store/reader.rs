//! Questions, answered beside the writer: in WAL mode neither waits for the other.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::model::change::{InstalledDag, NewRun};
use crate::model::view::{RunSummary, RunView};
use crate::model::{AttemptId, DagName, GroupName, Notice, RunRef, Time};

use super::error::Fault;
use super::{
    AttemptSummary, Counts, Error, Filter, HeldAttempt, Options, Page, PlanRecord, QueuedRun, Recovery,
    RetryState, history, installed, notices, open, recovery, schema, views,
};

mod retire;

/// Connections kept for the next question.
const IDLE_MAX: usize = 4;
/// Most findings of an integrity check.
const FINDINGS_MAX: u32 = 100;

/// A handle to ask questions with. Clones share a few connections. Every answer is of one moment. Calls block for
/// the time of the disk reads: not for an async thread.
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: Options,
    idle: Mutex<Vec<Connection>>,
}

impl Reader {
    pub(super) fn new(path: &Path, options: Options) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                options,
                idle: Mutex::new(Vec::new()),
            }),
        }
    }

    pub(super) fn close_idle(&self) {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.clear();
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&Transaction<'_>, &Options) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let shared = &self.shared;
        let take = || shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match take() {
            Some(connection) => connection,
            None => open::reader(&shared.path, shared.options.wait).map_err(Fault::Sqlite)?,
        };
        let answer = {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Deferred)
                .map_err(Fault::Sqlite)?;
            question(&transaction, &shared.options)?
        };
        // After an error the connection is dropped instead: the next question begins with a new one.
        let mut idle = shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }

    /// A run with its newest attempt. Of a run that waits in the queue the steps are not begun, also if earlier
    /// attempts have had them; those are told by [`Self::attempt_view`]. `stalled` is always false: the store
    /// knows no heartbeat.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn run_view(&self, run: &RunRef) -> Result<Option<RunView>, Error> {
        self.ask(|db, options| views::run(db, run, &options.log_dir))
    }

    /// A run as its attempt of that number left it or is now.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn attempt_view(&self, run: &RunRef, number: u32) -> Result<Option<RunView>, Error> {
        self.ask(|db, options| views::attempt(db, run, number, &options.log_dir))
    }

    /// The attempts of a run by number; none if there is no such run.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn attempts(&self, run: &RunRef) -> Result<Vec<AttemptSummary>, Error> {
        self.ask(|db, _| views::attempts(db, run))
    }

    /// The run of that DAG that was accepted last; runs that a step of another run called do not count.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn latest_run(&self, dag: &DagName) -> Result<Option<RunRef>, Error> {
        self.ask(|db, _| history::latest(db, dag))
    }

    /// The newest run of a DAG that belongs to this user id, without those that a step of another run called.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn latest_run_of(&self, dag: &DagName, owner: u32) -> Result<Option<RunRef>, Error> {
        self.ask(|db, _| history::latest_of(db, dag, owner))
    }

    /// Whether this user id has any run of that DAG, also if only steps of other runs called it. Among more than 1000 runs
    /// of the DAG it may be overlooked.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn has_runs_of(&self, dag: &DagName, owner: u32) -> Result<bool, Error> {
        self.ask(|db, _| history::has_runs_of(db, dag, owner))
    }

    /// Whether there is any run of that DAG, also if only steps of other runs called it.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn has_runs(&self, dag: &DagName) -> Result<bool, Error> {
        self.ask(|db, _| history::has_runs(db, dag))
    }

    /// Runs that wait for a person, the newest first, at most [`HISTORY_MAX`](super::HISTORY_MAX); of one user id, or
    /// of all. Unlike [`Self::history`] with those that a step of another run called: such a run is the one to decide
    /// in.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn waiting(&self, owner: Option<u32>) -> Result<Vec<RunSummary>, Error> {
        self.ask(|db, _| history::waiting(db, owner))
    }

    /// Runs that fit the filter, the newest first, without those that a step of another run called.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn history(&self, filter: &Filter) -> Result<Page, Error> {
        self.ask(|db, _| history::page(db, filter))
    }

    /// What is recorded of a run's retries as a whole; nothing if there is no such run.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn retry_state(&self, run: &RunRef) -> Result<RetryState, Error> {
        self.ask(|db, _| recovery::retry_state(db, run))
    }

    /// Everything that is needed to launch the run.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn launch_data(&self, run: &RunRef) -> Result<Option<NewRun>, Error> {
        self.ask(|db, _| views::launch_data(db, run))
    }

    /// What is queued and what has not ended. Its cost does not grow with history.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn recover(&self) -> Result<Recovery, Error> {
        self.ask(|db, options| recovery::recover(db, &options.log_dir))
    }

    /// Ended attempts whose entry, socket, cgroup, journal or empty files may still be there.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn not_cleaned(&self) -> Result<Vec<HeldAttempt>, Error> {
        self.ask(|db, options| recovery::not_cleaned(db, &options.log_dir))
    }

    /// The queue in order, of one group or of all.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn queue(&self, group: Option<&GroupName>) -> Result<Vec<QueuedRun>, Error> {
        self.ask(|db, _| recovery::queue(db, group))
    }

    /// What operators are still to be told, oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn notices(&self) -> Result<Vec<Notice>, Error> {
        self.ask(|db, _| notices::pending(db))
    }

    /// Queues that start nothing.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn paused(&self) -> Result<Vec<GroupName>, Error> {
        self.ask(|db, _| recovery::paused(db))
    }

    /// How many runs wait, are live and are to be cleaned.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn counts(&self) -> Result<Counts, Error> {
        self.ask(|db, _| recovery::counts(db))
    }

    /// Which run an attempt belongs to, and its number.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn run_of(&self, attempt: &AttemptId) -> Result<Option<(RunRef, u32)>, Error> {
        self.ask(|db, _| views::run_of(db, attempt))
    }

    /// What is decided of schedules, of all DAGs that ever had some, by name.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn plans(&self) -> Result<Vec<PlanRecord>, Error> {
        self.ask(|db, _| installed::plans(db))
    }

    /// What is decided of the schedules of one DAG.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn plan(&self, dag: &DagName) -> Result<Option<PlanRecord>, Error> {
        self.ask(|db, _| installed::plan(db, dag))
    }

    /// The last good versions of installed DAGs, by name.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn installed(&self) -> Result<Vec<InstalledDag>, Error> {
        self.ask(|db, _| installed::installed(db))
    }

    /// The newest time that a success of this user's runs of the DAG counts for: the scheduled time of a run that a
    /// schedule made, else when it was accepted. Those that a step called do not count, nor those that count for a time
    /// after `now`: the clock was wrong when they ran.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn last_success(&self, dag: &DagName, owner: u32, now: Time) -> Result<Option<Time>, Error> {
        self.ask(|db, _| installed::last_success(db, dag, owner, now))
    }

    /// Version of the schema.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn schema_version(&self) -> Result<u32, Error> {
        self.ask(|db, _| Ok(schema::version(db)?))
    }

    /// Reads the whole database and checks it: pages, indexes and references. Says what is wrong, at most some
    /// hundred lines; nothing is good. Takes time in proportion to the size, without hindering the writer.
    ///
    /// # Errors
    /// If the database cannot be read at all.
    pub fn integrity_check(&self) -> Result<Vec<String>, Error> {
        self.ask(|db, _| {
            let mut statement = db.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
            let mut findings = statement
                .query_map([], |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<String>>>()?;
            findings.retain(|line| line != "ok");
            let mut statement = db.prepare(&format!(
                "SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT {FINDINGS_MAX}"
            ))?;
            let broken = statement.query_map([], |row| {
                let (table, parent): (String, String) = (row.get(0)?, row.get(1)?);
                Ok(format!(
                    "a row of {table} refers to a row of {parent} that is not there"
                ))
            })?;
            for line in broken {
                findings.push(line?);
            }
            Ok(findings)
        })
    }
}
