//! JSON schemas of parameters on their way from the file system to the loader, which opens nothing itself.

use serde::{Deserialize, Serialize};

/// A schema that a document of a DAG file refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaRef {
    /// The path as it is written: relative to the current directory, to `working_dir`, or to the DAG file's directory.
    pub path: String,
    /// The document's `working_dir` as written.
    pub working_dir: Option<String>,
}

/// What was found where a document refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaFile {
    /// The reference that is answered.
    pub wanted: SchemaRef,
    /// The schema's text; none if it could not be read.
    pub text: Option<String>,
    /// Why it could not be read.
    pub error: Option<String>,
}

impl SchemaFile {
    /// The answer to a reference: the text, or why there is none.
    #[must_use]
    pub fn new(wanted: SchemaRef, text: Result<String, String>) -> Self {
        let (text, error) = match text {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(error)),
        };
        Self { wanted, text, error }
    }
}
