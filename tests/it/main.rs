//! The three programs together, as people meet them: a private daemon in a directory of its own, killed, starved and fed
//! with rubbish. Each test has a daemon of its own and fails if that leaves anything behind.
//!
//! `PROCTOR_IT_SEED=n` replays what is random.

#[cfg(test)]
mod access;
#[cfg(test)]
mod account;
#[cfg(test)]
mod again;
#[cfg(test)]
mod approval;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod client;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod dags;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod downtime;
#[cfg(test)]
mod entries;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod held;
#[cfg(test)]
mod helper;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod installed;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod manager;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod names;
#[cfg(test)]
mod output;
#[cfg(test)]
#[path = "../docs/examples.rs"]
mod page;
#[cfg(test)]
mod place;
#[cfg(test)]
mod prop;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod router;
#[cfg(test)]
mod run_as;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod stalled;
#[cfg(test)]
mod start;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod trees;
#[cfg(test)]
mod users;
#[cfg(test)]
mod verbs;
#[cfg(test)]
mod why;
