//! Selections: which clients take part in a round.
//!
//! A selection is a [`Selection`] in its own file, and a line in the [`CATALOGUE`].

mod catalogue;
mod file;
mod random;

use fltk_core::{
    catalogue::{Choice, Entry, Kind},
    ids::{ClientId, Round},
    seed::Seed,
};

pub use catalogue::{CATALOGUE, by_name, entries};

/// A way to select the clients of a round.
#[derive(Debug)]
pub struct Selection {
    /// The name in experiment files, the publication, and the parameters.
    pub entry: Entry,
    /// Returns the clients of a round, in any order: [`Selecting::amount`] different ones among the eligible.
    pub select: fn(&Selecting<'_>) -> Vec<ClientId>,
}

impl PartialEq for Selection {
    /// Compares names, which are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name
    }
}

/// The arguments of a selection.
#[derive(Clone, Copy, Debug)]
pub struct Selecting<'a> {
    /// The selection's settings.
    pub settings: &'a Choice,
    /// The root seed, for draws.
    pub seed: Seed,
    /// The round.
    pub round: Round,
    /// The clients that hold samples, ascending.
    pub eligible: &'a [ClientId],
    /// The number of clients to select; at most that of the eligible.
    pub amount: usize,
    /// The clients of this round in the file that the settings name; none if the selection reads no file.
    pub given: &'a [ClientId],
}

impl Selection {
    /// Returns true if it takes the clients of each round from a file that its settings name.
    #[must_use]
    pub fn reads_file(&self) -> bool {
        self.entry.parameters.iter().any(|parameter| parameter.kind == Kind::Path)
    }

    /// Returns the cohort of a round: as many of the eligible clients as are to be selected, ascending; all of them if there are no more. The
    /// result depends only on the arguments, so a resumed run selects the same clients as an uninterrupted one.
    #[must_use]
    pub fn cohort(&self, selecting: &Selecting<'_>) -> Vec<ClientId> {
        let amount = selecting.amount.min(selecting.eligible.len());
        let mut clients = (self.select)(&Selecting { amount, ..*selecting });
        clients.sort_unstable();
        clients
    }
}
