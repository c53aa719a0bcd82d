//! The list of cells: their published figures, ours, and what is left to do.

use serde::Serialize;

use super::{
    cell::{Cell, Measure, Published},
    order,
    record::Records,
    summary::Summary,
};
use crate::bench::Output;

/// One cell.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    what: &'a str,
    published: Published,
    #[serde(flatten)]
    summary: Summary,
    missing_seeds: Vec<u64>,
    core_hours_left: f64,
}

/// Prints the list.
///
/// # Errors
/// If it can't be written as JSON.
pub fn print(cells: &[&Cell], records: &Records, seeds: Option<u32>, output: Output) -> anyhow::Result<()> {
    let lines: Vec<Line<'_>> = cells.iter().map(|cell| line(cell, records, seeds)).collect();
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&lines)?),
        Output::Text => print!("{}", text(&lines)),
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "there are at most 100 seeds")]
fn line<'a>(cell: &'a Cell, records: &Records, seeds: Option<u32>) -> Line<'a> {
    let missing_seeds = order::missing(cell, records, seeds);
    Line {
        name: &cell.name,
        what: &cell.what,
        published: cell.published,
        summary: Summary::of(cell, &records.of(cell)),
        core_hours_left: missing_seeds.len() as f64 * cell.core_seconds() / 3600.0,
        missing_seeds,
    }
}

fn text(lines: &[Line<'_>]) -> String {
    let header = ["cell", "published", "", "ours", "seeds done", "missing", "core-hours left"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(header).chain(lines.iter().map(row)).collect();
    let widths: Vec<usize> = (0..7).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let padded = |row: &[String; 7]| row.iter().zip(&widths).map(|(text, &width)| format!("{text:width$}")).collect::<Vec<_>>().join("  ");
    let mut text: String = rows.iter().map(|row| padded(row).trim_end().to_owned() + "\n").collect();
    let left: f64 = lines.iter().map(|line| line.core_hours_left).sum();
    text += &format!("{left:.1} core-hours are left, by an estimate for one kind of processor; two cores halve the time.\n");
    text
}

fn row(line: &Line<'_>) -> [String; 7] {
    let measure = line.published.measure;
    let list =
        |seeds: &[u64]| if seeds.is_empty() { "-".to_owned() } else { seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(" ") };
    let done: Vec<u64> = line.summary.seeds.iter().chain(&line.summary.failed_seeds).copied().collect();
    [
        line.name.to_owned(),
        line.published.told(),
        match measure {
            Measure::Best => "% best",
            Measure::Last => "% last",
            Measure::RoundsTo { .. } => "rounds",
        }
        .to_owned(),
        line.summary.ours.map_or_else(|| "-".to_owned(), |ours| ours.told(measure)),
        list(&done),
        list(&line.missing_seeds),
        format!("{:.2}", line.core_hours_left),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::record::tests::example;

    #[test]
    fn cells_are_listed_with_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::read(folder.path()).unwrap();
        let (cell, record) = example(2, &[0.1, 0.8801]);
        records.add(record).unwrap();
        let line = line(&cell, &records, None);
        assert_eq!(row(&line), ["a-b", "88.09 ± 0.29", "% best", "88.01", "2", "1 3", "2.00"]);
        assert!(text(&[line]).contains("2.0 core-hours are left"));
    }
}
