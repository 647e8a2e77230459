-- Schema 2: runs that are called by a step of another run.

ALTER TABLE runs ADD COLUMN parent INTEGER REFERENCES runs (id);
ALTER TABLE runs ADD COLUMN root   INTEGER REFERENCES runs (id);    -- NULL if and only if parent is
ALTER TABLE runs ADD COLUMN caller TEXT;                            -- name of the calling step
ALTER TABLE runs ADD COLUMN asked  INTEGER;                         -- number of the parent's attempt that asked last
ALTER TABLE runs ADD COLUMN depth  INTEGER NOT NULL DEFAULT 0;      -- calls between the root and this run
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;

-- Lists hold runs that somebody asked for: those they called are found through them.
DROP INDEX runs_by_time;
DROP INDEX runs_by_dag_and_time;
CREATE INDEX runs_by_time ON runs (created_at) WHERE parent IS NULL;
CREATE INDEX runs_by_dag_and_time ON runs (dag, created_at) WHERE parent IS NULL;

-- Sub-runs of the step's last execution: JSON array of [dag, run id, parameters, run status].
ALTER TABLE steps ADD COLUMN children TEXT;
