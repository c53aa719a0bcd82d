//! The selection that a file gives, such as one that another tool recorded.

use fltk_core::{
    catalogue::{Entry, FilePath, SelectionEntry},
    ids::ClientId,
};

use super::{Selecting, Selection};

const PATH: FilePath = FilePath::required(
    "path",
    "A JSON file with `cohorts`: for each round from the first the list of its clients, `clients_per_round` of them, by their numbers from 0. It may have \
     more rounds than the task, and may be the file of the partition `file`.",
);

/// The clients of each round that a file gives. They are checked before they get here: they exist, hold samples, and are as many as they should be.
pub static SELECTION: Selection = Selection::new(
    SelectionEntry::new(
        Entry::new("file", "The clients of each round that a file gives, so that the selections of another tool can be repeated.")
            .parameters(&[PATH.parameter()]),
    )
    .everybody(),
    select,
);

fn select(this: &Selecting<'_>) -> Vec<ClientId> {
    this.given.to_vec()
}
