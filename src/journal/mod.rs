//! The append-only journal of an attempt.
