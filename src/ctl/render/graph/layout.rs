//! Where things stand when a DAG is drawn on a terminal: one row for each step, and lanes beside them.
//!
//! Steps that wait for the same steps share a lane: it begins at the first of those they wait for, each of these
//! joins it, and it branches off to each step that waits. So a fan-out, a fan-in and everything between two parallel
//! groups is one lane, however many edges it stands for. A step that alone waits for the one above it needs none.
//!
//! A step comes as soon as all that it waits for is drawn, so that what belongs together stands together. Linear in
//! steps, edges and what is drawn.

use std::collections::HashMap;

/// What is in a column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// Nothing.
    Empty,
    /// A lane that has nothing to do with the step of this row.
    Pass,
    /// The line to or from the step, where no lane is.
    Across,
    /// The lane of the step begins here.
    Begin,
    /// The step joins a lane that is there already.
    Join,
    /// The lane branches off to the step and goes on.
    Branch,
    /// The lane ends at the step.
    End,
    /// The lane begins here, and the line goes on to another one.
    BeginOn,
    /// The step joins this lane, and the line goes on to another one.
    JoinOn,
}

/// The line between a step and what comes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Below {
    /// The columns.
    pub(super) cells: Vec<Cell>,
    /// Whether a line leads from the step to a lane.
    pub(super) turns: bool,
    /// Whether the step in the next row waits for this one alone.
    pub(super) straight: bool,
}

/// A step in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Position of the step.
    pub(super) step: usize,
    /// The columns of the lanes.
    pub(super) cells: Vec<Cell>,
    /// Whether a line leads from a lane to the step.
    pub(super) arrow: bool,
    /// What leads on from it; none if nothing does.
    pub(super) below: Option<Below>,
}

/// A drawing, from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The rows, one for each step.
    pub(super) rows: Vec<Row>,
    /// Columns of lanes.
    pub(super) columns: usize,
}

/// Steps that wait for the same steps.
#[derive(Debug, Default)]
struct Bundle {
    sources: Vec<usize>,
    targets: Vec<usize>,
}

/// Bundles, and who has to do with which.
struct Bundles {
    all: Vec<Bundle>,
    into: Vec<Option<usize>>,
    out_of: Vec<Vec<usize>>,
}

/// The layout of steps, given what each waits for, and none if it needs more columns than there may be. Steps of a
/// cycle, which the loader refuses, are left out.
pub(super) fn layout(dependencies: &[Vec<usize>], columns_max: usize) -> Option<Layout> {
    let bundles = bundle(dependencies);
    let order = order(&bundles);
    let mut lanes = Lanes::new(bundles.all.len());
    let mut rows = Vec::with_capacity(order.len());
    for (at, step) in order.iter().enumerate() {
        let next = order.get(at + 1);
        let (cells, arrow) = lanes.enter(&bundles, *step);
        let below = lanes.leave(&bundles, *step, next.copied());
        if lanes.columns.len() > columns_max {
            return None;
        }
        rows.push(Row {
            step: *step,
            cells,
            arrow,
            below,
        });
    }
    Some(Layout {
        rows,
        columns: lanes.columns.len(),
    })
}

fn bundle(dependencies: &[Vec<usize>]) -> Bundles {
    let mut by_sources: HashMap<Vec<usize>, usize> = HashMap::new();
    let mut found = Bundles {
        all: Vec::new(),
        into: vec![None; dependencies.len()],
        out_of: vec![Vec::new(); dependencies.len()],
    };
    for (target, sources) in dependencies.iter().enumerate() {
        let mut sources = sources.clone();
        sources.sort_unstable();
        sources.dedup();
        if sources.is_empty() {
            continue;
        }
        let at = *by_sources.entry(sources).or_insert_with_key(|sources| {
            let at = found.all.len();
            for source in sources {
                if let Some(list) = found.out_of.get_mut(*source) {
                    list.push(at);
                }
            }
            found.all.push(Bundle {
                sources: sources.clone(),
                targets: Vec::new(),
            });
            at
        });
        if let (Some(bundle), Some(into)) = (found.all.get_mut(at), found.into.get_mut(target)) {
            bundle.targets.push(target);
            *into = Some(at);
        }
    }
    found
}

