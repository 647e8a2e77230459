//! Every system call, as small safe types. The only module that holds `unsafe` (in `raw`).
//!
//! It owns the shape of the calls, not what they are used for: no rule about attempts, queues or users
//! is written here. It is also the only reader of clocks ([`clock`]).

pub mod cgroup;
pub mod clock;
pub mod creds;
pub mod epoll;
pub mod exec;
pub mod fdpass;
pub mod features;
pub mod files;
pub mod identity;
pub mod inherited;
pub mod inotify;
pub mod lock;
pub mod pidfd;
pub mod pipe;
mod raw;
pub mod reactor;
pub mod reap;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod stdio;
#[cfg(test)]
pub(crate) mod testing;
pub mod timezone;
pub mod usage;
