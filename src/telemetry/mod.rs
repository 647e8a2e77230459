//! Logging to journald or stderr, and the names of its fields.