/// The order of the rows: after each step those it was the last to be waited for.
fn order(bundles: &Bundles) -> Vec<usize> {
    let mut missing: Vec<usize> = bundles.all.iter().map(|bundle| bundle.sources.len()).collect();
    let first = bundles.into.iter().enumerate();
    let mut ready: Vec<usize> = first
        .rev()
        .filter(|(_, into)| into.is_none())
        .map(|(step, _)| step)
        .collect();
    let mut order = Vec::with_capacity(bundles.into.len());
    while let Some(step) = ready.pop() {
        order.push(step);
        for at in bundles.out_of.get(step).into_iter().flatten().rev() {
            if let (Some(left), Some(bundle)) = (missing.get_mut(*at), bundles.all.get(*at)) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ready.extend(bundle.targets.iter().rev());
                }
            }
        }
    }
    order
}

/// The lanes while rows are made.
struct Lanes {
    /// The bundle in each column.
    columns: Vec<Option<usize>>,
    /// Column of each bundle.
    place: Vec<Option<usize>>,
    /// Targets of each bundle that are drawn.
    drawn: Vec<usize>,
}

impl Lanes {
    fn new(bundles: usize) -> Self {
        Self {
            columns: Vec::new(),
            place: vec![None; bundles],
            drawn: vec![0; bundles],
        }
    }

    fn pass(&self) -> Vec<Cell> {
        let cell = |lane: &Option<usize>| if lane.is_some() { Cell::Pass } else { Cell::Empty };
        self.columns.iter().map(cell).collect()
    }

    /// The row of a step: its lane branches off to it, or ends.
    fn enter(&mut self, bundles: &Bundles, step: usize) -> (Vec<Cell>, bool) {
        let mut cells = self.pass();
        let into = bundles.into.get(step).copied().flatten();
        let Some((bundle, column)) = into.and_then(|at| Some((at, self.place.get(at).copied().flatten()?)))
        else {
            return (cells, false);
        };
        let targets = bundles.all.get(bundle).map_or(0, |bundle| bundle.targets.len());
        let drawn = self.drawn.get_mut(bundle).map_or(targets, |drawn| {
            *drawn += 1;
            *drawn
        });
        let end = drawn >= targets;
        for (at, cell) in cells.iter_mut().enumerate().skip(column) {
            *cell = match *cell {
                _ if at == column && end => Cell::End,
                _ if at == column => Cell::Branch,
                Cell::Empty => Cell::Across,
                cell => cell,
            };
        }
        if end && let Some(lane) = self.columns.get_mut(column) {
            *lane = None;
        }
        (cells, true)
    }

    /// The line below a step: it joins the lanes of those that wait for it, or begins them.
    fn leave(&mut self, bundles: &Bundles, step: usize, next: Option<usize>) -> Option<Below> {
        let mut straight = false;
        let mut joined: Vec<(usize, bool)> = Vec::new();
        for at in bundles.out_of.get(step).into_iter().flatten() {
            let bundle = bundles.all.get(*at)?;
            if bundle.sources.len() == 1
                && bundle.targets.len() == 1
                && bundle.targets.first() == next.as_ref()
            {
                straight = true;
                continue;
            }
            let known = self.place.get(*at).copied().flatten();
            let column = known.unwrap_or_else(|| self.begin(*at));
            joined.push((column, known.is_none()));
        }
        if joined.is_empty() && !straight {
            return None;
        }
        let mut cells = self.pass();
        joined.sort_unstable();
        let leftmost = joined.first().map(|(column, _)| *column);
        for cell in cells.iter_mut().skip(leftmost.unwrap_or(usize::MAX)) {
            if *cell == Cell::Empty {
                *cell = Cell::Across;
            }
        }
        for (column, new) in &joined {
            if let Some(cell) = cells.get_mut(*column) {
                *cell = match (Some(*column) == leftmost, *new) {
                    (true, true) => Cell::Begin,
                    (true, false) => Cell::Join,
                    (false, true) => Cell::BeginOn,
                    (false, false) => Cell::JoinOn,
                };
            }
        }
        Some(Below {
            cells,
            turns: !joined.is_empty(),
            straight,
        })
    }

