//! The page with published figures and ours, `docs/reproduction.md`, made from the tables and the records alone.

use std::{fmt::Write as _, path::Path};

use super::{
    cell::{Cell, Measure, Table},
    record::{self, Record, Records},
    summary::{Figure, Summary},
};

/// The page in a checkout.
const PAGE: &str = "docs/reproduction.md";

const BEGINNING: &str = "\
<!-- Written by `cargo xtask reproduce --page` from dev/acceptance/src/reproduce/tables and docs/reproduction. -->

# Published tables, and ours

Figures that others have published, beside those of fltk in the same setting. Accuracies are on the whole test set, in percent. Ours are means over seeds with the sample
standard deviation, and both after the last round and at the best round, since sources report either: *ours* is what the source reports. A difference within a deviation or two says
nothing; what could explain a larger one is listed under each table.

`cargo xtask reproduce` runs what is missing, in this order, and goes on where it was interrupted; `cargo xtask reproduce --list` says how long it takes, and `cargo xtask reproduce NAME`
runs the cells whose names begin with that. Each run is a file in `docs/reproduction`, with its settings, the accuracy after every round, and the digest of the final
parameters, which the same version of fltk gives again on the same kind of processor.
";

/// Writes the page into the checkout at `root`.
///
/// # Errors
/// If it can't be written.
pub fn write(root: &Path, tables: &[Table], records: &Records) -> anyhow::Result<()> {
    record::write(&root.join(PAGE), &text(tables, records))
}

/// Returns the page.
fn text(tables: &[Table], records: &Records) -> String {
    let mut page = BEGINNING.to_owned();
    for table in tables {
        add_table(&mut page, table, records);
    }
    page
}

/// Adds the section of `table`. Writing to a string can't fail.
fn add_table(page: &mut String, table: &Table, records: &Records) {
    let _ = writeln!(page, "\n## {}\n\n{}\n\n{}\n", table.title, table.source, table.setting);
    page.push_str("| cell | | published | ours | best round | last round | seeds |\n|---|---|---|---|---|---|---|\n");
    for cell in &table.cells {
        page.push_str(&row(cell, &Summary::of(cell, &records.of(cell))));
    }
    let own: Vec<_> = table.cells.iter().filter_map(|cell| cell.differs.map(|differs| format!("`{}`: {differs}", cell.name))).collect();
    if !table.differs.is_empty() || !own.is_empty() {
        page.push_str("\nWhat differs:\n\n");
    }
    for differs in table.differs.iter().map(|&differs| differs.to_owned()).chain(own) {
        let _ = writeln!(page, "- {differs}");
    }
    let mut made: Vec<String> = table.cells.iter().flat_map(|cell| records.of(cell)).map(made_by).collect();
    made.sort();
    made.dedup();
    if !made.is_empty() {
        let _ = writeln!(page, "\nRun with {}.", made.join("; "));
    }
}

fn row(cell: &Cell, summary: &Summary) -> String {
    let (measure, published) = (cell.published.measure, cell.published.told());
    let list = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let percent = |figure: Option<Figure>| figure.map_or_else(|| "-".to_owned(), |figure| figure.told(Measure::Last));
    let ours = match (summary.ours, summary.seeds.is_empty()) {
        (Some(figure), _) => figure.told(measure),
        (None, true) => "not run yet".to_owned(),
        (None, false) => "not reached".to_owned(),
    };
    let (ours, published) = match measure {
        Measure::RoundsTo { .. } if summary.ours.is_some() => (format!("round {ours}"), format!("round {published}")),
        Measure::RoundsTo { .. } => (ours, format!("round {published}")),
        Measure::Best | Measure::Last => (ours, published),
    };
    let mut best = percent(summary.best);
    if !summary.best_rounds.is_empty() {
        let rounds: Vec<String> = summary.best_rounds.iter().map(usize::to_string).collect();
        best += &format!(" (after {})", rounds.join(", "));
    }
    let mut seeds = list(&summary.seeds);
    for (numbers, what) in [(&summary.failed_seeds, "ended early, not counted"), (&summary.short_seeds, "not reached, not counted")] {
        if !numbers.is_empty() {
            let _ = write!(seeds, "{}{} ({what})", if seeds.is_empty() { "" } else { "; " }, list(numbers));
        }
    }
    let seeds = if seeds.is_empty() { "-".to_owned() } else { seeds };
    format!("| `{}` | {} | {published} | {ours} | {best} | {} | {seeds} |\n", cell.name, cell.what, percent(summary.last))
}

fn made_by(record: &Record) -> String {
    format!("fltk {} and libtorch {} on {}", record.fltk, record.libtorch, record.processor)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::reproduce::{
        cell::Published,
        record::{RECORDS, tests::example},
        tables,
    };

    #[test]
    fn page_is_up_to_date() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let records = Records::read(&root.join(RECORDS)).unwrap();
        let written = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
        assert!(written == text(&tables::all(), &records), "write it with `cargo xtask reproduce --page`");
    }

    #[test]
    fn rows_say_what_was_run() {
        let (mut cell, first) = example(1, &[0.1, 0.8801, 0.87]);
        assert_eq!(row(&cell, &Summary::of(&cell, &[])), "| `a-b` | A, b | 88.09 ± 0.29 | not run yet | - | - | - |\n");
        let second = Record { failed: Some("it diverged".to_owned()), ..example(2, &[0.1]).1 };
        let expected = "| `a-b` | A, b | 88.09 ± 0.29 | 88.01 | 88.01 (after 1) | 87.00 | 1; 2 (ended early, not counted) |\n";
        assert_eq!(row(&cell, &Summary::of(&cell, &[&first, &second])), expected);
        cell.published = Published { figure: Some(20.0), deviation: None, measure: Measure::RoundsTo { accuracy: 0.88 } };
        let third = example(3, &[0.1, 0.2001]).1;
        let expected =
            "| `a-b` | A, b | round 20 | round 1 | 54.01 ± 48.08 (after 1, 1) | 53.51 ± 47.37 | 1, 3; 3 (not reached, not counted) |\n";
        assert_eq!(row(&cell, &Summary::of(&cell, &[&first, &third])), expected);
    }
}
