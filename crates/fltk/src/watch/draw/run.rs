//! The screen of a run.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    super::{
        grid::Sight,
        look::{self, Look},
        screen::Screen,
        view::RunView,
    },
    parts::{self, Places, line},
};

/// The least width of a terminal in which two tables are beside each other, in columns.
const WIDE: u16 = 116;

/// Returns the places of its parts.
pub fn places(view: &RunView, area: Rect) -> Places {
    let more = u16::from(view.failure.is_some()) + u16::from(!view.absences.is_empty());
    parts::places(area, 4 + more, 0)
}

/// Draws the screen.
pub fn draw(view: &RunView, screen: &Screen, look: Look, area: Rect, buffer: &mut Buffer) {
    let places = places(view, area);
    parts::name(&view.name, view.status, line(places.head, 0), buffer);
    parts::text(&view.about, look::faint(), line(places.head, 1), buffer);
    parts::progress(&view.progress, "", line(places.head, 2), buffer);
    let figures = view.figures.iter().map(|(name, figure)| (name.as_str(), figure.as_str(), look::title()));
    parts::figures(figures, line(places.head, 3), buffer);
    let mut at = 4;
    if let Some(failure) = &view.failure {
        parts::text(&format!("failed: {failure}"), look::state("failed"), line(places.head, at), buffer);
        at += 1;
    }
    if !view.absences.is_empty() {
        parts::text(&format!("absent, over all rounds: {}", view.absences), Style::new(), line(places.head, at), buffer);
    }
    parts::charts(&view.charts, screen.chart, places.charts, look, buffer);
    tables(view, screen, &places, buffer);
    let mut keys = vec![("q", "quit"), ("↑↓", "scroll")];
    if view.tables.len() > 1 {
        keys.push(("tab", "next table"));
    }
    if view.charts.len() > 1 {
        keys.push(("←→", "curves"));
    }
    if screen.is_within {
        keys.insert(1, ("esc", "back"));
    }
    keys.push(("?", "help"));
    parts::foot(&keys, screen.notice.as_deref(), places.foot, buffer);
}

fn tables(view: &RunView, screen: &Screen, places: &Places, buffer: &mut Buffer) {
    let chosen = screen.table.min(view.tables.len().saturating_sub(1));
    let titles: Vec<String> = view.tables.iter().map(|(title, table)| format!("{title} ({})", table.rows.len())).collect();
    let Some((_, table)) = view.tables.get(chosen) else { return };
    let sight = Sight { first: screen.first, selected: None };
    // Beside the table that is chosen there is room for another.
    if let Some(beside) = (0..view.tables.len()).find(|at| *at != chosen).filter(|_| places.table.width >= WIDE) {
        let (left, right) = (chosen.min(beside), chosen.max(beside));
        let half = |place: Rect| {
            let width = place.width / 2;
            (Rect { width, ..place }, Rect { x: place.x + width, width: place.width - width, ..place })
        };
        let (rules, tables) = (half(places.rule), half(places.table));
        for (at, rule, mut place) in [(left, rules.0, tables.0), (right, rules.1, tables.1)] {
            parts::rule(&titles[at..=at], usize::from(at != chosen), rule, buffer);
            place.width = place.width.saturating_sub(1);
            let sight = if at == chosen { sight } else { Sight::default() };
            view.tables[at].1.draw(sight, place, buffer);
        }
        return;
    }
    parts::rule(&titles, chosen, places.rule, buffer);
    table.draw(sight, places.table, buffer);
}
