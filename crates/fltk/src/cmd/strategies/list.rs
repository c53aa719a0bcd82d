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
    let mut table = output::table(&["name", "next global model", "publication"], &[]);
    for row in rows {
        table.add_row([row.name, row.doc, row.paper]);
    }
    output::text(&format!("{table}\n\n`fltk strategies show NAME` shows the settings of one of these, and a case to check its figures."))
}
