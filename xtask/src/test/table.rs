//! The table of proofs in CONTRIBUTING.md: the property that each part proves, and its duration.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, ensure};

use super::{PARTS, history::History, part::Stage};
use crate::checkout::Checkout;

const FILE: &str = "CONTRIBUTING.md";
/// The lines before and after the table.
const BEGIN: &str = "<!-- Written by `cargo xtask test --table`. -->\n";
const END: &str = "<!-- End of the table. -->\n";

/// The seconds of a part that the table lacks. A test finds it.
const UNKNOWN_SECONDS: f64 = 60.0;

/// Returns the seconds of the part `name` in the committed table: those of two idle cores, if nothing but the checkout is new.
pub fn seconds(name: &str) -> f64 {
    let rows = divided(include_str!("../../../CONTRIBUTING.md")).map_or_else(|_| Vec::new(), |(_, table, _)| rows(table));
    let row = rows.into_iter().find(|row| row.first() == Some(&name));
    row.and_then(|row| row.last()?.parse().ok()).unwrap_or(UNKNOWN_SECONDS)
}

/// Returns the cells of each row of `table`.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Writes the table again, with the seconds of the last runs here.
///
/// # Errors
/// If the page has no place for the table, or can't be written.
pub fn write(checkout: &Checkout, history: &History) -> anyhow::Result<()> {
    let path = checkout.root.join(FILE);
    let page = fs::read_to_string(&path).with_context(|| format!("can't read `{FILE}`"))?;
    let (before, _, after) = divided(&page)?;
    let mut table = String::from("| part | command | what only this part proves | s |\n|---|---|---|---|\n");
    for part in PARTS {
        let command = match part.stage {
            Stage::Checks => "`test`",
            Stage::Slow => "`test --slow`",
            Stage::Cluster => "`test --cluster`",
            Stage::Both => "all",
        };
        let seconds = history.measured(part).map_or_else(|| "-".to_owned(), |seconds| format!("{:.0}", seconds.ceil()));
        // Writing to a string can't fail.
        let _ = writeln!(table, "| {} | {command} | {} | {seconds} |", part.name, part.proves);
    }
    fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).with_context(|| format!("can't write `{FILE}`"))?;
    println!("the table in {FILE} is written");
    Ok(())
}

/// Returns the page before, in and after the table.
fn divided(page: &str) -> anyhow::Result<(&str, &str, &str)> {
    let (before, rest) = page.split_once(BEGIN).with_context(|| format!("`{FILE}` has no line `{}`", BEGIN.trim()))?;
    let (table, after) = rest.split_once(END).with_context(|| format!("`{FILE}` has no line `{}`", END.trim()))?;
    ensure!(!after.contains(BEGIN), "`{FILE}` has two tables");
    Ok((before, table, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_rows_of_the_table_match() {
        let page = fs::read_to_string(Checkout::find().unwrap().root.join(FILE)).unwrap();
        let (_, table, _) = divided(&page).unwrap();
        let rows = rows(table);
        let said: Vec<(&str, &str)> = rows.iter().map(|row| (row[0], row[2])).collect();
        let expected: Vec<(&str, &str)> = PARTS.iter().map(|part| (part.name, part.proves)).collect();
        let differs = said.iter().zip(&expected).find(|(said, expected)| said != expected);
        assert_eq!(differs, None, "the table and the list; `cargo xtask test --table` writes it");
        assert_eq!(said.len(), expected.len(), "`cargo xtask test --table` writes it");
        for row in rows {
            assert!(
                row[3].parse::<u32>().is_ok_and(|seconds| seconds > 0),
                "`{}` was not measured: run it, then `cargo xtask test --table`",
                row[0]
            );
        }
    }
}
