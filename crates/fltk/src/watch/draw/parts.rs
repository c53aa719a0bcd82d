//! The parts that the screens of runs and of streams share.

use fltk_records::history::Status;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::super::{
    chart,
    look::{self, Look},
    view::{Chart, Progress},
};
use crate::pace::time;

/// The width that a chart wants, in columns.
const CHART_WIDTH: u16 = 38;
/// The least width of a bar of progress.
const BAR_MIN: usize = 8;
/// The greatest width of a bar of progress.
const BAR_MAX: usize = 40;

/// The places of the parts of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The lines at the top.
    pub head: Rect,
    /// The curves; empty if there is no room.
    pub charts: Rect,
    /// The line above the table.
    pub rule: Rect,
    /// The table, with its header.
    pub table: Rect,
    /// The lines below the table, about what is selected.
    pub words: Rect,
    /// The last line.
    pub foot: Rect,
}

/// Divides `area`, with so many lines at the top and below the table.
pub fn places(area: Rect, head: u16, words: u16) -> Places {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let mut y = area.y;
    let mut next = |height: u16, of: Rect| {
        let place = Rect { y, height: height.min(area.bottom().saturating_sub(y)), ..of };
        y = place.bottom();
        place
    };
    let rest = area.height.saturating_sub(head + words + 2);
    // A table of three rows and its header, and curves that can be seen.
    let charts = if rest < 4 + chart::SMALLEST.1 { 0 } else { (rest * 11 / 20).clamp(chart::SMALLEST.1, 16) };
    Places {
        head: next(head, inner),
        charts: next(charts, area),
        rule: next(1, area),
        table: next(rest - charts, inner),
        words: next(words, inner),
        foot: next(1, inner),
    }
}

/// Draws the first line: a name, and a status at its right.
pub fn name(name: &str, status: Status, line: Rect, buffer: &mut Buffer) {
    let words = status.name();
    let width = u16::try_from(words.len()).unwrap_or(0);
    buffer.set_stringn(line.x, line.y, name, usize::from(line.width.saturating_sub(width + 2)), look::title());
    buffer.set_stringn(line.right().saturating_sub(width), line.y, words, usize::from(width), look::status(status));
}

/// Draws a text that may be cut.
pub fn text(text: &str, style: Style, line: Rect, buffer: &mut Buffer) {
    buffer.set_stringn(line.x, line.y, text, usize::from(line.width), style);
}

/// Draws how far something is: in words, as a bar if there is room, and what is left.
pub fn progress(progress: &Progress, more: &str, line: Rect, buffer: &mut Buffer) {
    let Progress { words, part, rate, left, elapsed, quiet } = progress;
    let mut parts = vec![words.clone()];
    parts.extend(left.map(|left| format!("{} left", time(left))));
    parts.extend(Some(rate.clone()).filter(|rate| !rate.is_empty()));
    parts.extend(Some(more.to_owned()).filter(|more| !more.is_empty()));
    parts.push(format!("{} so far", time(*elapsed)));
    parts.extend(quiet.map(|quiet| format!("last record {} ago", time(quiet))));
    let width = usize::from(line.width);
    let wide = |text: &str| Span::raw(text).width();
    // The last of them are left out where there is no room.
    let mut room = width.saturating_sub(wide(&parts[0]));
    let bar_min = part.map_or(0, |_| BAR_MIN + "  100 %  ".len());
    let mut shown = vec![];
    for words in &parts[1..] {
        if wide(words) + 2 + bar_min > room {
            break;
        }
        room -= wide(words) + 2;
        shown.push(words.as_str());
    }
    let mut spans = vec![Span::raw(parts[0].clone()), Span::raw("  ")];
    if let Some(part) = part.filter(|_| room >= bar_min) {
        let bar = (room - "  100 %  ".len()).clamp(BAR_MIN, BAR_MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a part of a few characters"
        )]
        let full = ((part * bar as f64).round() as usize).min(bar);
        spans.push(Span::styled("█".repeat(full), look::bar()));
        spans.push(Span::styled("░".repeat(bar - full), look::faint()));
        spans.push(Span::raw(format!("  {:>3.0} %  ", (part * 100.0).floor())));
    }
    spans.push(Span::raw(shown.join("  ")));
    buffer.set_line(line.x, line.y, &Line::from(spans), line.width);
}

/// Draws figures with their names, as many as fit.
pub fn figures<'a>(figures: impl Iterator<Item = (&'a str, &'a str, Style)>, line: Rect, buffer: &mut Buffer) {
    let (mut x, mut room) = (line.x, usize::from(line.width));
    for (name, figure, style) in figures {
        let width = Span::raw(name).width() + 1 + Span::raw(figure).width();
        if width > room {
            break;
        }
        (x, _) = buffer.set_stringn(x, line.y, name, room, look::faint());
        (x, _) = buffer.set_stringn(x + 1, line.y, figure, room, style);
        x += 3;
        room = room.saturating_sub(width + 3);
    }
}

/// Draws as many of the charts as fit beside each other, from the one that is chosen.
pub fn charts(charts: &[Chart], chosen: usize, area: Rect, look: Look, buffer: &mut Buffer) {
    if charts.is_empty() || area.height == 0 {
        return;
    }
    let count = u16::try_from(charts.len()).unwrap_or(u16::MAX).min((area.width / CHART_WIDTH).max(1));
    let mut x = area.x;
    for at in 0..count {
        let width = (area.right() - x) / (count - at);
        let chart = &charts[(chosen + usize::from(at)) % charts.len()];
        chart::draw(chart, Rect { x, width, ..area }, look, buffer);
        x += width;
    }
}

/// Draws a line with titles in it, of which one is chosen.
pub fn rule(titles: &[String], chosen: usize, line: Rect, buffer: &mut Buffer) {
    text(&"─".repeat(usize::from(line.width)), look::faint(), line, buffer);
    let mut spans = Vec::new();
    for (at, title) in titles.iter().enumerate() {
        spans.push(Span::styled(format!(" {title} "), if at == chosen { look::title() } else { look::faint() }));
    }
    buffer.set_line(line.x + 1, line.y, &Line::from(spans), line.width.saturating_sub(2));
}

/// Draws the last line: the keys, or something that is to be said.
pub fn foot(keys: &[(&str, &str)], notice: Option<&str>, line: Rect, buffer: &mut Buffer) {
    match notice {
        Some(notice) => text(notice, look::title(), line, buffer),
        None => {
            let mut spans = Vec::new();
            for (key, what) in keys {
                spans.extend([Span::styled((*key).to_owned(), look::title()), Span::styled(format!(" {what}   "), look::faint())]);
            }
            buffer.set_line(line.x, line.y, &Line::from(spans), line.width);
        }
    }
}

/// Returns the line at this position of `area`, counted from its top.
pub fn line(area: Rect, at: u16) -> Rect {
    Rect { y: area.y.saturating_add(at).min(area.bottom()), height: u16::from(at < area.height), ..area }
}
