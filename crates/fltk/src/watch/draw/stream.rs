//! The screen of a stream.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::Line,
    widgets::{Paragraph, Widget as _, Wrap},
};

use super::{
    super::{
        grid::Sight,
        look::{self, Look},
        screen::Screen,
        view::StreamView,
    },
    parts::{self, Places, line},
};

/// The least height of a terminal in which what is said of a job has two lines.
const TALL: u16 = 22;

/// Returns the places of its parts.
pub fn places(_view: &StreamView, area: Rect) -> Places {
    parts::places(area, 4, if area.height >= TALL { 2 } else { 1 })
}

/// Draws the screen.
pub fn draw(view: &StreamView, screen: &Screen, look: Look, area: Rect, buffer: &mut Buffer) {
    let places = places(view, area);
    parts::name(&view.name, view.status, line(places.head, 0), buffer);
    parts::text(&view.about, look::faint(), line(places.head, 1), buffer);
    let next = if view.next.is_empty() { String::new() } else { format!("next job in {}", view.next) };
    parts::progress(&view.progress, &next, line(places.head, 2), buffer);
    let counts: Vec<(&str, String)> = view.states.iter().map(|(state, count)| (*state, count.to_string())).collect();
    let states = counts.iter().map(|(state, count)| (*state, count.as_str(), look::state(state).add_modifier(Modifier::BOLD)));
    parts::figures(states, line(places.head, 3), buffer);
    parts::charts(&view.charts, screen.chart, places.charts, look, buffer);
    parts::rule(&[format!("jobs that have arrived ({})", view.jobs.len())], 0, places.rule, buffer);
    let row = selected(view, screen);
    view.table.draw(Sight { first: screen.first, selected: row }, places.table, buffer);
    if let Some(job) = row.and_then(|row| view.jobs.get(row)) {
        let words = Line::styled(format!("{}: {}", job.job, job.words), Style::new());
        Paragraph::new(words).wrap(Wrap { trim: true }).render(places.words, buffer);
    }
    let mut keys = vec![("q", "quit"), ("↑↓", "choose"), ("enter", "open")];
    if view.charts.len() > 1 {
        keys.push(("←→", "curves"));
    }
    keys.push(("?", "help"));
    parts::foot(&keys, screen.notice.as_deref(), places.foot, buffer);
}

fn selected(view: &StreamView, screen: &Screen) -> Option<usize> {
    let selected = screen.selected.as_ref()?;
    view.jobs.iter().position(|job| job.job == *selected)
}
