//! Drawing: what is watched, and what a person has chosen to see of it, as a buffer of characters.

mod parts;
mod run;
mod stream;

use ratatui::{
    buffer::Buffer,
    layout::{Alignment, Rect},
    text::Line,
    widgets::{Block, Clear, Paragraph, Widget as _, Wrap},
};

use super::{
    look::{self, Look},
    screen::Screen,
    view::View,
};

/// The smallest terminal in which anything can be seen, in columns and lines.
const SMALLEST: (u16, u16) = (40, 10);

/// Draws `view` in `area`.
pub fn draw(view: &View, screen: &Screen, look: Look, area: Rect, buffer: &mut Buffer) {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("the terminal is too small: {} columns and {} lines are needed", SMALLEST.0, SMALLEST.1);
        Paragraph::new(text).wrap(Wrap { trim: true }).render(area, buffer);
    } else {
        match view {
            View::Run(view) => run::draw(view, screen, look, area, buffer),
            View::Stream(view) => stream::draw(view, screen, look, area, buffer),
        }
        if screen.is_help {
            help(area, buffer);
        }
    }
    look.apply(buffer);
}

/// Returns how many rows of its table are in sight.
#[must_use]
pub fn rows_in_sight(view: &View, area: Rect) -> usize {
    let table = match view {
        View::Run(view) => run::places(view, area).table,
        View::Stream(view) => stream::places(view, area).table,
    };
    usize::from(table.height.saturating_sub(1))
}

/// The keys and what they do.
const KEYS: [(&str, &str); 9] = [
    ("↑ ↓ PgUp PgDn", "scroll the table, or choose a job"),
    ("Home End", "go to the first or the last row"),
    ("← →", "other curves"),
    ("Tab", "the next table of a run"),
    ("Enter", "open the run of a job"),
    ("Esc", "go back to the stream"),
    ("?", "show or hide this"),
    ("q", "quit; whatever is watched goes on"),
    ("Ctrl-C", "quit, with exit code 130"),
];

fn help(area: Rect, buffer: &mut Buffer) {
    let lines: Vec<Line<'_>> = KEYS.into_iter().map(|(key, what)| Line::from(format!(" {key:<14}  {what}"))).collect();
    let (width, height) = (55.min(area.width), (u16::try_from(KEYS.len()).unwrap_or(u16::MAX) + 2).min(area.height));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(place, buffer);
    let block = Block::bordered().title(Line::styled(" keys ", look::title())).title_alignment(Alignment::Center);
    Paragraph::new(lines).block(block).render(place, buffer);
}

#[cfg(test)]
pub(super) mod tests;
