//! The process that supervises one attempt.
