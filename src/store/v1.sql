-- Schema 1. Times are microseconds since the Unix epoch, UTC. Statuses, triggers and ways of ending are the
-- numbers of codes.rs. NULL stands for "none" and for an empty list.

-- DAG names, group names and directories: texts that many rows share.
CREATE TABLE words (
    id   INTEGER PRIMARY KEY,
    word TEXT NOT NULL UNIQUE
) STRICT;

-- DAGs as they were, once per content.
CREATE TABLE dags (
    id       INTEGER PRIMARY KEY,
    hash     TEXT NOT NULL UNIQUE,
    count    INTEGER NOT NULL,          -- number of steps
    steps    TEXT NOT NULL,             -- names, JSON array
    handlers TEXT NOT NULL,             -- JSON array of [handler, name]
    json     TEXT NOT NULL              -- last: it may be long, and what is behind it is slow to reach
) STRICT;

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY,
    dag         INTEGER NOT NULL REFERENCES words (id),
    run_id      TEXT NOT NULL,
    snapshot    INTEGER NOT NULL REFERENCES dags (id),
    grp         INTEGER NOT NULL REFERENCES words (id),
    base_dir    INTEGER NOT NULL REFERENCES words (id),
    capacity    INTEGER NOT NULL,
    owner       INTEGER NOT NULL,
    trigger     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,       -- number of the newest attempt
    launched    INTEGER NOT NULL,       -- 1: the status is the newest attempt's; 0: the run's own
    error       TEXT,                   -- of a run that ended without an attempt
    ended_at    INTEGER,                -- of a run that ended without an attempt
    stop        TEXT,                   -- reason, JSON
    stopped_at  INTEGER,
    params      TEXT,                   -- JSON array of [name, value]
    params_json TEXT
) STRICT;
CREATE UNIQUE INDEX runs_by_name ON runs (dag, run_id);
CREATE INDEX runs_by_time ON runs (created_at);
CREATE INDEX runs_by_dag_and_time ON runs (dag, created_at);
CREATE INDEX runs_open ON runs (created_at) WHERE status IN (0, 1, 5, 7);

-- Runs that wait. Smaller is earlier.
CREATE TABLE queue (
    position INTEGER PRIMARY KEY,
    run      INTEGER NOT NULL UNIQUE REFERENCES runs (id),
    grp      INTEGER NOT NULL REFERENCES words (id)
) STRICT;
CREATE INDEX queue_by_group ON queue (grp);

CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY,
    run         INTEGER NOT NULL REFERENCES runs (id),
    number      INTEGER NOT NULL,
    attempt     TEXT NOT NULL,
    status      INTEGER NOT NULL,
    intended_at INTEGER NOT NULL,       -- its day is the day of the attempt's directory
    started_at  INTEGER,
    ended_at    INTEGER,
    done        INTEGER,                -- number of steps that were done at the end
    flags       INTEGER NOT NULL,       -- 1: time limit was over; 2: SIGKILL ended the grace period
    error       TEXT,
    lost        TEXT,                   -- cause, JSON
    stop        TEXT,                   -- reason, JSON
    params      TEXT,                   -- effective ones, if they are told; JSON array of [name, value]
    outputs     TEXT                    -- JSON array of [name, value]
) STRICT;
CREATE UNIQUE INDEX attempts_by_name ON attempts (attempt);
CREATE UNIQUE INDEX attempts_by_run ON attempts (run, number);

-- Attempts that may have processes (ended = 0) or files that are to be removed (ended = 1). Small for ever, so
-- recovery never looks at history.
CREATE TABLE held (
    attempt     INTEGER PRIMARY KEY REFERENCES attempts (id),
    ended       INTEGER NOT NULL,
    pid         INTEGER,                -- NULL: no shim is known
    pidfs_inode INTEGER,
    start_ticks INTEGER,
    boot_id     TEXT,
    cgroup_id   INTEGER
) STRICT;

-- Nodes that something has happened to. Node: position of a step, or -1 to -6 for a handler.
CREATE TABLE steps (
    attempt     INTEGER NOT NULL REFERENCES attempts (id),
    node        INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    flags       INTEGER NOT NULL,       -- 1: repeated; 2: failure tolerated
    retries     INTEGER NOT NULL,
    executions  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    next_try_at INTEGER,
    pid         INTEGER,
    exit_code   INTEGER,
    exit        INTEGER,
    stdout      TEXT,                   -- inside the attempt's log directory unless absolute
    stderr      TEXT,                   -- '' is: the same as stdout
    error       TEXT,
    variables   TEXT,                   -- JSON array of [name, value]
    PRIMARY KEY (attempt, node)
) STRICT, WITHOUT ROWID;
