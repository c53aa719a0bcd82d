//! The catalogues that the program passes to parsers: the entries of all crates, joined. It compiles without libtorch.

use std::sync::LazyLock;

use fltk_core::catalogue::{Catalogues, Entries};
use fltk_train_catalogue as train;

static CATALOGUES: LazyLock<Catalogues> = LazyLock::new(|| Catalogues::new(entries()));

/// Returns the catalogues of this version of fltk.
#[must_use]
pub fn catalogues() -> &'static Catalogues {
    &CATALOGUES
}

/// Returns the lists from which [`catalogues`] are made, for parsers with further entries. What runs an entry finds it in its own crate.
#[must_use]
pub fn entries() -> Entries {
    Entries {
        nets: train::nets::entries(),
        datasets: fltk_data::sources::entries(),
        formats: fltk_data::own::entries(),
        partitioners: fltk_data::partition::entries(),
        strategies: fltk_fed::strategy::entries(),
        selections: fltk_fed::selection::entries(),
        attacks: fltk_fed::attack::entries(),
        compressions: fltk_fed::compression::entries(),
        devices: fltk_fed::simulation::devices(),
        links: fltk_fed::simulation::links(),
        availability: fltk_fed::simulation::availability(),
        optimizers: train::optimizers::entries(),
        losses: train::losses::entries(),
    }
}
