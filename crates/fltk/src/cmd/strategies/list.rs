//! `fltk strategies list`: all strategies, with their publications.

use fltk_fed::strategy;
use serde::Serialize;

use crate::{
    cli::{Cli, Output},
    cmd::catalogue::{Setting, settings},
    output,
};

#[derive(Serialize)]
struct Row {
    name: &'static str,
    doc: &'static str,
    paper: &'static str,
    parameters: Vec<Setting>,
}

/// Prints every strategy.
///
/// # Errors
/// If standard output is closed.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let entries = strategy::CATALOGUE.iter().map(|strategy| &strategy.entry.entry);
    let rows: Vec<Row> =
        entries.map(|entry| Row { name: entry.name, doc: entry.doc, paper: entry.paper, parameters: settings(entry) }).collect();
    if cli.output == Output::Json {
        return output::json(&rows);
    }
    let mut table = output::table(&["name", "what it does", "publication"], &[]);
    for row in rows {
        table.add_row([row.name.to_owned(), row.doc.to_owned(), short(row.paper)]);
    }
    let note = "`fltk strategies show NAME` shows the whole publication of one of these, its settings, and a case to check its figures.";
    output::text(&format!("{table}\n\n{note}"))
}

/// Returns a publication's first author and the number under which it is found.
fn short(paper: &str) -> String {
    let parts: Vec<&str> = paper.split(", ").collect();
    let number = parts.iter().find(|part| part.starts_with("arXiv:") || part.starts_with("doi:"));
    match (parts.first(), number) {
        (Some(authors), Some(number)) => format!("{authors}, {number}"),
        _ => paper.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_publication_is_short_and_has_a_number() {
        for strategy in strategy::CATALOGUE {
            let short = short(strategy.entry.entry.paper);
            assert!(short.len() < 50 && short.contains(':'), "{}: {short}", strategy.name());
        }
    }
}
