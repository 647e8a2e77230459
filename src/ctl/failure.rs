//! Why a verb could not do its work: one type for all verbs, with the exit status and what to tell the user.

use std::fmt;
use std::path::Path;

use super::client::ClientError;
use super::exit::Exit;
use crate::model::IdError;
use crate::wire::control::Problem;

/// A failure, told once by [`super::main`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// How the call ends.
    pub(super) exit: Exit,
    /// What failed, on what, why.
    pub(super) message: String,
    /// What would cure it.
    pub(super) hint: Option<String>,
    /// Places in a DAG file.
    pub(super) problems: Vec<Problem>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            problems: Vec::new(),
        }
    }

    /// The command line is wrong in a way that the parser cannot see.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A file or directory of the user cannot be used.
    pub(super) fn file(operation: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::usage(format!("cannot {operation} {}: {error}", path.display()))
    }

    /// A call of the system failed that the verb cannot do without.
    pub(super) fn system(what: &str, error: &std::io::Error) -> Self {
        Self::new(Exit::Bug, format!("{what}: {error}"))
    }

    /// The daemon gave an answer that does not belong to the request.
    pub(super) fn unexpected() -> Self {
        ClientError::Unexpected.into()
    }

    #[must_use]
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        let exit = match &error {
            ClientError::Connect { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Exit::Denied
            }
            ClientError::Refused { kind, .. } => Exit::of_refusal(*kind),
            ClientError::Encode(_) | ClientError::Unexpected => Exit::Bug,
            _ => Exit::Unreachable,
        };
        let failure = Self::new(exit, message);
        match error {
            ClientError::Connect { .. } if exit == Exit::Unreachable => failure.with_hint(
                "is proctord running? name its directory with --root, or add --embedded to start one",
            ),
            ClientError::Refused { hint, problems, .. } => Self {
                hint,
                problems,
                ..failure
            },
            _ => failure,
        }
    }
}

impl From<IdError> for Failure {
    fn from(error: IdError) -> Self {
        Self::usage(error.to_string())
    }
}
