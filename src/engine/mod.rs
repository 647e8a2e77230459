//! The two pure state machines that hold all rules.
