//! Questions about what is old.

use super::Reader;
use crate::model::{DagName, RunRef, Time};
use crate::store::{Directory, Error, Limits, OldRun, Series, SeriesPlace, retire};

impl Reader {
    /// The series behind that place, of one DAG or of all, and its place. The first is behind the default place.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn next_series(
        &self,
        after: SeriesPlace,
        dag: Option<&DagName>,
    ) -> Result<Option<(Series, SeriesPlace)>, Error> {
        self.ask(|db, _| retire::next_series(db, after, dag))
    }

    /// The DAG as the newest run of the series had it: its hash, and unless that is the known one its JSON.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn newest_dag(
        &self,
        series: &Series,
        known: &str,
    ) -> Result<Option<(String, Option<String>)>, Error> {
        self.ask(|db, _| retire::newest_dag(db, series, known))
    }

    /// Runs of the series that are old and over, the oldest first, at most `most`, behind the place of another.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn old_runs(
        &self,
        series: &Series,
        limits: &Limits,
        after: Option<(Time, i64)>,
        most: u32,
    ) -> Result<Vec<OldRun>, Error> {
        self.ask(|db, _| retire::old(db, series, limits, after, most))
    }

    /// Which of these runs the store has.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn present(&self, runs: &[RunRef]) -> Result<Vec<RunRef>, Error> {
        self.ask(|db, _| retire::present(db, runs))
    }

    /// Runs of which only a part is removed so far; there is no way back for them. At most 100.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn unfinished(&self) -> Result<Vec<RunRef>, Error> {
        self.ask(|db, _| retire::unfinished(db))
    }

    /// Directories of removed runs that are to be removed, in the order of their names, behind this name.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn removals(&self, after: &str, most: u32) -> Result<Vec<Directory>, Error> {
        self.ask(|db, _| retire::removals(db, after, most))
    }

    /// The directories that a run and all runs it called may have.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn directories(&self, root: &RunRef) -> Result<Vec<Directory>, Error> {
        self.ask(|db, _| retire::directories(db, root))
    }
}
