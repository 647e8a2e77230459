//! Limits that are part of a format or protocol. Limits an administrator may change are in the configuration.

/// Longest DAG name, in bytes.
pub const DAG_NAME_MAX: usize = 40;
/// Longest run id, in bytes.
pub const RUN_ID_MAX: usize = 64;
/// Longest attempt id, in bytes: a legacy one is `legacy_` and the hexadecimal run id.
pub const ATTEMPT_ID_MAX: usize = 140;
/// Longest group (queue) name, in bytes.
pub const GROUP_NAME_MAX: usize = 64;
/// Longest step name, in bytes.
pub const STEP_NAME_MAX: usize = 255;
/// Longest step id, in bytes.
pub const STEP_ID_MAX: usize = 40;
/// Largest DAG file, in bytes.
pub const DAG_SOURCE_MAX: usize = 4 * 1024 * 1024;
/// Largest JSON schema of parameters, in bytes.
pub const SCHEMA_MAX: usize = 256 * 1024;
/// Most bytes of the JSON schemas of one DAG file together, counted once for each document that refers to one.
pub const SCHEMAS_MAX: usize = 1024 * 1024;
/// Most steps of one DAG.
pub const STEPS_MAX: usize = 100_000;
/// Largest frame of the control and status protocols unless configured otherwise, in bytes.
pub const FRAME_MAX: usize = 8 * 1024 * 1024;
/// Largest message between daemon and shim, in bytes: the launch specification holds the whole DAG.
pub const SPEC_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of the captured outputs of one attempt together, those that a retry takes over included: names and values as
/// JSON texts, and [`OUTPUT_OVERHEAD`] for each. An attempt tells its outputs twice, step by step and collected, and they
/// must fit one record of its journal, an answer of [`FRAME_MAX`] and a specification of [`SPEC_MAX`], whatever is escaped
/// in them.
pub const OUTPUTS_MAX: usize = 3 * 1024 * 1024;
/// What a captured output counts besides its name and value, in bytes.
pub const OUTPUT_OVERHEAD: usize = 32;
/// Most sub-runs of one parallel step.
pub const PARALLEL_MAX: usize = 1000;
/// Most bytes of the parameters of one sub-run, names and values together: with the text of its DAG they are one message.
pub const CALL_PARAMS_MAX: usize = 2 * 1024 * 1024;
/// Most calls between the root of a tree of runs and a run in it: a DAG that calls itself ends here.
pub const CALL_DEPTH_MAX: u32 = 16;
/// Longest text of an error, a reason or a condition in a fact, in bytes; longer ones are cut.
pub const TEXT_MAX: usize = 8 * 1024;
