//! Blocks of an experiment file as values elsewhere, such as on the command line: the same keys, checks and defaults.

use super::{DatasetConfig, Report, SourceFile, check::check_entry, experiment_schema, parse::or_unreadable, places::Places, shape, tree};
use fltk_core::catalogue::{Catalogue, Catalogues, Choice, Entry};

/// Returns the partition that `text` describes, in YAML or JSON, as under `partition` in an experiment file.
///
/// # Errors
/// Every problem in the text.
pub fn parse_partition(text: &str, catalogues: &Catalogues) -> Result<Choice, Report> {
    parse(text, "--partition", &catalogues.partitioners, catalogues)
}

/// Returns the data set that `text` describes, in YAML or JSON, as the block under `dataset` in an experiment file. `name` is the name of the text in reports.
///
/// # Errors
/// Every problem in the text.
pub fn parse_dataset(text: &str, name: &str, catalogues: &Catalogues) -> Result<DatasetConfig, Report> {
    let read = |json| serde_json::from_value(json).ok().map(|DatasetConfig { data, path }| (data, path));
    let of = |choice: &Choice| catalogues.of_dataset(choice);
    parse_with(text, name, catalogues.datasets.kind(), of, catalogues, read).map(|(data, path)| DatasetConfig { data, path })
}

/// Returns the optimizer that `text` describes, in YAML or JSON, as under `optimizer` in an experiment file.
///
/// # Errors
/// Every problem in the text.
pub fn parse_optimizer(text: &str, catalogues: &Catalogues) -> Result<Choice, Report> {
    parse(text, "--optimizer", &catalogues.optimizers, catalogues)
}

/// Returns the strategy that `text` describes, in YAML or JSON, as under `strategy` in an experiment file. `name` is the name of the text in reports.
///
/// # Errors
/// Every problem in the text.
pub fn parse_strategy(text: &str, name: &str, catalogues: &Catalogues) -> Result<Choice, Report> {
    parse(text, name, &catalogues.strategies, catalogues)
}

/// Parses a block. `flag` is the name of the text in reports.
fn parse<T: AsRef<Entry>>(text: &str, flag: &str, catalogue: &Catalogue<T>, catalogues: &Catalogues) -> Result<Choice, Report> {
    let read = |json| serde_json::from_value(json).ok().map(|choice| (choice, ()));
    parse_with(text, flag, catalogue.kind(), |_| catalogue, catalogues, read).map(|(choice, ())| choice)
}

/// Parses a block of the definition `kind`, of which `read` makes a choice of a catalogue, which `of` finds, and what isn't in the catalogue.
fn parse_with<'a, T: AsRef<Entry> + 'static, R>(
    text: &str,
    flag: &str,
    kind: &str,
    of: impl Fn(&Choice) -> &'a Catalogue<T>,
    catalogues: &Catalogues,
    read: impl Fn(serde_json::Value) -> Option<(Choice, R)>,
) -> Result<(Choice, R), Report> {
    let mut problems = Vec::new();
    let value = match tree::read(text, 0, &mut problems) {
        Ok(mut node) => {
            let root = experiment_schema::experiment(catalogues);
            shape::check(root, &root["$defs"][kind], &mut node, kind, &mut problems);
            let choice = read(node.to_json()).and_then(|(choice, rest)| Some((of(&choice).settle(choice).ok()?, rest)));
            if let Some((choice, _)) = &choice
                && let Some(entry) = of(choice).get(choice.name())
            {
                check_entry(choice, entry.as_ref(), "", &Places { root: &node, whole: node.span, names: &[] }, &mut problems);
            }
            choice
        }
        Err(problem) => {
            problems.push(*problem);
            None
        }
    };
    let report = Report::new(vec![SourceFile { name: flag.to_owned(), text: text.to_owned() }], problems);
    match value {
        Some(value) if !report.has_errors() => Ok(value),
        _ => Err(or_unreadable(report)),
    }
}
