//! Tables. On a terminal they fit its width: the least important columns go first, then texts are cut. Elsewhere
//! nothing is ever left out, so that what a script reads does not depend on its data.

use anstyle::Style;
use comfy_table::{Cell, ContentArrangement, Row, Table as Grid, presets};

use super::escape::escape;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) title: &'static str,
    /// 0 always stays; of the others the highest goes first when room is short.
    pub(crate) rank: u8,
}

/// Shorthand for a column.
pub(crate) const fn column(title: &'static str, rank: u8) -> Column {
    Column { title, rank }
}

/// Blanks between two columns.
const GAP: usize = 2;

/// A table to be filled and drawn.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Style, Vec<String>)>,
    styled: Option<usize>,
}

impl Table {
    /// An empty table. `styled` is the title of the column that shows each row's style; only columns of plain
    /// ASCII may stand before it.
    pub(crate) fn new(columns: &[Column], styled: &str) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
            styled: columns.iter().position(|column| column.title == styled),
        }
    }

    /// Adds a row with a cell for each column.
    pub(crate) fn row(&mut self, style: Style, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| escape(&cell).into_owned()).collect();
        self.rows.push((style, cells));
    }

    /// The lines, heading first, without trailing blanks.
    pub(crate) fn lines(&self, width: Option<u16>) -> Vec<String> {
        let shown = self.columns_within(width);
        let grid = self.grid(&shown, width);
        let styled = self
            .styled
            .and_then(|at| shown.iter().position(|column| *column == at));
        let mut lines: Vec<String> = grid.lines().map(|line| line.trim_end().to_owned()).collect();
        let Some(start) = styled.and_then(|_| {
            let title = self.columns.get(self.styled?)?.title;
            lines.first()?.find(title)
        }) else {
            return lines;
        };
        for (line, (style, cells)) in lines.iter_mut().skip(1).zip(&self.rows) {
            let word = self.styled.and_then(|at| cells.get(at));
            let parts = word.and_then(|word| {
                Some((
                    line.get(..start)?,
                    line.get(start..)?.strip_prefix(word.as_str())?,
                    word,
                ))
            });
            if let Some((before, after, word)) = parts {
                *line = format!("{before}{style}{word}{style:#}{after}");
            }
        }
        lines
    }

    /// Positions of the columns that fit, at their natural width.
    fn columns_within(&self, width: Option<u16>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(width) = width.map(usize::from) else {
            return shown;
        };
        let natural = self.grid(&shown, None).column_max_content_widths();
        let rank = |at: usize| self.columns.get(at).map_or(0, |column| column.rank);
        loop {
            let needed: usize = shown
                .iter()
                .map(|at| natural.get(*at).map_or(0, |w| usize::from(*w)) + GAP)
                .sum();
            let least = shown
                .iter()
                .copied()
                .max_by_key(|at| rank(*at))
                .filter(|at| rank(*at) > 0);
            match least {
                Some(least) if needed > width => shown.retain(|at| *at != least),
                _ => return shown,
            }
        }
    }

    fn grid(&self, shown: &[usize], width: Option<u16>) -> Grid {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING)
            .set_truncation_indicator(super::CUT);
        match width {
            Some(width) => grid
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width),
            None => grid.set_content_arrangement(ContentArrangement::Disabled),
        };
        grid.set_header(cut(shown
            .iter()
            .filter_map(|at| Some(self.columns.get(*at)?.title))));
        for (_, cells) in &self.rows {
            grid.add_row(cut(shown
                .iter()
                .map(|at| cells.get(*at).map_or("", String::as_str))));
        }
        for column in grid.column_iter_mut() {
            column.set_padding((0, 2));
        }
        grid
    }
}

/// A row of one line.
fn cut<'a>(cells: impl Iterator<Item = &'a str>) -> Row {
    let mut row = Row::from(cells.map(Cell::new).collect::<Vec<_>>());
    row.max_height(1);
    row
}
