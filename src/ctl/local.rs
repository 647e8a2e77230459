//! What `validate` and `dry-run` share: loading a DAG file here, without a daemon.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::out::Out;
use super::schemas::{self, Referring};
use super::verbs::run::read_text;
use crate::dag::params::{self, ParamInput, ResolvedParams};
use crate::dag::{BaseConfig, Dag, Diagnostic, LoadOptions, Loaded, Source, load, render};
use crate::model::SchemaFile;
use crate::wire::control::Problem;

/// A DAG file and what it is to be loaded with.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct FileArgs {
    /// The DAG file
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,

    #[command(flatten)]
    pub(super) with: LoadArgs,
}

/// What a DAG file is to be loaded with.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct LoadArgs {
    /// Parameters as one text: `a b`, `K=V`, or a JSON object
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    params: Option<String>,

    /// Name for the DAG, before the one in the file
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// File with settings that hold where the DAG says nothing
    #[arg(long, value_name = "FILE")]
    base_config: Option<PathBuf>,

    /// Working directory where the DAG names none
    #[arg(long, value_name = "DIR")]
    default_working_dir: Option<String>,

    /// Parameters, each a value or NAME=VALUE
    #[arg(last = true, value_name = "PARAM")]
    args: Vec<String>,
}

/// The texts of a load, kept so that diagnostics can show their lines.
#[derive(Debug)]
pub(super) struct Texts {
    file: (String, String),
    base: Option<(String, String)>,
    /// None if they are not wanted.
    schemas: Option<Vec<SchemaFile>>,
    /// Absolute directory of the DAG file.
    pub(super) base_dir: String,
}

/// What is to be done with a file beside loading it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Check the parameters against it.
    pub(super) resolve: bool,
    /// Evaluate what follows from parameters alone.
    pub(super) evaluate: bool,
}

/// A DAG with the parameters of the command line.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) dag: Dag,
    /// None if none were wanted.
    pub(super) params: Option<ResolvedParams>,
    pub(super) warnings: Vec<Diagnostic>,
}

impl LoadArgs {
    /// Nothing but a base configuration, and a name for the DAG.
    pub(super) fn base(base_config: Option<PathBuf>, name: Option<String>) -> Self {
        Self {
            base_config,
            name,
            ..Self::default()
        }
    }
}

impl Texts {
    /// A text that was not read here, to be loaded without a base configuration and JSON schemas.
    pub(super) const fn given(file: String, text: String) -> Self {
        Self {
            file: (file, text),
            base: None,
            schemas: None,
            base_dir: String::new(),
        }
    }

    /// With a base configuration.
    pub(super) fn over(self, base: Option<&Path>) -> Result<Self, Failure> {
        let base = base.map(named).transpose()?;
        Ok(Self { base, ..self })
    }
}

/// A file's text, with the name that messages call it by.
fn named(path: &Path) -> Result<(String, String), Failure> {
    Ok((path.to_string_lossy().into_owned(), read_text(path)?))
}

impl FileArgs {
    /// How messages call the file.
    pub(super) fn file(&self) -> String {
        self.file.to_string_lossy().into_owned()
    }

    /// Reads the files; with `schemas`, also the JSON schemas they refer to, without which they are loaded else.
    pub(super) fn read(&self, schemas: bool) -> Result<Texts, Failure> {
        let absolute =
            std::path::absolute(&self.file).map_err(|error| Failure::file("find", &self.file, &error))?;
        let base_dir = absolute.parent().map(|dir| dir.to_string_lossy().into_owned());
        let mut texts = Texts {
            file: named(&self.file)?,
            base: self.with.base_config.as_deref().map(named).transpose()?,
            schemas: None,
            base_dir: base_dir.unwrap_or_default(),
        };
        if schemas {
            texts.schemas = Some(schemas::read(&Referring {
                source: &texts.file.1,
                base: texts.base.as_ref().map(|(_, text)| text.as_str()),
                base_dir: &texts.base_dir,
                default_working_dir: self.with.default_working_dir.as_deref(),
            }));
        }
        Ok(texts)
    }

    /// Whether parameters are given.
    pub(super) fn has_params(&self) -> bool {
        self.with.params.is_some() || !self.with.args.is_empty()
    }

    /// Loads the DAG.
    pub(super) fn load(&self, texts: &Texts, wanted: Wanted) -> Result<Ready, Vec<Diagnostic>> {
        let stem = self
            .file
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let source = Source {
            text: texts.file.1.as_bytes(),
            file: &texts.file.0,
            stem: stem.as_deref().unwrap_or_default(),
        };
        let base = texts.base.as_ref().map(|(file, text)| BaseConfig {
            text: text.as_bytes(),
            file,
        });
        let options = LoadOptions {
            name: self.with.name.as_deref(),
            base,
            default_working_dir: self.with.default_working_dir.as_deref(),
            sub_dag: false,
            schemas: texts.schemas.as_deref().unwrap_or_default(),
            skip_schemas: texts.schemas.is_none(),
        };
        let Loaded { dag, warnings } = load(&source, &options)?;
        let input = ParamInput {
            text: self.with.params.clone(),
            args: self.with.args.clone(),
            pairs: Vec::new(),
        };
        let mut params = wanted
            .resolve
            .then(|| params::resolve(&dag.params, &input))
            .transpose()?;
        if let Some(params) = params.as_mut().filter(|_| wanted.evaluate) {
            params.settle_known(&dag.params)?;
        }
        Ok(Ready {
            dag,
            params,
            warnings,
        })
    }
}

impl FileArgs {
    /// The same for verbs that cannot go on with errors: they are shown, and the failure says what was wanted.
    pub(super) fn load_or_fail(
        &self,
        texts: &Texts,
        wanted: Wanted,
        what: &str,
        out: &mut Out,
    ) -> Result<Ready, Failure> {
        self.load(texts, wanted).map_err(|errors| {
            let message = format!("{} {what}", self.file());
            if !out.json {
                show(&errors, texts, out);
                return Failure::usage(message);
            }
            let first = errors.first().map(Diagnostic::to_string).unwrap_or_default();
            Failure {
                problems: problems(&errors),
                ..Failure::usage(format!("{message}: {first}"))
            }
        })
    }
}

/// Shows diagnostics with their source lines, on standard error.
pub(super) fn show(diagnostics: &[Diagnostic], texts: &Texts, out: &mut Out) {
    let sources: Vec<(&str, &[u8])> = std::iter::once(&texts.file)
        .chain(&texts.base)
        .map(|(file, text)| (file.as_str(), text.as_bytes()))
        .collect();
    out.diagnostics(&render(diagnostics, &sources, true));
}

/// The same for the JSON answer.
pub(super) fn problems(diagnostics: &[Diagnostic]) -> Vec<Problem> {
    diagnostics
        .iter()
        .map(|diagnostic| Problem {
            message: diagnostic.message.clone(),
            file: diagnostic.file.clone(),
            line: diagnostic.line,
            column: diagnostic.column,
            hint: diagnostic.hint.clone(),
        })
        .collect()
}
