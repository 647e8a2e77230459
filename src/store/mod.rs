//! The store: SQLite behind one small interface, with group commit.
