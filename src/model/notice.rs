//! Notices: what operators are told of the end of a run, by a command of theirs.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::limits::TEXT_MAX;
use super::view::RunView;
use super::{AttemptId, LostCause, RunRef, RunStatus, Time, Trigger};

/// What operators are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeEvent {
    /// A run failed and is not tried again by itself.
    Failed,
    /// A run's last attempt died without a final record.
    Lost,
    /// A run succeeded, also in part.
    Succeeded,
}

impl NoticeEvent {
    /// Every event, in the order of the configuration.
    pub const ALL: [Self; 3] = [Self::Failed, Self::Lost, Self::Succeeded];

    /// The word for it in the configuration, in the store and in the hook's environment.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Succeeded => "succeeded",
        }
    }

    /// The event a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == word)
    }

    /// What a run's end is, if operators are told of such an end. A run that was stopped ends as somebody wanted, and one
    /// that was refused its approval was decided about by a person: there is nothing to tell.
    #[must_use]
    pub const fn of(status: RunStatus, lost: bool) -> Option<Self> {
        match status {
            RunStatus::Failed if lost => Some(Self::Lost),
            RunStatus::Failed => Some(Self::Failed),
            RunStatus::Succeeded | RunStatus::PartiallySucceeded => Some(Self::Succeeded),
            RunStatus::NotStarted
            | RunStatus::Running
            | RunStatus::Aborted
            | RunStatus::Queued
            | RunStatus::Waiting
            | RunStatus::Rejected => None,
        }
    }
}

impl fmt::Display for NoticeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a hook is told of a run besides its name. Errors of steps had their secrets masked by the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeFacts {
    /// The last attempt; none if the run never had one.
    pub attempt: Option<AttemptId>,
    /// How many attempts it has had.
    pub attempts: u32,
    /// Final status.
    pub status: RunStatus,
    /// The error in words, at most [`TEXT_MAX`] bytes.
    pub error: Option<String>,
    /// Why the last attempt was lost, if it was.
    pub lost: Option<LostCause>,
    /// User id the run belongs to.
    pub owner: u32,
    /// What made the run.
    pub trigger: Trigger,
    /// When the last attempt began.
    pub started_at: Option<Time>,
    /// When the run ended.
    pub finished_at: Option<Time>,
    /// Directory of the last attempt's logs; empty if it never had one.
    pub log_dir: String,
}

impl NoticeFacts {
    /// What the view of an ended run says. `lost` is why its last attempt was lost, if it was.
    #[must_use]
    pub fn of(view: &RunView, lost: Option<LostCause>) -> Self {
        let mut error = view.error.clone();
        if let Some(text) = &mut error {
            let mut end = text.len().min(TEXT_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        Self {
            attempt: view.attempt.clone().filter(|_| view.number > 0),
            attempts: view.number,
            status: view.status,
            error,
            lost,
            owner: view.owner,
            trigger: view.trigger,
            started_at: view.started_at,
            finished_at: view.finished_at,
            log_dir: view.log_dir.clone(),
        }
    }
}

/// Something that operators are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its number. A later notice has a larger one.
    pub id: i64,
    /// The run.
    pub run: RunRef,
    /// What happened.
    pub event: NoticeEvent,
    /// When.
    pub at: Time,
    /// What is told besides.
    pub facts: NoticeFacts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_event() {
        for status in RunStatus::ALL {
            let (usual, lost) = match status {
                RunStatus::Failed => (Some(NoticeEvent::Failed), Some(NoticeEvent::Lost)),
                RunStatus::Succeeded | RunStatus::PartiallySucceeded => {
                    (Some(NoticeEvent::Succeeded), Some(NoticeEvent::Succeeded))
                }
                _ => (None, None),
            };
            assert_eq!(NoticeEvent::of(*status, false), usual, "{status}");
            assert_eq!(NoticeEvent::of(*status, true), lost, "{status}");
        }
        for event in NoticeEvent::ALL {
            assert_eq!(NoticeEvent::from_word(event.as_str()), Some(event));
        }
        assert_eq!(NoticeEvent::from_word("aborted"), None);
    }
}
