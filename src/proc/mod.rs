//! The proc directory: one entry per live attempt, at `<group>/<dag>/proc_<UTC>Z_<hex run>_<hex attempt>.proc`.
//!
//! It owns the names ([`name`]), the bytes ([`entry`]), the directory ([`dir`], [`prepare`], [`scan`],
//! [`leftover`]), the shim's side ([`handle`]), news of deletions ([`watch`]) and the judgement over the
//! witnesses ([`verdict`](mod@verdict)). Only `proctord` calls what creates, renames or removes; the shim is
//! handed an open descriptor and never a path (DESIGN §2).
//!
//! It must not signal processes, know what a run's history says, or act on a verdict: that is the engine's part.

pub mod dir;
pub mod entry;
pub mod handle;
pub mod leftover;
pub mod name;
pub mod prepare;
mod read;
pub mod scan;
pub mod verdict;
pub mod watch;

pub use dir::{ProcDir, ProcError, Removal};
pub use entry::{Entry, EntryError, LockState, Meta, Owner};
pub use handle::ProcHandle;
pub use leftover::Leftover;
pub use name::{EntryName, NameError};
pub use prepare::Prepared;
pub use scan::{BadEntry, Scan};
pub use verdict::{Evidence, Heartbeat, ShimState, Verdict, Writer, verdict};
pub use watch::{ProcEvent, ProcWatch};

#[cfg(test)]
mod tests;
