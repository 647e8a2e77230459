-- Schema 5: what attempts used, and what brought them to a bad end.

-- NULL is not known, which is not 0.
ALTER TABLE attempts ADD COLUMN cpu_user     INTEGER;  -- microseconds
ALTER TABLE attempts ADD COLUMN cpu_system   INTEGER;  -- microseconds
ALTER TABLE attempts ADD COLUMN mem_peak     INTEGER;  -- bytes
ALTER TABLE attempts ADD COLUMN rss_max      INTEGER;  -- bytes of the largest process
ALTER TABLE attempts ADD COLUMN io_read      INTEGER;  -- bytes
ALTER TABLE attempts ADD COLUMN io_written   INTEGER;  -- bytes
ALTER TABLE attempts ADD COLUMN pids_peak    INTEGER;
ALTER TABLE attempts ADD COLUMN oom_kills    INTEGER;
ALTER TABLE attempts ADD COLUMN pids_refused INTEGER;
ALTER TABLE attempts ADD COLUMN cause        TEXT;     -- JSON
ALTER TABLE steps    ADD COLUMN cause        TEXT;     -- JSON
