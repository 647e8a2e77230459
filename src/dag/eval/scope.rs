//! Variables in layers, and references to steps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::{ENV_ENTRY_OVERHEAD, ENV_OUTPUTS_KEPT, EvalError, MAX_ENV_ENTRY, MAX_ENV_OUTPUTS, without_nul};

/// Where the variables of a layer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The environment of the process.
    Os,
    /// The DAG, its parameters, its run, its steps.
    User,
}

/// What can be asked about a step through its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepRef {
    /// Path of its standard output's log.
    pub stdout: String,
    /// Path of its standard error's log.
    pub stderr: String,
    /// Exit code; none if it has not ended.
    pub exit_code: Option<i32>,
}

#[derive(Debug, Clone, PartialEq)]
struct Layer {
    origin: Origin,
    /// Whether they are captured outputs.
    outputs: bool,
    vars: BTreeMap<Arc<str>, Arc<str>>,
}

/// The variables in effect at one point: layers, of which a later one wins.
///
/// A clone shares all layers, so thousands of steps may each extend the run's scope.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    layers: Vec<Arc<Layer>>,
    steps: Arc<BTreeMap<String, StepRef>>,
}

impl Scope {
    /// One without variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an empty layer on top.
    pub fn push(&mut self, origin: Origin) {
        self.layers.push(Arc::new(Layer {
            origin,
            outputs: false,
            vars: BTreeMap::new(),
        }));
    }

    /// Sets a variable in the top layer.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) {
        if self.layers.is_empty() {
            self.push(Origin::User);
        }
        if let Some(top) = self.layers.last_mut() {
            Arc::make_mut(top).vars.insert(name.into(), value.into());
        }
    }

    /// This scope with a layer of user variables on top.
    #[must_use]
    pub fn with<N: Into<Arc<str>>, V: Into<Arc<str>>>(&self, vars: impl IntoIterator<Item = (N, V)>) -> Self {
        self.with_layer(false, vars)
    }

    /// This scope with a layer of captured outputs on top. Of these the largest are left out of an environment that would
    /// be too large with them, see [`Scope::environ`].
    #[must_use]
    pub fn with_outputs<N: Into<Arc<str>>, V: Into<Arc<str>>>(
        &self,
        outputs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.with_layer(true, outputs)
    }

    fn with_layer<N: Into<Arc<str>>, V: Into<Arc<str>>>(
        &self,
        outputs: bool,
        vars: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut scope = self.clone();
        let vars: BTreeMap<_, _> = vars.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        if !vars.is_empty() {
            scope.layers.push(Arc::new(Layer {
                origin: Origin::User,
                outputs,
                vars,
            }));
        }
        scope
    }

    /// Sets which steps can be referred to, by their ids.
    pub fn set_steps(&mut self, steps: Arc<BTreeMap<String, StepRef>>) {
        self.steps = steps;
    }

    /// The step with this id.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&StepRef> {
        self.steps.get(id)
    }

    /// The value of a variable; `os` says whether the operating system's count.
    #[must_use]
    pub fn get(&self, name: &str, os: bool) -> Option<&Arc<str>> {
        self.layers
            .iter()
            .rev()
            .filter(|l| os || l.origin == Origin::User)
            .find_map(|l| l.vars.get(name))
    }

    /// The positional parameters from `$1` on; a gap before a later one is empty.
    #[must_use]
    pub fn positional(&self) -> Vec<String> {
        let numbers: BTreeSet<usize> = self
            .layers
            .iter()
            .filter(|l| l.origin == Origin::User)
            .flat_map(|l| {
                l.vars
                    .range::<str, _>((Bound::Included("0"), Bound::Excluded(":")))
            })
            .filter_map(|(name, _)| position(name))
            .collect();
        let last = numbers.last().copied().unwrap_or(0);
        (1..=last)
            .map(|n| {
                self.get(&n.to_string(), false)
                    .map(|v| without_nul(v))
                    .unwrap_or_default()
            })
            .collect()
    }

    /// The environment of a process, sorted by name.
    ///
    /// It has the user variables whose names a shell can hold: others (such as `BASH_FUNC_x%%`, which bash would
    /// run) are left out, and so are positional parameters. NUL bytes are dropped. What would keep every later step from
    /// starting is left out as well, see [`Scope::left_out`].
    #[must_use]
    pub fn environ(&self) -> Vec<(String, String)> {
        self.split()
            .0
            .into_iter()
            .map(|(name, value)| (name.to_owned(), without_nul(value)))
            .collect()
    }

    /// Names of the variables that are not in the environment, each with what is to be said to a text that names it:
    /// those that are longer than execve(2) takes, and the largest captured outputs, if all entries together have more
    /// than [`MAX_ENV_OUTPUTS`] bytes and the outputs more than 128 KiB of that.
    #[must_use]
    pub fn left_out(&self) -> BTreeMap<String, EvalError> {
        self.split().1
    }

    fn split(&self) -> (BTreeMap<&str, &Arc<str>>, BTreeMap<String, EvalError>) {
        let mut left_out = BTreeMap::new();
        let (mut kept, mut outputs, mut total) = (BTreeMap::new(), Vec::new(), 0);
        let mut captured = 0;
        for (name, (value, output)) in self.visible() {
            let (size, entry) = (value.len(), name.len() + value.len() + ENV_ENTRY_OVERHEAD);
            if name.len() + 1 + size > MAX_ENV_ENTRY {
                let name = name.to_owned();
                left_out.insert(name.clone(), EvalError::ValueTooLarge { name, size });
                continue;
            }
            kept.insert(name, value);
            total += entry;
            if output {
                captured += entry;
                outputs.push((entry, name, size));
            }
        }
        outputs.sort_unstable();
        // Small outputs stay also beside an environment that is large without them.
        while total > MAX_ENV_OUTPUTS
            && captured > ENV_OUTPUTS_KEPT
            && let Some((entry, name, size)) = outputs.pop()
        {
            total -= entry;
            captured -= entry;
            kept.remove(name);
            let name = name.to_owned();
            left_out.insert(name.clone(), EvalError::NoRoom { name, size });
        }
        (kept, left_out)
    }

    /// Value of each variable that a process could be given, and whether it is a captured output.
    fn visible(&self) -> BTreeMap<&str, (&Arc<str>, bool)> {
        let mut all = BTreeMap::new();
        for layer in &self.layers {
            for (name, value) in &layer.vars {
                let possible = match layer.origin {
                    Origin::Os => !name.is_empty() && !name.contains(['=', '\0']),
                    Origin::User => is_shell_name(name),
                };
                if possible {
                    all.insert(name.as_ref(), (value, layer.outputs));
                }
            }
        }
        all
    }
}

/// Highest number of a positional parameter; a name with a larger one is an ordinary name.
const MAX_POSITION: usize = 10_000;

fn position(name: &str) -> Option<usize> {
    if name.is_empty() || name.starts_with('0') || !name.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    name.parse().ok().filter(|n| *n <= MAX_POSITION)
}

/// Whether a shell can hold a variable of this name: `[A-Za-z_][A-Za-z0-9_]*` (POSIX.1-2024, 3.216).
#[must_use]
pub fn is_shell_name(name: &str) -> bool {
    name.bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
