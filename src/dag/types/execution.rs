//! What a DAG says of the processes of its attempts: whose they are and what they may use.

use serde::{Deserialize, Serialize};

use crate::model::Resources;

/// As whom the attempts of a DAG run, and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Execution {
    /// Name of the user that the runs belong to; none is who starts them, or whose DAG it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// Whether its processes can never gain privileges; none is as the daemon is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_new_privs: Option<bool>,
    /// What an attempt may use.
    pub limits: Resources,
    /// Whether the text is the system's own, so that its limits may go beyond those for users. No text says that: the daemon
    /// knows it from where the text comes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub of_system: bool,
}

impl Execution {
    /// What the recorded DAG in this JSON text says; the rest of it is skipped.
    ///
    /// # Errors
    /// The text is not that of a DAG.
    pub fn of_json(dag: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Recorded {
            #[serde(default)]
            execution: Execution,
        }
        serde_json::from_str::<Recorded>(dag).map(|recorded| recorded.execution)
    }
}
