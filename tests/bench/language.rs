//! What large DAGs cost: loading one of thousands of steps, running one, and a thousand sub-runs of one step.

use std::fmt::Write;
use std::time::Instant;

use proctor::dag::{LoadOptions, Source, load};
use proctor::engine::attempt::Attempt;
use proctor::model::RunStatus;

use crate::floor::Floors;
use crate::params::Params;
use crate::report::{Figure, Goal, Samples, Unit};
use crate::world::World;
use crate::{Res, count, micros};

/// From a text to a DAG, and to the engine that runs it.
pub(crate) struct Loading {
    load: Samples,
    begin: Samples,
}

/// A graph in which each step waits for two before it.
fn graph(steps: usize) -> Res<String> {
    let mut text = String::from("name: large\ntype: graph\nsteps:\n");
    for n in 0..steps {
        write!(
            text,
            "  - name: step_{n}\n    command: echo ${{OUT}} {n}\n    env: [\"OUT=${{DAG_NAME}}\"]\n"
        )?;
        if n >= 2 {
            writeln!(text, "    depends: [step_{}, step_{}]", n - 1, n - 2)?;
        }
    }
    Ok(text)
}

impl Loading {
    pub(crate) fn measure(params: Params) -> Res<Self> {
        let text = graph(params.steps)?;
        let source = Source {
            text: text.as_bytes(),
            file: "large.yaml",
            stem: "large",
        };
        let (mut loads, mut begins) = (Vec::new(), Vec::new());
        for _ in 0..params.loads {
            let begin = Instant::now();
            let loaded = load(&source, &LoadOptions::default()).map_err(|errors| format!("{errors:?}"))?;
            loads.push(micros(begin));
            let begin = Instant::now();
            let engine = Attempt::new(&loaded.dag, None);
            begins.push(micros(begin));
            if loaded.dag.steps.len() != params.steps || engine.is_finished() {
                return Err("the large DAG is not what was written".into());
            }
        }
        Ok(Self {
            load: Samples::new(loads),
            begin: Samples::new(begins),
        })
    }

    pub(crate) fn figures(&self, params: Params) -> [Figure; 2] {
        let label = |what: &str| format!("{what} of a DAG with {} steps", params.steps);
        [
            Figure::new("load_large", label("load"), self.load.median(), Unit::Micros)
                .goal(Goal::AtMost(500_000.0)),
            Figure::new("engine_large", label("engine"), self.begin.median(), Unit::Micros),
        ]
    }
}

/// Sub-runs of one parallel step, a second.
pub(crate) struct Calls(f64);

impl Calls {
    pub(crate) fn measure(world: &World, params: Params) -> Res<Self> {
        let items: Vec<String> = (0..params.calls).map(|n| n.to_string()).collect();
        let text = format!(
            "name: fan\nsteps:\n  - call: leaf\n    parallel: {{items: [{}], max_concurrent: 16}}\n---\nname: leaf\nsteps:\n  \
             - command: /bin/true\n",
            items.join(", ")
        );
        let mut client = world.connect()?;
        let begin = Instant::now();
        let run = client.submit(&text)?;
        let mut view = client.follow(&run)?;
        while client.next_change(&mut view)? {}
        let seconds = begin.elapsed().as_secs_f64();
        let children = view.steps.first().map_or(0, |step| step.children.len());
        if view.status != RunStatus::Succeeded || children != params.calls {
            return Err(format!("a step with {children} sub-runs is {}", view.status).into());
        }
        Ok(Self(count(params.calls) / seconds))
    }

    pub(crate) fn figure(&self, floors: Floors, params: Params) -> Figure {
        let label = format!("sub-runs of one step, {} at most 16 at a time", params.calls);
        Figure::new("calls_per_second", label, self.0, Unit::PerSecond)
            .against(floors.parallel, "parallel spawns")
    }
}
