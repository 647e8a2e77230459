//! Reading the content of an entry: every defect has its own error.

use serde_json::{Map, Value};

use super::{EntryError, FUTURE_MAX_SECS, HEARTBEAT_LEN, Meta, Owner};
use crate::model::change::AttemptIdentity;
use crate::model::{AttemptId, DagName, IdError, RunId, RunRef, Time};
use crate::proc::name::{EntryName, NameIds, legacy_attempt};

/// The content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Last beat: seconds since the Unix epoch.
    pub heartbeat: u64,
    /// Whose entry it is.
    pub meta: Meta,
    /// What Proctor added.
    pub owner: Option<Owner>,
}

/// Reads the content of the file `name` in the directory of `dag`. The heartbeat may be of any time; see
/// [`check_heartbeat`].
///
/// # Errors
/// All of [`EntryError`] that concern the content.
pub fn decode(dag: &DagName, name: &EntryName, mtime: Time, bytes: &[u8]) -> Result<Body, EntryError> {
    let Some((beat, json)) = bytes.split_first_chunk::<HEARTBEAT_LEN>() else {
        return Err(EntryError::NoTimestamp { len: bytes.len() });
    };
    let heartbeat = u64::from_be_bytes(*beat);
    match name.ids() {
        NameIds::Legacy { run } => {
            if !json.is_empty() {
                return Err(EntryError::UnexpectedMetadata { len: json.len() });
            }
            let run = RunRef {
                dag: dag.clone(),
                id: run.clone(),
            };
            let attempt = legacy_attempt(&run.id).map_err(|e| field("attempt_id", &e))?;
            let beat = || i64::try_from(heartbeat).ok().filter(|beat| *beat > 0);
            let started_at = name.time().map(Time::secs).or_else(beat).unwrap_or(mtime.secs());
            let meta = Meta {
                root: Some(run.clone()),
                run,
                attempt,
                started_at,
            };
            Ok(Body {
                heartbeat,
                meta,
                owner: None,
            })
        }
        NameIds::Current { run, attempt } => {
            let members = parse(json)?;
            let meta = meta(&members)?;
            agree("dag_name", meta.run.dag.as_str(), dag.as_str())?;
            agree("dag_run_id", meta.run.id.as_str(), run.as_str())?;
            agree("attempt_id", meta.attempt.as_str(), attempt.as_str())?;
            Ok(Body {
                heartbeat,
                meta,
                owner: owner(&members),
            })
        }
    }
}

/// Refuses a heartbeat that is too far in the future.
///
/// # Errors
/// [`EntryError::FutureHeartbeat`].
pub fn check_heartbeat(heartbeat: u64, now: Time) -> Result<(), EntryError> {
    match heartbeat.checked_sub(u64::try_from(now.secs()).unwrap_or(0)) {
        Some(ahead) if ahead > FUTURE_MAX_SECS => Err(EntryError::FutureHeartbeat { heartbeat, ahead }),
        _ => Ok(()),
    }
}

fn shown(text: &str) -> String {
    text.chars()
        .take(60)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

fn field(field: &'static str, error: &IdError) -> EntryError {
    EntryError::Field {
        field,
        reason: error.to_string(),
    }
}

fn agree(field: &'static str, body: &str, place: &str) -> Result<(), EntryError> {
    if body == place {
        return Ok(());
    }
    Err(EntryError::Mismatch {
        field,
        body: body.to_owned(),
        place: place.to_owned(),
    })
}

fn parse(json: &[u8]) -> Result<Map<String, Value>, EntryError> {
    if json.is_empty() {
        return Err(EntryError::NoMetadata);
    }
    serde_json::from_slice(json).map_err(|error| {
        if error.is_eof() {
            EntryError::MetadataTruncated { len: json.len() }
        } else {
            EntryError::NotJson {
                reason: shown(&error.to_string()),
            }
        }
    })
}

fn text<'a>(members: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, EntryError> {
    match members.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(EntryError::Field {
            field,
            reason: "it is not a string".to_owned(),
        }),
        None => Err(EntryError::Field {
            field,
            reason: "it is missing".to_owned(),
        }),
    }
}

/// A text that may be left out; an empty one counts as left out.
fn optional<'a>(members: &'a Map<String, Value>, field: &'static str) -> Result<Option<&'a str>, EntryError> {
    match members.get(field) {
        None => Ok(None),
        Some(_) => text(members, field).map(|text| Some(text).filter(|text| !text.is_empty())),
    }
}

fn meta(members: &Map<String, Value>) -> Result<Meta, EntryError> {
    match members.get("version") {
        Some(version) if version.as_u64() == Some(1) => {}
        Some(other) => {
            return Err(EntryError::Version {
                found: shown(&other.to_string()),
            });
        }
        None => {
            return Err(EntryError::Field {
                field: "version",
                reason: "it is missing".to_owned(),
            });
        }
    }
    let dag = |name: &'static str, text| DagName::new(text).map_err(|e: IdError| field(name, &e));
    let run_id = |name: &'static str, text| RunId::new(text).map_err(|e: IdError| field(name, &e));
    let run = RunRef {
        dag: dag("dag_name", text(members, "dag_name")?)?,
        id: run_id("dag_run_id", text(members, "dag_run_id")?)?,
    };
    let attempt = AttemptId::new(text(members, "attempt_id")?).map_err(|e| field("attempt_id", &e))?;
    let root = match (
        optional(members, "root_name")?,
        optional(members, "root_dag_run_id")?,
    ) {
        (Some(name), Some(id)) => Some(RunRef {
            dag: dag("root_name", name)?,
            id: run_id("root_dag_run_id", id)?,
        }),
        (None, None) => None,
        (name, _) => {
            let (field, other) = match name {
                None => ("root_name", "root_dag_run_id"),
                Some(_) => ("root_dag_run_id", "root_name"),
            };
            return Err(EntryError::Field {
                field,
                reason: format!("it is missing though {other} is there"),
            });
        }
    };
    let started_at = members.get("started_at").ok_or(EntryError::Field {
        field: "started_at",
        reason: "it is missing".to_owned(),
    })?;
    let started_at = started_at
        .as_i64()
        .filter(|secs| *secs > 0)
        .ok_or_else(|| EntryError::Field {
            field: "started_at",
            reason: format!(
                "{} is not an integer greater than 0",
                shown(&started_at.to_string())
            ),
        })?;
    Ok(Meta {
        run,
        attempt,
        root,
        started_at,
    })
}

/// Proctor's own members. If one is missing or of another kind, all are taken for members of another writer,
/// whose meaning is not known; a reader of version 1 ignores such.
fn owner(members: &Map<String, Value>) -> Option<Owner> {
    let text = |field| {
        members
            .get(field)
            .and_then(Value::as_str)
            .filter(|text: &&str| !text.is_empty())
    };
    let number = |field| members.get(field).and_then(Value::as_u64);
    let small = |field| number(field).and_then(|value| u32::try_from(value).ok());
    Some(Owner {
        identity: AttemptIdentity {
            pid: small("pid").filter(|pid| *pid > 0)?,
            pidfs_inode: number("pidfs_inode"),
            start_ticks: number("start_ticks"),
            boot_id: text("boot_id")?.to_owned(),
            cgroup_id: number("cgroup_id"),
        },
        uid: small("uid")?,
        socket: text("socket")?.to_owned(),
    })
}
