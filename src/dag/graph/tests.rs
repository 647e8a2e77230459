//! Tests of the graph: orders, cycles, levels.

use super::*;
use proptest::prelude::*;

fn graph(dependencies: &[&[u32]]) -> Graph {
    let mut dependants = vec![Vec::new(); dependencies.len()];
    for (position, own) in (0u32..).zip(dependencies) {
        for other in *own {
            dependants[index(*other)].push(position);
        }
    }
    Graph {
        dependencies: dependencies.iter().map(|own| own.to_vec()).collect(),
        dependants,
    }
}

#[test]
fn levels_come_after_what_they_wait_for() {
    let graph = graph(&[&[], &[0], &[0], &[1, 2], &[]]);
    assert_eq!(graph.levels(), [vec![0, 4], vec![1, 2], vec![3]]);
    assert!(graph_of_nothing().levels().is_empty());
}

fn graph_of_nothing() -> Graph {
    Graph::default()
}

#[test]
fn a_cycle_is_named_in_the_order_of_execution() {
    let none: [&[u32]; 3] = [&[], &[0], &[0, 1]];
    assert_eq!(find_cycle(&none), None);
    // 1 waits for 3, 2 for 1, 3 for 2: 1 is needed by 2, 2 by 3, 3 by 1.
    let cycle: [&[u32]; 4] = [&[], &[0, 3], &[1], &[2]];
    assert_eq!(find_cycle(&cycle), Some(vec![1, 2, 3]));
}

#[test]
fn a_long_chain_needs_no_stack() {
    let mut dependencies: Vec<Vec<u32>> = (0..200_000u32).map(|i| vec![i + 1]).collect();
    dependencies.push(Vec::new());
    assert_eq!(find_cycle(&dependencies), None);
    dependencies[200_000].push(0);
    assert_eq!(find_cycle(&dependencies).map(|cycle| cycle.len()), Some(200_001));
}

proptest! {
    #[test]
    fn there_is_a_cycle_exactly_if_a_step_is_in_no_level(
        edges in proptest::collection::vec((0u32..12, 0u32..12), 0..24),
    ) {
        let mut dependencies = vec![Vec::new(); 12];
        for (from, to) in edges {
            dependencies[index(from)].push(to);
        }
        let slices: Vec<&[u32]> = dependencies.iter().map(Vec::as_slice).collect();
        let placed: usize = graph(&slices).levels().iter().map(Vec::len).sum();
        let cycle = find_cycle(&dependencies);
        prop_assert_eq!(cycle.is_none(), placed == 12);
        if let Some(cycle) = cycle {
            for (at, step) in cycle.iter().enumerate() {
                let next = cycle[(at + 1) % cycle.len()];
                prop_assert!(dependencies[index(next)].contains(step));
            }
        }
    }
}
