//! Whatever the DAG: nothing is left out, drawn twice, or taken for something else.

use anstream::adapter::strip_str;
use proptest::prelude::*;

use super::*;

/// The strings of DOT between quotes, which end where they say; what is left has no quote.
fn without_strings(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '"' {
            out.push(c);
            continue;
        }
        while let Some(c) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '"' => break,
                _ => {}
            }
        }
        out.push('~');
    }
    out
}

fn any_dag() -> impl Strategy<Value = Dag> {
    let step = (
        "(?s).{0,12}",
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        "(?s).{0,12}",
    );
    prop::collection::vec(step, 0..25).prop_map(|seeds| {
        let steps = seeds.into_iter().enumerate().map(|(at, (name, depends, text))| {
            let action = match at % 3 {
                0 => Action::Commands(vec![Command::new(text)]),
                1 => Action::Script { text, command: None },
                _ => Action::Nothing,
            };
            let mut step = Step::new(name, action);
            if at > 0 {
                let depends = depends.iter().map(|seed| seed.index(at));
                step.depends = depends.map(|from| u32::try_from(from).unwrap()).collect();
            }
            step
        });
        dag("any", steps.collect())
    })
}

proptest! {
    #[test]
    fn every_step_and_every_edge_is_there_once(dag in any_dag()) {
        let chart = Chart::new(&dag);
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        for (to, step) in dag.steps.iter().enumerate() {
            let mut from: Vec<usize> = step.depends.iter().map(|at| index(*at)).collect();
            from.sort_unstable();
            from.dedup();
            pairs.extend(from.into_iter().map(|from| (from, to)));
        }
        let sorted = |mut list: Vec<String>| { list.sort(); list };
        let nodes: Vec<String> = sorted((0..dag.steps.len()).map(|at| format!("s{at}")).collect());

        let dot = dot(&chart);
        let body: Vec<String> = dot.lines().skip(4).map(without_strings).collect();
        let found = body.iter().filter_map(|line| line.trim().split_once(" [label=~"))
            .map(|(name, _)| name.to_owned());
        prop_assert_eq!(sorted(found.collect()), nodes.clone());
        let edges = body.iter().filter(|line| line.contains(" -> ")).map(|line| line.trim().to_owned());
        let expected = pairs.iter().map(|(from, to)| format!("s{from} -> s{to};"));
        prop_assert_eq!(sorted(edges.collect()), sorted(expected.collect()));
        prop_assert_eq!(body.len(), dag.steps.len() + pairs.len() + 1);

        let text = mermaid(&chart);
        let body: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        let is_edge = |line: &&&str| line.contains(" --> ");
        let edges = body.iter().filter(is_edge).map(|line| (*line).to_owned());
        let expected = pairs.iter().map(|(from, to)| format!("s{from} --> s{to}"));
        prop_assert_eq!(sorted(edges.collect()), sorted(expected.collect()));
        let found = body.iter().filter(|line| !is_edge(line));
        let found = found.map(|line| line.split(['[', '(']).next().unwrap().to_owned());
        prop_assert_eq!(sorted(found.collect()), nodes);
        for line in body {
            prop_assert!(matches!(line.matches('"').count(), 0 | 2), "{}", line);
        }
    }

    #[test]
    fn every_step_is_drawn(dag in any_dag(), ascii: bool, width in prop::option::of(10u16..200)) {
        let chart = Chart::new(&dag);
        let lines = lines(&chart, Look { width, ascii });
        for line in &lines {
            let line = strip_str(line).to_string();
            prop_assert!(!line.contains(char::is_control));
            prop_assert!(width.is_none_or(|width| line.width() <= usize::from(width)), "{}", line);
            prop_assert!(!ascii || width.is_some() || line.is_ascii(), "{}", line);
        }
        prop_assert!(lines.len() > dag.steps.len());
    }
}
