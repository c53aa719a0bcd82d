//! `fltk strategies show`: everything about one strategy, with a case to copy.

use anyhow::Context as _;
use fltk_core::client_terms::NORMALIZER;
use fltk_fed::strategy::{self, Spec};
use serde::Serialize;

use super::sample::{self, Sample};
use crate::{
    cli::{Cli, Output},
    cmd::catalogue::{Setting, line, settings},
    output,
};

#[derive(Serialize)]
struct Shown {
    name: &'static str,
    doc: &'static str,
    paper: &'static str,
    parameters: Vec<Setting>,
    /// The values that it wants in `extra` of an update.
    extra: Vec<Named>,
    /// The values that it keeps on the server, `state`.
    state: Vec<Named>,
    /// The names of the values that each client keeps for itself.
    keeps: &'static [&'static str],
    uses_client_learning_rate: bool,
    is_robust: bool,
    server_trains: bool,
    case: Sample,
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    doc: String,
    values: &'static str,
}

const SCALAR: &str = "a number";
const ARRAY: &str = "a number for each element of every parameter";

/// Prints the strategy `name`.
///
/// # Errors
/// If there is none of that name, or standard output is closed.
pub fn run(cli: &Cli, name: &str) -> anyhow::Result<()> {
    let strategy = strategy::by_name(name).with_context(|| {
        let like = strategy::CATALOGUE.iter().find(|known| known.name().eq_ignore_ascii_case(name));
        let hint = like.map_or_else(|| "`fltk strategies list` lists all".to_owned(), |known| format!("did you mean `{}`?", known.name()));
        format!("there is no strategy `{name}`\nhint: {hint}")
    })?;
    let shown = shown(strategy);
    if cli.output == Output::Json { output::json(&shown) } else { output::text(&to_text(&shown)) }
}

fn shown(strategy: &'static Spec) -> Shown {
    let entry = &strategy.entry.entry;
    let scalars = strategy.extras.iter().map(|extra| {
        let default = if extra.name == NORMALIZER { " Default: `steps`." } else { "" };
        Named { name: extra.name, doc: format!("{}{default}", extra.doc), values: SCALAR }
    });
    let arrays = strategy.arrays.iter().map(|array| Named { name: array.name, doc: array.doc.to_owned(), values: ARRAY });
    let state = strategy.state.iter().map(|kept| {
        let values = if kept.is_array { ARRAY } else { SCALAR };
        Named { name: kept.name, doc: kept.doc.to_owned(), values }
    });
    Shown {
        name: entry.name,
        doc: entry.doc,
        paper: entry.paper,
        parameters: settings(entry),
        extra: scalars.chain(arrays).collect(),
        state: state.collect(),
        keeps: strategy.keeps,
        uses_client_learning_rate: strategy.uses_client_rate,
        is_robust: strategy.is_robust(),
        server_trains: strategy.root.is_some(),
        case: sample::of(strategy),
    }
}

fn to_text(shown: &Shown) -> String {
    let mut text = format!("{}: {}\n{}\n", shown.name, shown.doc, shown.paper);
    let mut section = |title: &str, lines: Vec<String>| {
        let body: String = lines.iter().map(|line| format!("\n  {line}")).collect();
        text.push_str(&format!("\n{title}:{}\n", if body.is_empty() { " nothing" } else { &body }));
    };
    let named = |values: &[Named]| values.iter().map(|named| format!("{}: {}. {}", named.name, named.values, named.doc)).collect();
    section("Settings", shown.parameters.iter().map(line).collect());
    section("Wanted of each client beside its model (`extra`)", named(&shown.extra));
    section("Kept on the server (`state`)", named(&shown.state));
    section("Kept at each client (no part of a case)", shown.keeps.iter().map(|&name| name.to_owned()).collect());
    if shown.uses_client_learning_rate {
        text.push_str("\nThe clients' learning rate matters: a case needs `client_learning_rate`.\n");
    }
    if shown.server_trains {
        text.push_str("\nThe server trains, too, on samples of its own: its update is `root` in each round of a case.\n");
    }
    if shown.is_robust {
        text.push_str("\nUpdates that aren't finite count as failed, samples don't weigh, and buffers are medians.\n");
    }
    text.push_str(&format!("\nA case, for `fltk strategies apply CASE.json`:\n\n{}", shown.case.to_text()));
    text
}
