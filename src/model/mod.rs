//! The vocabulary: ids, statuses, facts, outcomes, limits. No I/O and no clock.
