-- Schema 4: schedules, queues with priorities, retries of runs as a whole.

ALTER TABLE runs ADD COLUMN priority      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN now           INTEGER NOT NULL DEFAULT 0;  -- 1: starts beyond the limits
ALTER TABLE runs ADD COLUMN dag_limit     INTEGER NOT NULL DEFAULT 0;  -- most live runs of its DAG; 0: no limit
ALTER TABLE runs ADD COLUMN scheduled_for INTEGER;
ALTER TABLE runs ADD COLUMN retry         TEXT;      -- policy of retries as a whole, JSON
ALTER TABLE runs ADD COLUMN retries       TEXT;      -- those it has had by itself, JSON; NULL: none
ALTER TABLE runs ADD COLUMN retry_at      INTEGER;   -- the coming one is due by the wall clock; NULL: none comes
ALTER TABLE runs ADD COLUMN retry_due     TEXT;      -- JSON: number, limit, boot clock, boot id
CREATE INDEX runs_succeeded ON runs (dag, owner, COALESCE(scheduled_for, created_at))
    WHERE parent IS NULL AND status = 4;
CREATE INDEX runs_retrying ON runs (retry_at) WHERE retry_at IS NOT NULL;

-- What is decided of a DAG's schedules, whether it is installed or not.
CREATE TABLE plans (
    dag       INTEGER PRIMARY KEY REFERENCES words (id),
    watermark INTEGER,                    -- scheduled times up to this one are decided
    suspended INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The last good version of each installed DAG.
CREATE TABLE installed (
    dag     INTEGER PRIMARY KEY REFERENCES words (id),
    file    TEXT NOT NULL,                -- path below the directory of its kind
    owner   INTEGER,                      -- user id; NULL: a DAG of the system
    mode    INTEGER NOT NULL,             -- permission bits of the file
    at      INTEGER NOT NULL,             -- when this version was read
    source  TEXT NOT NULL,
    base    TEXT,                         -- base configuration it was read with
    schemas TEXT                          -- JSON
) STRICT;

-- Queues that start nothing.
CREATE TABLE paused (
    grp INTEGER PRIMARY KEY REFERENCES words (id)
) STRICT;

-- Notifications that are to be given and are not given yet.
CREATE TABLE notices (
    id    INTEGER PRIMARY KEY,
    run   INTEGER NOT NULL REFERENCES runs (id),
    event TEXT NOT NULL,                  -- succeeded, failed or lost
    at    INTEGER NOT NULL,
    facts TEXT NOT NULL                   -- JSON
) STRICT;

-- Retention finds what is old by owner and name, and the tree of a run from its root.
CREATE INDEX runs_ended ON runs (dag, owner, created_at) WHERE parent IS NULL AND status IN (2, 3, 4, 6, 8);
CREATE INDEX runs_by_root ON runs (root, depth) WHERE root IS NOT NULL;
CREATE INDEX runs_by_schedule ON runs (dag, scheduled_for) WHERE scheduled_for IS NOT NULL;
CREATE INDEX runs_by_snapshot ON runs (snapshot);
CREATE INDEX notices_by_run ON notices (run);

-- Directories of runs that are removed: what is here, no run has any more. Such a run is not accepted or retried
-- before they are gone.
CREATE TABLE removals (
    attempt TEXT PRIMARY KEY,             -- name of the directory; that of number 0 is the run's scratch directory
    at      INTEGER,                      -- when the attempt was intended; NULL: a scratch directory
    tree    TEXT NOT NULL,                -- name of the root's scratch directory
    root    INTEGER                       -- the root's run, as long as only a part of its tree is removed
) STRICT, WITHOUT ROWID;
CREATE INDEX removals_by_tree ON removals (tree);
CREATE INDEX removals_unfinished ON removals (root) WHERE root IS NOT NULL;
