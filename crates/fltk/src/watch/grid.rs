//! A table of text that fits its place: columns that don't fit are left out, the least important first.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::Span,
};

use super::look;

/// The columns between two cells.
const GAP: usize = 2;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// The columns, from left to right.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for each column.
    pub rows: Vec<Vec<String>>,
}

/// The kind of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Texts.
    Text,
    /// Numbers, which are aligned to the right.
    Number,
    /// States of jobs, which have colors.
    State,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its header.
    pub name: String,
    /// The kind of its cells.
    pub kind: Kind,
    /// Its importance: of the columns, that with the highest number is left out first. 0 is always there.
    pub rank: u8,
    /// The most characters that it takes, if there is a limit.
    pub width_max: usize,
}

impl Column {
    /// Creates a column of numbers.
    pub fn number(name: impl Into<String>, rank: u8) -> Self {
        Self { name: name.into(), kind: Kind::Number, rank, width_max: usize::MAX }
    }

    /// Creates a column of states of jobs, which is always there.
    pub fn states(name: impl Into<String>, width_max: usize) -> Self {
        Self { name: name.into(), kind: Kind::State, rank: 0, width_max }
    }

    /// Creates a column of texts of at most `width_max` characters.
    pub fn text(name: impl Into<String>, rank: u8, width_max: usize) -> Self {
        Self { name: name.into(), kind: Kind::Text, rank, width_max }
    }
}

/// The part of a table that is in sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The first row.
    pub first: usize,
    /// The row that is selected, if rows can be.
    pub selected: Option<usize>,
}

impl Grid {
    /// Draws the header and the rows in sight.
    pub fn draw(&self, sight: Sight, area: Rect, buffer: &mut Buffer) {
        if area.is_empty() {
            return;
        }
        let rows = self.rows.iter().enumerate().skip(sight.first).take(usize::from(area.height).saturating_sub(1));
        let rows: Vec<(usize, &Vec<String>)> = rows.collect();
        let columns = self.fitting(&rows, usize::from(area.width));
        let header = Style::new().add_modifier(Modifier::BOLD);
        let names = self.columns.iter().map(|column| column.name.as_str());
        self.line(names, &columns, area, (header, false), buffer);
        for (y, (row, cells)) in (area.y + 1..area.bottom()).zip(rows) {
            let style = if sight.selected == Some(row) { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
            let line = Rect { y, height: 1, ..area };
            buffer.set_style(line, style);
            self.line(cells.iter().map(String::as_str), &columns, line, (style, true), buffer);
        }
    }

    /// Returns the columns that fit into `width`, with their widths, as rows that are in sight need them.
    fn fitting(&self, rows: &[(usize, &Vec<String>)], width: usize) -> Vec<(usize, usize)> {
        let wide = |text: &str| Span::raw(text).width();
        let need = |(at, column): (usize, &Column)| {
            let cells = rows.iter().filter_map(|(_, cells)| cells.get(at));
            let most = cells.map(|cell| wide(cell)).chain([wide(&column.name)]).max().unwrap_or(0);
            (at, most.min(column.width_max))
        };
        let mut columns: Vec<(usize, usize)> = self.columns.iter().enumerate().map(need).collect();
        // What has nothing to say takes no place.
        columns.retain(|(at, _)| {
            self.columns[*at].rank == 0 || rows.iter().any(|(_, cells)| cells.get(*at).is_some_and(|cell| !cell.is_empty() && cell != "-"))
        });
        let total = |columns: &[(usize, usize)]| columns.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP);
        while total(&columns) > width {
            let Some((least, _)) = columns.iter().enumerate().max_by_key(|(_, (at, _))| self.columns[*at].rank) else { break };
            if self.columns[columns[least].0].rank == 0 {
                break;
            }
            columns.remove(least);
        }
        columns
    }

    fn line<'a>(
        &self,
        cells: impl Iterator<Item = &'a str>,
        columns: &[(usize, usize)],
        area: Rect,
        (style, is_row): (Style, bool),
        buffer: &mut Buffer,
    ) {
        let cells: Vec<&str> = cells.collect();
        let mut x = usize::from(area.x);
        for &(at, width) in columns {
            let cell = cells.get(at).copied().unwrap_or_default();
            let room = usize::from(area.right()).saturating_sub(x).min(width);
            let kind = self.columns[at].kind;
            let pad = if kind == Kind::Number { room.saturating_sub(Span::raw(cell).width()) } else { 0 };
            let style = if kind == Kind::State && is_row { style.patch(look::state(cell)) } else { style };
            if room == 0 {
                break;
            }
            buffer.set_stringn(u16::try_from(x + pad).unwrap_or(u16::MAX), area.y, cell, room - pad, style);
            x += width + GAP;
        }
    }
}

/// Returns the first row to show of `num_rows`, of which `height` are in sight, so that `row` is among them and as little moves as possible.
pub fn keep_in_sight(first: usize, row: usize, num_rows: usize, height: usize) -> usize {
    let highest = num_rows.saturating_sub(height);
    first.min(row).max((row + 1).saturating_sub(height)).min(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(grid: &Grid, sight: Sight, width: u16, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        grid.draw(sight, area, &mut buffer);
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    #[test]
    fn least_important_columns_are_left_out() {
        let columns = vec![Column::text("job", 0, 8), Column::number("s", 1), Column::text("why", 2, 10), Column::text("node", 3, 10)];
        let row = |job: &str, s: &str, why: &str| vec![job.to_owned(), s.to_owned(), why.to_owned(), String::new()];
        let grid = Grid { columns, rows: vec![row("a", "1.5", "it waits"), row("abcdefghijk", "10.5", ""), row("日本", "-", "")] };
        let all = drawn(&grid, Sight::default(), 40, 4);
        assert_eq!(all, ["job          s  why", "a          1.5  it waits", "abcdefgh  10.5", "日 本          -"], "no empty column");
        assert_eq!(drawn(&grid, Sight::default(), 16, 2), ["job    s", "a    1.5"]);
        assert_eq!(drawn(&grid, Sight { first: 1, selected: None }, 5, 2), ["job", "abcde"]);
        drawn(&grid, Sight { first: 9, selected: Some(2) }, 1, 1);
    }

    #[test]
    fn selected_row_stays_in_sight() {
        for (first, row, expected) in [(0, 0, 0), (0, 4, 0), (0, 5, 1), (7, 3, 3), (7, 19, 15), (99, 19, 15)] {
            assert_eq!(keep_in_sight(first, row, 20, 5), expected, "{first} {row}");
        }
        assert_eq!(keep_in_sight(3, 1, 2, 5), 0);
    }
}
