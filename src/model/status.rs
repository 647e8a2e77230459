//! Statuses of runs and steps (seed-spec 3.1 and 3.3) and what triggered a run.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it in JSON, in the store and on the screen.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value a word stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words!(
    /// Status of a run, and of an attempt.
    RunStatus {
        /// Not begun yet.
        NotStarted = "not_started",
        /// An attempt is live.
        Running = "running",
        /// Ended with an error.
        Failed = "failed",
        /// Stopped, or its preconditions were not met.
        Aborted = "aborted",
        /// Ended without an error.
        Succeeded = "succeeded",
        /// Waits for a slot of its group.
        Queued = "queued",
        /// Ended with failures that the DAG tolerates.
        PartiallySucceeded = "partially_succeeded",
        /// Waits for a person's approval.
        Waiting = "waiting",
        /// A person refused approval.
        Rejected = "rejected",
    }
);

impl RunStatus {
    /// Whether the run is over: nothing more happens to it unless somebody asks for a new attempt.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Aborted | Self::Succeeded | Self::PartiallySucceeded | Self::Rejected
        )
    }

    /// Whether an attempt ends with it. A run that waits is not over, but nothing of it lives until somebody decides.
    #[must_use]
    pub const fn ends_attempt(self) -> bool {
        self.is_terminal() || matches!(self, Self::Waiting)
    }

    /// Whether it counts as a success.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Succeeded | Self::PartiallySucceeded)
    }
}

words!(
    /// Status of a step.
    StepStatus {
        /// Not begun.
        NotStarted = "not_started",
        /// Being executed, or between two tries.
        Running = "running",
        /// Ended with an error.
        Failed = "failed",
        /// Stopped, or something it depends on failed.
        Aborted = "aborted",
        /// Ended well.
        Succeeded = "succeeded",
        /// Its preconditions were not met, or a step it depends on was skipped.
        Skipped = "skipped",
        /// A sub-DAG that succeeded in part.
        PartiallySucceeded = "partially_succeeded",
        /// Waits for approval.
        Waiting = "waiting",
        /// Approval was refused.
        Rejected = "rejected",
        /// Waits for its next try.
        Retrying = "retrying",
    }
);

impl StepStatus {
    /// Whether the step is over. One that waits is not, although it does nothing more in this attempt.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(
            self,
            Self::Failed
                | Self::Aborted
                | Self::Succeeded
                | Self::Skipped
                | Self::PartiallySucceeded
                | Self::Rejected
        )
    }
}

words!(
    /// What made a run.
    Trigger {
        /// A person or a script, through the control socket.
        Manual = "manual",
        /// A schedule.
        Scheduler = "scheduler",
        /// A schedule whose time had passed while nothing ran.
        Catchup = "catchup",
        /// A step of another run.
        Subdag = "subdag",
        /// A retry of the run.
        Retry = "retry",
    }
);
