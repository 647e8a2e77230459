//! `proctord.toml`: read, validate, explain.
