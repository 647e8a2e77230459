//! The vocabulary every other module speaks: ids, statuses, facts, outcomes, views and limits.
//!
//! Nothing here does I/O, reads a clock or allocates from untrusted lengths. Values that reach a file name are
//! validated newtypes, also when they are deserialized, so that no path is ever built from a raw string.

pub mod access;
pub mod cause;
pub mod change;
pub mod fact;
pub mod hash;
pub mod ids;
pub mod limits;
pub mod notice;
pub mod outcome;
pub mod output;
pub mod policy;
pub mod resources;
pub mod schema;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod usage;
pub mod view;

pub use cause::{Cause, OomScope, OomVictim, PidsScope, RunCause};
pub use fact::{Fact, Handler, Node, Record, StopReason};
pub use ids::{AttemptId, DagName, GroupName, IdError, RunId, RunRef};
pub use notice::{Notice, NoticeEvent, NoticeFacts};
pub use outcome::{Exit, LostCause};
pub use output::StepOutput;
pub use policy::{PendingRetry, Priority, Retries, RetryPolicy, RetryRule};
pub use resources::{Amount, Resources, Rlimit, RlimitPair};
pub use schema::{SchemaFile, SchemaRef};
pub use status::{RunStatus, StepStatus, Trigger};
pub use time::{Boot, Now, Time};
pub use usage::Usage;
