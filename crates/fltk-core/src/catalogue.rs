//! Catalogues of what users extend: nets, data sets, partitioners, strategies, selections, attacks, forms of compressed updates, optimizers and losses.
//!
//! A catalogue is a list of values, not an enum. An [`Entry`] is plain data: a name, a publication, and parameters with type, range, default
//! and documentation. It lies beside its implementation, in another crate; the program joins all entries into one [`Catalogues`] and passes
//! them to whatever reads experiment files. The JSON Schema, defaults, help and hints come from the entries, so that a new net or strategy is
//! one file and one line in a list, and nothing else has to know it.
//!
//! ```text
//! const MU: Number ── ENTRY ──┐                      ┌── JSON Schema, help, hints
//!                             ├── Catalogues ── parse┤
//! a file's `strategy` block ──┘                      └── Choice ── MU.of(&choice): f64
//! ```

mod choice;
mod entry;
mod join;
mod parameter;

pub use choice::{Choice, ChoiceError, Tag, Value, file_and_name};
pub use entry::{
    AttackEntry, ClientCount, CompressionEntry, DatasetEntry, Entry, Misfit, NetEntry, NetFacts, PartitionerEntry, SampleKind, SampleKinds,
    SelectionEntry, SelectionSize, StrategyEntry, Withstood,
};
pub use join::{Catalogue, Catalogues, Entries};
pub use parameter::{
    Constant, FilePath, Kind, LEARNING_RATE, Nested, Number, NumberList, Numbers, Parameter, Preset, Range, Switch, Text, Whole, Wholes,
    Word,
};
