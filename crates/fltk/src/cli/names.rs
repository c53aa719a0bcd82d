//! The help of arguments that name entries of catalogues.

use fltk_core::catalogue::{Catalogue, Entry};

use crate::catalogues;

/// Returns `doc` with the names of all entries of `catalogue`.
fn listed<T: AsRef<Entry>>(doc: &str, catalogue: &Catalogue<T>) -> String {
    let names: Vec<&str> = catalogue.iter().map(|entry| entry.as_ref().name).collect();
    format!("{doc}: {}", names.join(", "))
}

/// Returns `doc` with the types of all entries of `catalogue`, and the command that shows their settings.
fn choices<T: AsRef<Entry>>(doc: &str, catalogue: &Catalogue<T>) -> String {
    format!("{}. `fltk catalogue {}` shows their settings", listed(&format!("{doc}; types"), catalogue), catalogue.kind())
}

pub fn net() -> String {
    listed("The name of a net", &catalogues().nets)
}

pub fn dataset_or_block() -> String {
    listed("The path of data of your own, a block as in an experiment file, or the name of a data set", &catalogues().datasets)
}

pub fn datasets() -> String {
    listed("The names of data sets", &catalogues().datasets)
}

pub fn datasets_or_all() -> String {
    listed("The names of data sets (default: all)", &catalogues().datasets)
}

pub fn partition() -> String {
    choices("A partition as in an experiment file, in YAML or JSON", &catalogues().partitioners)
}

pub fn optimizer() -> String {
    choices("An optimizer as in an experiment file, in YAML or JSON", &catalogues().optimizers)
}

pub fn strategy() -> String {
    listed("The name of a strategy", &catalogues().strategies)
}

/// Returns the help of a kind or an entry.
pub fn kind_or_entry() -> String {
    let all = catalogues();
    let kinds = [
        all.nets.kind(),
        all.datasets.kind(),
        all.formats.kind(),
        all.partitioners.kind(),
        all.strategies.kind(),
        all.selections.kind(),
        all.attacks.kind(),
        all.compressions.kind(),
        all.devices.kind(),
        all.links.kind(),
        all.availability.kind(),
        all.optimizers.kind(),
        all.losses.kind(),
    ];
    format!("A kind ({}), or the name of an entry", kinds.join(", "))
}
