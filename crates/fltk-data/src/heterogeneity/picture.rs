//! A picture of a partition: one stacked bar per client, with its classes in colors. The format is plain SVG, readable on light and dark
//! backgrounds.

use std::fmt::Write;

use super::Heterogeneity;

/// The largest number of bars: more can't be distinguished. The picture then shows this many clients, evenly spaced, and says so.
const BARS_MAX: usize = 200;
/// The longest title: a longer one would run out of the picture; the full title is in the document's `<title>`.
const TITLE_MAX: usize = 100;
/// The largest number of classes for which there is a legend.
const LEGEND_MAX: usize = 20;

const LEFT: f64 = 70.0;
const TOP: f64 = 62.0;
const PLOT_WIDTH: f64 = 760.0;
const PLOT_HEIGHT: f64 = 320.0;
const LEGEND_WIDTH: f64 = 170.0;

/// Draws `measured` as an SVG document titled `title`; `class_names` label the classes (see [`Dataset::label_names`](crate::Dataset::label_names)).
#[must_use]
pub fn svg(measured: &Heterogeneity, class_names: &[String], title: &str) -> String {
    let num_classes = measured.global.len();
    let legend = if num_classes <= LEGEND_MAX { LEGEND_WIDTH } else { 20.0 };
    let (width, height) = (LEFT + PLOT_WIDTH + legend, TOP + PLOT_HEIGHT + 60.0);
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-family="system-ui, sans-serif" font-size="12">"#
    );
    out.push_str(STYLE);
    let _ = writeln!(out, r#"<title>{0}</title><rect class="back" width="100%" height="100%"/>"#, escape(title));
    let _ = writeln!(out, r#"<text x="{LEFT}" y="26" font-size="15" font-weight="600">{}</text>"#, escape(&shorten(title)));
    let _ = writeln!(out, r#"<text class="faint" x="{LEFT}" y="46">{}</text>"#, escape(&subtitle(measured)));
    axes(&mut out, measured);
    bars(&mut out, measured, class_names);
    if num_classes <= LEGEND_MAX {
        draw_legend(&mut out, num_classes, class_names);
    }
    out.push_str("</svg>\n");
    out
}

const STYLE: &str = "<style>
.back { fill: #ffffff } text { fill: #1f2328 } .faint { fill: #59636e } .grid { stroke: #d1d9e0 } .axis { stroke: #59636e }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117 } text { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #3d444d } .axis { stroke: #9198a1 }
}
</style>
";

fn subtitle(measured: &Heterogeneity) -> String {
    let (shown, all) = (shown(measured).count(), measured.clients.len());
    let shown = if shown < all { format!(" ({shown} shown)") } else { String::new() };
    format!(
        "{all} clients{shown}; samples {} to {}; label entropy {:.2} bits of {:.2}; total variation {:.2} (means over clients)",
        measured.size.min, measured.size.max, measured.entropy_bits.mean, measured.global_entropy_bits, measured.total_variation.mean
    )
}

/// Returns the indices of the clients that get a bar.
fn shown(measured: &Heterogeneity) -> impl Iterator<Item = usize> {
    let all = measured.clients.len();
    let bars = all.min(BARS_MAX);
    (0..bars).map(move |bar| bar * all / bars)
}

/// Returns the smallest of 1, 2, 5, 10, 20, 50, ... that is at least a fifth of `max`.
fn tick(max: f64) -> f64 {
    let mut step = 1.0;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle() {
        if step * 5.0 >= max {
            break;
        }
        step *= factor;
    }
    step
}

fn scale(measured: &Heterogeneity) -> f64 {
    measured.size.max.max(1.0)
}

fn axes(out: &mut String, measured: &Heterogeneity) {
    let (step, max) = (tick(scale(measured)), scale(measured));
    let bottom = TOP + PLOT_HEIGHT;
    for line in 0.. {
        let value = f64::from(line) * step;
        if value > max {
            break;
        }
        let y = bottom - value / max * PLOT_HEIGHT;
        let class = if line == 0 { "axis" } else { "grid" };
        let _ = writeln!(out, r#"<line class="{class}" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/>"#, LEFT + PLOT_WIDTH);
        let _ = writeln!(out, r#"<text x="{}" y="{:.1}" text-anchor="end">{value}</text>"#, LEFT - 8.0, y + 4.0);
    }
    let shown: Vec<usize> = shown(measured).collect();
    let slot = PLOT_WIDTH / shown.len().max(1) as f64;
    let every = tick(shown.len() as f64 / 3.0) as usize;
    for (bar, client) in shown.iter().enumerate().step_by(every.max(1)) {
        let x = LEFT + (bar as f64 + 0.5) * slot;
        let _ = writeln!(out, r#"<text x="{x:.1}" y="{}" text-anchor="middle">{client}</text>"#, bottom + 18.0);
    }
    let _ =
        writeln!(out, r#"<text class="faint" x="{}" y="{}" text-anchor="middle">client</text>"#, LEFT + PLOT_WIDTH / 2.0, bottom + 42.0);
    let middle = TOP + PLOT_HEIGHT / 2.0;
    let _ =
        writeln!(out, r#"<text class="faint" x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">samples</text>"#);
}

fn bars(out: &mut String, measured: &Heterogeneity, class_names: &[String]) {
    let shown: Vec<usize> = shown(measured).collect();
    let slot = PLOT_WIDTH / shown.len().max(1) as f64;
    let gap = (slot * 0.15).min(4.0);
    for (bar, &client) in shown.iter().enumerate() {
        let mut y = TOP + PLOT_HEIGHT;
        for (class, &count) in measured.clients[client].histogram.iter().enumerate().filter(|&(_, &count)| count > 0) {
            let height = count as f64 / scale(measured) * PLOT_HEIGHT;
            y -= height;
            let _ = writeln!(
                out,
                r#"<rect x="{:.2}" y="{y:.2}" width="{:.2}" height="{height:.2}" fill="{}"><title>client {client}: {count} of {}</title></rect>"#,
                LEFT + bar as f64 * slot + gap / 2.0,
                slot - gap,
                color(class, measured.global.len()),
                escape(class_name(class_names, class))
            );
        }
    }
}

fn draw_legend(out: &mut String, num_classes: usize, class_names: &[String]) {
    let x = LEFT + PLOT_WIDTH + 20.0;
    for class in 0..num_classes {
        // The order is from the bottom up, as in the bars.
        let y = TOP + 16.0 * (num_classes - 1 - class) as f64;
        let _ = writeln!(out, r#"<rect x="{x}" y="{y}" width="11" height="11" rx="2" fill="{}"/>"#, color(class, num_classes));
        let _ = writeln!(out, r#"<text x="{}" y="{}">{}</text>"#, x + 17.0, y + 10.0, escape(class_name(class_names, class)));
    }
}

fn class_name(names: &[String], class: usize) -> &str {
    names.get(class).map_or("?", String::as_str)
}

/// Returns one of ten colors of even lightness that can be distinguished on white and on black (Tableau 10); for more than ten classes,
/// hues around the circle.
fn color(class: usize, num_classes: usize) -> String {
    const TEN: [&str; 10] = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#8a8a8a"];
    match TEN.get(class) {
        Some(color) if num_classes <= TEN.len() => (*color).to_owned(),
        _ => format!("hsl({:.0} 55% {}%)", 360.0 * class as f64 / num_classes as f64, if class.is_multiple_of(2) { 50 } else { 65 }),
    }
}

fn shorten(title: &str) -> String {
    if title.chars().count() <= TITLE_MAX { title.to_owned() } else { title.chars().take(TITLE_MAX - 1).chain(['…']).collect() }
}

/// Escapes titles and class names, which may contain anything, including characters that XML reserves or forbids.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('↵'),
            _ if character.is_control() => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heterogeneity::measure;

    #[test]
    fn picture_draws_measurements_and_escapes_names() {
        let measured = measure(&[0, 0, 1], 2, &[vec![0, 2], vec![1], vec![]]);
        let picture = svg(&measured, &["a<b".to_owned(), "c&d\u{1}".to_owned()], "x < \"y\"");
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("client 0: 1 of a&lt;b") && picture.contains("client 0: 1 of c&amp;d\u{fffd}"));
        assert!(picture.contains("<title>x &lt; &quot;y&quot;</title>"));
        assert_eq!(picture.matches("<title>client").count(), 3);
        let long = "long ".repeat(40);
        let picture = svg(&measured, &[], &long);
        assert!(picture.contains(&format!("<title>{long}</title>")) && picture.contains(&format!("{}…</text>", &long[..TITLE_MAX - 1])));
    }

    #[test]
    fn many_clients_are_thinned_and_zero_clients_are_drawn() {
        let parts: Vec<Vec<u32>> = (0..1000).map(|sample| vec![sample]).collect();
        let picture = svg(&measure(&[0; 1000], 1, &parts), &[], "many");
        assert_eq!(picture.matches("<title>client").count(), BARS_MAX);
        assert!(picture.contains("1000 clients (200 shown)"));
        assert!(svg(&measure(&[], 0, &[]), &[], "none").contains("0 clients;"));
    }

    #[test]
    fn ticks_are_round_numbers() {
        for (max, expected) in [(1.0, 1.0), (9.0, 2.0), (600.0, 200.0), (5412.0, 2000.0), (60_000.0, 20_000.0)] {
            assert_eq!(tick(max), expected, "{max}");
        }
    }
}
