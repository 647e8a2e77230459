//! Each transition by itself.
