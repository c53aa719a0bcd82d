//! Curves, drawn in a box with its axes.

use ratatui::{
    buffer::Buffer,
    layout::{Alignment, Rect},
    style::Style,
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart as Plot, Dataset, GraphType, Paragraph, Widget as _},
};

use super::{
    look::{self, Look},
    view::{Along, Chart},
};
use crate::pace::time;

/// The smallest box in which curves can be seen, with its frame.
pub const SMALLEST: (u16, u16) = (20, 5);
/// The least height from which on the vertical axis has a label in its middle.
const TALL: u16 = 7;
/// The least width from which on the horizontal axis has a label in its middle.
const BROAD: u16 = 44;

/// Draws `chart` in `area`; nothing if that is too small.
pub fn draw(chart: &Chart, area: Rect, look: Look, buffer: &mut Buffer) {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return;
    }
    let block = Block::bordered().border_style(look::faint()).title(title(chart, look));
    let inside = block.inner(area);
    block.render(area, buffer);
    let points = || chart.curves.iter().flat_map(|curve| &curve.points);
    let (Some(along), Some(values)) = (range(points().map(|point| point.0)), range(points().map(|point| point.1))) else {
        let nothing = Paragraph::new(Line::styled("nothing yet", look::faint())).alignment(Alignment::Center);
        let middle = Rect { y: inside.y + inside.height / 2, height: 1, ..inside };
        return nothing.render(middle, buffer);
    };
    let (along, values) = (widened(along), rounded(values));
    let datasets = chart.curves.iter().enumerate().map(|(at, curve)| {
        // Of a single point there is no line.
        let kind = if curve.points.len() > 1 { GraphType::Line } else { GraphType::Scatter };
        let marker = if look.is_unicode { Marker::Braille } else { Marker::Dot };
        Dataset::default().marker(marker).graph_type(kind).style(look::curve(at)).data(&curve.points)
    });
    let middle = |(low, high): (f64, f64)| f64::midpoint(low, high);
    let digits = digits(values);
    let mut heights = vec![values.0, middle(values), values.1];
    let mut widths = vec![along.0, middle(along), along.1];
    if inside.height < TALL {
        heights.remove(1);
    }
    if inside.width < BROAD {
        widths.remove(1);
    }
    let is_short = values.0.abs().max(values.1.abs()) < 1e5 && values.1 - values.0 > 1e-6;
    let value = |value: &f64| Span::raw(if is_short { format!("{value:.digits$}") } else { format!("{value:.3e}") });
    let place = |place: &f64| Span::raw(place_words(*place, chart.along));
    let axis =
        |bounds: (f64, f64), labels: Vec<Span<'static>>| Axis::default().bounds([bounds.0, bounds.1]).style(look::faint()).labels(labels);
    Plot::new(datasets.collect())
        .legend_position(None)
        .style(Style::new())
        .x_axis(axis(along, widths.iter().map(place).collect()))
        .y_axis(axis(values, heights.iter().map(value).collect()))
        .render(inside, buffer);
}

/// Returns the title, with the names of the curves in their colors, and the last value of each.
fn title(chart: &Chart, look: Look) -> Line<'static> {
    let mut spans = vec![Span::styled(format!(" {} ", chart.title), look::title())];
    for (at, curve) in chart.curves.iter().enumerate().filter(|(_, curve)| !curve.name.is_empty()) {
        let mark = if look.is_unicode { "━" } else { "-" };
        spans.push(Span::styled(format!("{mark} {} ", curve.name), look::curve(at)));
    }
    Line::from(spans)
}

fn place_words(place: f64, along: Along) -> String {
    match along {
        Along::Steps(_) => format!("{place:.0}"),
        Along::Seconds => time(place),
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let range = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    (range.0 <= range.1).then_some(range)
}

/// Returns a range that isn't empty.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if high > low { (low, high) } else { (low, low + 1.0) }
}

/// Returns a range around `low` and `high` whose ends are short numbers.
fn rounded((low, high): (f64, f64)) -> (f64, f64) {
    let (low, high) = if high > low { (low, high) } else { (low - 0.5 * low.abs().max(0.1), high + 0.5 * high.abs().max(0.1)) };
    let step = step(high - low);
    ((low / step).floor() * step, (high / step).ceil() * step)
}

/// Returns the step between short numbers in a range of this size: 1, 2 or 5 times a power of ten, of which it has five to twelve.
fn step(size: f64) -> f64 {
    let power = 10_f64.powf((size / 10.0).log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| size / (times * power) <= 10.0).unwrap_or(10.0);
    times * power
}

/// Returns the least decimals that show the ends and the middle of a range as they are, six at most.
fn digits((low, high): (f64, f64)) -> usize {
    const MOST: usize = 6;
    let is_exact = |digits: usize, value: f64| {
        format!("{value:.digits$}").parse::<f64>().is_ok_and(|shown| (shown - value).abs() <= 1e-6 * (high - low))
    };
    let all = [low, f64::midpoint(low, high), high];
    (0..MOST).find(|digits| all.iter().all(|value| is_exact(*digits, *value))).unwrap_or(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::view::Curve;

    fn drawn(curves: Vec<Curve>, width: u16, height: u16) -> String {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let chart = Chart { title: "accuracy".to_owned(), curves, along: Along::Steps("round") };
        let look = Look { is_unicode: true, has_colors: true };
        draw(&chart, area, look, &mut buffer);
        look.apply(&mut buffer);
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn axes_end_at_short_numbers() {
        for (range, expected) in
            [((0.12, 0.83), (0.1, 0.9)), ((0.0, 3.0), (0.0, 3.0)), ((2.301, 2.304), (2.301, 2.304)), ((0.5, 0.5), (0.25, 0.75))]
        {
            let (low, high) = rounded(range);
            assert!((low - expected.0).abs() < 1e-9 && (high - expected.1).abs() < 1e-9, "{range:?}: {low} {high}");
        }
        let ranges = [(0.1, 0.9), (0.0, 20.0), (2.301, 2.304), (0.0, 2.5), (0.0, 5.0), (0.0, 1e-9)];
        assert_eq!(ranges.map(digits), [1, 0, 4, 2, 1, 6]);
    }

    #[test]
    fn curves_of_any_kind_are_drawn() {
        let rising = Curve::new("test", (0..10).map(|at| (f64::from(at), f64::from(at) * 0.1)));
        let text = drawn(vec![rising.clone()], 50, 10);
        for words in ["accuracy ━ test", "0.9", "0.00", "9│"] {
            assert!(text.replace(' ', "").contains(&words.replace(' ', "")), "{words}: {text}");
        }
        assert!(text.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "{text}");
        for (curves, width, height) in [
            (vec![Curve::new("", [].into_iter())], 40, 8),
            (vec![Curve::new("", [(3.0, 0.5)].into_iter())], 40, 8),
            (vec![Curve::new("", [(3.0, 0.5), (4.0, 0.5)].into_iter())], 20, 5),
            (vec![rising], 19, 9),
            (vec![], 40, 8),
        ] {
            drawn(curves, width, height);
        }
        assert!(drawn(vec![], 40, 8).contains("nothing yet"));
    }
}
