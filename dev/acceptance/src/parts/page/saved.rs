//! Charts that are saved: as SVG, PNG and CSV, with what is seen.

use anyhow::{Context as _, ensure};

use super::{shape::views, visit::Visit};
use crate::browser::{Browser, Server};

/// The first bytes of a PNG.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Saves charts of every view in every format.
pub fn check(browser: &Browser, few: &Server) -> anyhow::Result<()> {
    let visit = Visit::begin(browser, few, "#/runs")?;
    for (what, view) in views(&visit)? {
        let charts: &[&str] = match what {
            "run" if view.contains("grid-") => &["accuracy", "partition", "confusion"],
            "compare" => &["compared"],
            "stream" => &["timeline"],
            _ => continue,
        };
        visit.go(&view)?;
        visit.is_at(what)?;
        save(&visit, charts)?;
    }
    visit.is_calm()
}

fn save(visit: &Visit<'_>, charts: &[&str]) -> anyhow::Result<()> {
    for name in charts {
        let chart = visit.chart(name)?;
        let save = |kind: &str| {
            visit.page.click(&format!("figure[data-chart={name}] [data-save={kind}]"))?;
            let (file, bytes) = visit.page.saved().with_context(|| format!("`{name}` as {kind}"))?;
            ensure!(file.ends_with(&format!(".{kind}")), "`{name}` as {kind} is saved as `{file}`");
            anyhow::Ok(bytes)
        };
        let svg = String::from_utf8(save("svg")?).context("an SVG that isn't text")?;
        ensure!(svg.contains("<svg") && svg.contains("http://www.w3.org/2000/svg") && svg.contains("<path"), "`{name}`: {:.300}", svg);
        // It is a picture by itself: another program draws it.
        let size: (u32, u32) = visit.page.value(&format!(
            "new Promise((done, failed) => {{ const image = new Image(); image.onload = () => done([image.naturalWidth, image.naturalHeight]); image.onerror = () => failed(new Error('it is no picture')); image.src = 'data:image/svg+xml,' + encodeURIComponent({}); }})",
            serde_json::json!(svg)
        ))?;
        ensure!(size.0 >= 100 && size.1 >= 40, "`{name}` as SVG has {size:?} pixels");
        let png = save("png")?;
        ensure!(png.starts_with(PNG) && png.len() > 1000, "`{name}` as PNG has {} bytes", png.len());
        let width = u32::from_be_bytes(png[16..20].try_into()?);
        ensure!(f64::from(width) >= chart.width, "`{name}` as PNG is {width} px wide, on the page {}", chart.width);
        let csv = String::from_utf8(save("csv")?).context("a CSV that isn't text")?;
        let table = visit.table_of(name)?;
        let lines: Vec<&str> = csv.lines().collect();
        ensure!(lines.len() == table.rows.len() + 1, "`{name}` as CSV has {} lines, its table {} rows", lines.len(), table.rows.len());
        ensure!(
            lines.iter().all(|line| num_fields(line) == table.head.len()),
            "`{name}` as CSV begins with `{}`, its table with {:?}",
            lines[0],
            table.head
        );
        // A program for tables takes a text with one of these for a formula.
        ensure!(!csv.lines().any(|line| line.starts_with(['=', '@', '+'])), "`{name}` as CSV has a formula");
    }
    Ok(())
}

/// Returns the number of fields in a line of CSV.
fn num_fields(line: &str) -> usize {
    // What is between quotes is at odd positions.
    line.split('"').step_by(2).map(|plain| plain.matches(',').count()).sum::<usize>() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_divide_nothing() {
        for (line, expected) in [("a,b", 2), ("\"a, low\",b", 2), ("\"a \"\"x, y\"\"\",b,c", 3), ("a", 1)] {
            assert_eq!(num_fields(line), expected, "{line}");
        }
    }
}
