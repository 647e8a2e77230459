//! Where what steps write goes.

use serde::{Deserialize, Serialize};

/// Where what steps write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutput {
    /// To their log files.
    #[default]
    File,
    /// To the journal. Their log files are there while the attempt lives; afterwards those stay of which the journal has not
    /// taken everything.
    Journal,
    /// To both.
    Both,
}

impl StepOutput {
    /// The word for it in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Journal => "journal",
            Self::Both => "both",
        }
    }

    /// Whether the journal gets it.
    #[must_use]
    pub const fn is_to_journal(self) -> bool {
        matches!(self, Self::Journal | Self::Both)
    }
}
