//! The daemon: dispatcher, launcher, reaper, recovery, control server.