    /// Gives a bundle the first column that is free.
    fn begin(&mut self, bundle: usize) -> usize {
        let free = self.columns.iter().position(Option::is_none);
        let column = free.unwrap_or(self.columns.len());
        match self.columns.get_mut(column) {
            Some(lane) => *lane = Some(bundle),
            None => self.columns.push(Some(bundle)),
        }
        if let Some(place) = self.place.get_mut(bundle) {
            *place = Some(column);
        }
        column
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The kind of row in short: `*` is the step, and letters are cells.
    fn sketch(dependencies: &[Vec<usize>]) -> Vec<String> {
        let layout = layout(dependencies, 100).unwrap();
        let letters = |cells: &[Cell]| -> String {
            let letter = |cell: &Cell| match cell {
                Cell::Empty => '.',
                Cell::Pass => '|',
                Cell::Across => '-',
                Cell::Begin => 'b',
                Cell::Join => 'j',
                Cell::Branch => 'B',
                Cell::End => 'E',
                Cell::BeginOn => 'n',
                Cell::JoinOn => 'o',
            };
            cells.iter().map(letter).collect()
        };
        let mut lines = Vec::new();
        for row in &layout.rows {
            let arrow = if row.arrow { ">" } else { "" };
            lines.push(format!("{}{arrow}{}", letters(&row.cells), row.step));
            if let Some(below) = &row.below {
                let end = match (below.turns, below.straight) {
                    (true, true) => "+",
                    (true, false) => "'",
                    (false, _) => "!",
                };
                lines.push(format!("{}{end}", letters(&below.cells)));
            }
        }
        lines
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        assert_eq!(sketch(&[vec![], vec![0], vec![1]]), ["0", "!", "1", "!", "2"]);
    }

    #[test]
    fn a_diamond_has_a_lane_out_and_a_lane_in() {
        let lines = sketch(&[vec![], vec![0], vec![0], vec![1, 2]]);
        assert_eq!(lines, ["0", "b'", "B>1", "|b'", "E|>2", ".j'", ".E>3"]);
    }

    #[test]
    fn two_groups_share_one_lane() {
        let lines = sketch(&[vec![], vec![], vec![0, 1], vec![1, 0]]);
        assert_eq!(lines, ["0", "b'", "|1", "j'", "B>2", "E>3"]);
    }

    #[test]
    fn a_step_can_lead_to_several_lanes() {
        let lines = sketch(&[vec![], vec![], vec![0], vec![0, 1], vec![1]]);
        assert_eq!(lines, ["0", "b+", "|2", "|1", "jn'", "E|>3", ".E>4"]);
    }

    #[test]
    fn too_many_columns_are_refused() {
        let wide: Vec<Vec<usize>> = (0..50)
            .map(|_| vec![])
            .chain((0..50).map(|at| vec![at, (at + 17) % 50]))
            .collect();
        assert_eq!(layout(&wide, 10), None);
        assert!(layout(&wide, 60).is_some());
    }

    proptest! {
        #[test]
        fn every_step_has_a_row_below_those_it_waits_for(
            seeds in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0..40)
        ) {
            let dependencies: Vec<Vec<usize>> = seeds
                .iter()
                .enumerate()
                .map(|(at, list)| if at == 0 { vec![] } else { list.iter().map(|seed| seed.index(at)).collect() })
                .collect();
            let layout = layout(&dependencies, usize::MAX).unwrap();
            let mut place = vec![None; dependencies.len()];
            for (at, row) in layout.rows.iter().enumerate() {
                prop_assert_eq!(place[row.step].replace(at), None);
            }
            for (step, list) in dependencies.iter().enumerate() {
                for from in list {
                    prop_assert!(place[*from].unwrap() < place[step].unwrap());
                }
            }
            // What begins ends: below the last row no lane is open.
            let open: isize = layout.rows.iter().map(|row| {
                let ends = row.cells.iter().filter(|cell| **cell == Cell::End).count();
                let begins = row.below.iter().flat_map(|below| &below.cells)
                    .filter(|cell| matches!(cell, Cell::Begin | Cell::BeginOn)).count();
                isize::try_from(begins).unwrap() - isize::try_from(ends).unwrap()
            }).sum();
            prop_assert_eq!(open, 0);
        }
    }
}
