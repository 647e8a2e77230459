//! What a step can be besides commands: a call of another DAG, a router; and the approval it may need.

use serde::{Deserialize, Serialize};

/// A call of another DAG (seed-spec 7.12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// As written: the name of a further document of the file, the name or path of a file, or the name of an installed
    /// DAG. References in it are evaluated for each item.
    pub target: String,
    /// Parameters in order; evaluated for each item.
    pub params: Vec<CallArg>,
    /// The items, if there is a sub-run for each.
    pub parallel: Option<Parallel>,
}

/// A parameter of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallArg {
    /// Its name as written. The value of one without a name is taken apart after it is evaluated: it may come to
    /// several parameters (`${ITEM}` with the item `A=1 B=2`), unless it is in double quotes.
    pub name: Option<String>,
    /// Value as written.
    pub value: String,
}

/// Items that each get a sub-run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parallel {
    /// Which.
    pub items: Items,
    /// Most sub-runs at a time, from 1.
    pub max_concurrent: u32,
}

/// Where the items come from. There must be 1 to [`PARALLEL_MAX`](crate::model::limits::PARALLEL_MAX).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// They are written down.
    List(Vec<Item>),
    /// A text whose value is a JSON array, lines, or words (seed-spec 7.12).
    Expr(String),
}

/// One item; references in it are evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A text.
    Value(String),
    /// A map: `ITEM` is the JSON object, with its keys in order.
    Params(Vec<(String, String)>),
}

/// A router (seed-spec 7.17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// The value, as written.
    pub value: String,
    /// Patterns and their targets, in order.
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What a line of the value must equal, or match behind `re:`.
    pub pattern: String,
    /// Names of the steps that run then.
    pub targets: Vec<String>,
}

/// An approval (seed-spec 7.18): the step waits for a person once it has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Approval {
    /// What is asked.
    pub prompt: String,
    /// Names of the values that can be given with it. They become outputs of the step.
    pub input: Vec<String>,
    /// Those of them that must be given.
    pub required: Vec<String>,
}
