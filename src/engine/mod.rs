//! The two pure state machines that hold all rules. Neither does I/O nor reads a clock; both take
//! `(state, now, event)` and return effects, so a simulated world can run them through any history.

pub mod attempt;
pub mod scheduler;
