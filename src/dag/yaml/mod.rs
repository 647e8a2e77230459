//! A YAML text as a tree of nodes that know where they stand.
//!
//! Owns everything that is YAML: syntax, anchors, merge keys, the core schema's scalars, and the budgets that keep
//! a hostile text from costing more than a small multiple of its size. It knows nothing of DAGs.

mod read;
mod scalar;
#[cfg(test)]
mod tests;
mod text;

pub(super) use read::read;

use super::diag::Pos;

/// Deepest nesting of lists and maps.
pub(super) const DEPTH_MAX: usize = 64;
/// Most nodes of a text, those that aliases repeat included.
pub(super) const NODES_MAX: usize = 1_000_000;
/// Most nodes that anchors keep and aliases repeat: few texts need any, and each one is a copy.
pub(super) const COPIES_MAX: usize = 200_000;
/// Most bytes of scalars of a text, those that aliases repeat included.
pub(super) const TEXT_MAX: usize = 16 * 1024 * 1024;

/// What a plain scalar is in the core schema of YAML 1.2; a quoted one is always a string.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str,
}

impl Kind {
    /// The value, if it is a number.
    pub(in crate::dag) fn number(self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            Self::Null | Self::Bool(_) | Self::Str => None,
        }
    }
}

/// A scalar: what it is, and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar {
    pub kind: Kind,
    pub text: String,
}

/// A map entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Pos,
    pub value: Node,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A node and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub at: Pos,
    pub value: Value,
}

impl Node {
    /// Whether it is null: written so, or nothing at all.
    pub(in crate::dag) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind == Kind::Null)
    }

    /// The text, if it is a string.
    pub(in crate::dag) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.kind == Kind::Str => Some(&scalar.text),
            _ => None,
        }
    }

    /// The text of a scalar of any kind as it was written; null is empty.
    pub(in crate::dag) fn scalar_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The entries, if it is a map.
    pub(in crate::dag) fn as_map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub(in crate::dag) fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// What it is, for a message: `a list`, `the number 5`.
    pub(in crate::dag) fn describe(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Scalar(scalar) => {
                let mut shown: String = scalar.text.chars().take(40).collect();
                if shown.len() < scalar.text.len() {
                    shown.push('…');
                }
                match scalar.kind {
                    Kind::Null => "nothing".to_owned(),
                    Kind::Bool(value) => value.to_string(),
                    Kind::Int(_) | Kind::Float(_) => format!("the number {shown}"),
                    Kind::Str => format!("the text {shown:?}"),
                }
            }
        }
    }
}
