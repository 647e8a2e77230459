//! The graph of steps: dependants, levels, cycles. Linear in steps and edges, and without recursion.

#[cfg(test)]
mod tests;

use super::types::Step;

/// Who depends on whom, in both directions; a step is its position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// What each step waits for.
    pub dependencies: Vec<Vec<u32>>,
    /// What waits for each step, in order of definition.
    pub dependants: Vec<Vec<u32>>,
}

impl Graph {
    /// The graph of a DAG's steps. A position that no step has is left out.
    #[must_use]
    pub fn new(steps: &[Step]) -> Self {
        let mut dependants: Vec<Vec<u32>> = vec![Vec::new(); steps.len()];
        let mut dependencies = Vec::with_capacity(steps.len());
        for (position, step) in (0u32..).zip(steps) {
            let mut own = Vec::with_capacity(step.depends.len());
            for other in &step.depends {
                if let Some(list) = dependants.get_mut(index(*other)) {
                    list.push(position);
                    own.push(*other);
                }
            }
            dependencies.push(own);
        }
        Self {
            dependencies,
            dependants,
        }
    }

    /// The steps in levels: a step is one level after the last of those it waits for, so the steps of a level can
    /// run at the same time. Inside a level they are in order of definition. Steps of a cycle, which the loader
    /// refuses, are in no level.
    #[must_use]
    pub fn levels(&self) -> Vec<Vec<u32>> {
        let mut missing: Vec<usize> = self.dependencies.iter().map(Vec::len).collect();
        let positions = (0u32..).zip(&missing);
        let mut level: Vec<u32> = positions
            .filter(|(_, n)| **n == 0)
            .map(|(position, _)| position)
            .collect();
        let mut levels = Vec::new();
        while !level.is_empty() {
            let mut next = Vec::new();
            for position in &level {
                for dependant in self.dependants.get(index(*position)).into_iter().flatten() {
                    if let Some(count) = missing.get_mut(index(*dependant)) {
                        *count = count.saturating_sub(1);
                        if *count == 0 {
                            next.push(*dependant);
                        }
                    }
                }
            }
            next.sort_unstable();
            levels.push(std::mem::replace(&mut level, next));
        }
        levels
    }
}

/// A cycle among steps, given what each waits for: in the order of execution, so that each is needed by the next
/// and the last by the first. None if there is no cycle.
#[must_use]
pub fn find_cycle<D: AsRef<[u32]>>(dependencies: &[D]) -> Option<Vec<u32>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnPath,
        Done,
    }
    let mut marks = vec![Mark::New; dependencies.len()];
    for start in (0u32..).take(dependencies.len()) {
        if marks.get(index(start)) != Some(&Mark::New) {
            continue;
        }
        // The path from the start, and how many dependencies of each of its steps have been followed.
        let mut path: Vec<(u32, usize)> = vec![(start, 0)];
        marks[index(start)] = Mark::OnPath;
        while let Some((position, followed)) = path.last_mut() {
            let position = *position;
            let Some(next) = dependencies[index(position)].as_ref().get(*followed).copied() else {
                marks[index(position)] = Mark::Done;
                path.pop();
                continue;
            };
            *followed += 1;
            match marks.get(index(next)) {
                Some(Mark::New) => {
                    marks[index(next)] = Mark::OnPath;
                    path.push((next, 0));
                }
                Some(Mark::OnPath) => {
                    let from = path.iter().position(|(step, _)| *step == next)?;
                    let mut cycle: Vec<u32> = path.iter().skip(from).map(|(step, _)| *step).collect();
                    // The path goes from a step to what it waits for; people read it the other way.
                    cycle.reverse();
                    let first = cycle
                        .iter()
                        .enumerate()
                        .min_by_key(|(_, step)| **step)
                        .map_or(0, |(i, _)| i);
                    cycle.rotate_left(first);
                    return Some(cycle);
                }
                Some(Mark::Done) | None => {}
            }
        }
    }
    None
}

fn index(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
