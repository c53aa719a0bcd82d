//! Catalogues: lists of entries, joined by the program.

use std::{collections::BTreeSet, sync::OnceLock};

use super::{
    AttackEntry, Choice, ChoiceError, CompressionEntry, DatasetEntry, Entry, NetEntry, PartitionerEntry, SelectionEntry, StrategyEntry, Tag,
};

/// The entries of one kind.
#[derive(Debug)]
pub struct Catalogue<T: 'static = Entry> {
    /// The kind of the entries, such as `strategy`: the name of their block in experiment files.
    kind: &'static str,
    entries: Vec<&'static T>,
}

impl<T: AsRef<Entry>> Catalogue<T> {
    fn new(kind: &'static str, mut entries: Vec<&'static T>) -> Self {
        let mut names = BTreeSet::new();
        entries.retain(|entry| names.insert((*entry).as_ref().name));
        Self { kind, entries }
    }

    /// Returns the kind of the entries, such as `strategy`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns the entry of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static T> {
        self.iter().find(|entry| (*entry).as_ref().name == name)
    }

    /// Returns the entries, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = &'static T> {
        self.entries.iter().copied()
    }

    /// Returns the names, in the order of the list.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.iter().map(|entry| entry.as_ref().name)
    }

    /// Returns the choice with every parameter of its entry: values of the right type and defaults for the others.
    ///
    /// # Errors
    /// If the catalogue has no such entry, or a parameter is missing, unknown, of another type or out of range.
    pub fn settle(&self, choice: Choice) -> Result<Choice, ChoiceError> {
        match self.get(choice.name()) {
            Some(entry) => choice.settled(entry.as_ref()),
            None => Err(ChoiceError::Unknown { name: choice.name().to_owned() }),
        }
    }
}

/// Lists of entries, from which [`Catalogues`] are made.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// The nets.
    pub nets: Vec<&'static NetEntry>,
    /// The data sets.
    pub datasets: Vec<&'static DatasetEntry>,
    /// The formats of data of one's own.
    pub formats: Vec<&'static DatasetEntry>,
    /// The partitioners.
    pub partitioners: Vec<&'static PartitionerEntry>,
    /// The strategies.
    pub strategies: Vec<&'static StrategyEntry>,
    /// The selections of clients.
    pub selections: Vec<&'static SelectionEntry>,
    /// The attacks of malicious clients.
    pub attacks: Vec<&'static AttackEntry>,
    /// The forms of compressed updates.
    pub compressions: Vec<&'static CompressionEntry>,
    /// The devices of clients on a virtual clock.
    pub devices: Vec<&'static Entry>,
    /// The links of clients on a virtual clock.
    pub links: Vec<&'static Entry>,
    /// The laws of when clients are there, on a virtual clock.
    pub availability: Vec<&'static Entry>,
    /// The local optimizers, each with the parameter [`LEARNING_RATE`](super::LEARNING_RATE).
    pub optimizers: Vec<&'static Entry>,
    /// The losses.
    pub losses: Vec<&'static Entry>,
}

/// All catalogues, as a value that parsers take.
#[derive(Debug)]
pub struct Catalogues {
    /// The nets.
    pub nets: Catalogue<NetEntry>,
    /// The data sets.
    pub datasets: Catalogue<DatasetEntry>,
    /// The formats of data of one's own.
    pub formats: Catalogue<DatasetEntry>,
    /// The partitioners.
    pub partitioners: Catalogue<PartitionerEntry>,
    /// The strategies.
    pub strategies: Catalogue<StrategyEntry>,
    /// The selections of clients.
    pub selections: Catalogue<SelectionEntry>,
    /// The attacks of malicious clients.
    pub attacks: Catalogue<AttackEntry>,
    /// The forms of compressed updates.
    pub compressions: Catalogue<CompressionEntry>,
    /// The devices of clients on a virtual clock.
    pub devices: Catalogue,
    /// The links of clients on a virtual clock.
    pub links: Catalogue,
    /// The laws of when clients are there, on a virtual clock.
    pub availability: Catalogue,
    /// The local optimizers.
    pub optimizers: Catalogue,
    /// The losses.
    pub losses: Catalogue,
    /// The JSON Schema of experiment files, made at its first use.
    schema: OnceLock<serde_json::Value>,
}

impl Catalogues {
    /// Creates catalogues of `entries`. Of two entries with the same name, the first counts.
    #[must_use]
    pub fn new(entries: Entries) -> Self {
        Self {
            nets: Catalogue::new("net", entries.nets),
            datasets: Catalogue::new("dataset", entries.datasets),
            formats: Catalogue::new("format", entries.formats),
            partitioners: Catalogue::new("partition", entries.partitioners),
            strategies: Catalogue::new("strategy", entries.strategies),
            selections: Catalogue::new("selection", entries.selections),
            attacks: Catalogue::new("attack", entries.attacks),
            compressions: Catalogue::new("compression", entries.compressions),
            devices: Catalogue::new("devices", entries.devices),
            links: Catalogue::new("network", entries.links),
            availability: Catalogue::new("availability", entries.availability),
            optimizers: Catalogue::new("optimizer", entries.optimizers),
            losses: Catalogue::new("loss", entries.losses),
            schema: OnceLock::new(),
        }
    }

    /// Returns the entry of a data set: one of the known ones, or the format of data of one's own.
    #[must_use]
    pub fn dataset(&self, data: &Choice) -> Option<&'static DatasetEntry> {
        self.of_dataset(data).get(data.name())
    }

    /// Returns the catalogue of which `data` is a choice: of data sets, or of formats.
    #[must_use]
    pub fn of_dataset(&self, data: &Choice) -> &Catalogue<DatasetEntry> {
        if data.tag() == Tag::Format { &self.formats } else { &self.datasets }
    }

    /// Returns the schema that `make` made at the first call: a parser makes it once.
    pub fn schema(&self, make: impl FnOnce() -> serde_json::Value) -> &serde_json::Value {
        self.schema.get_or_init(make)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_duplicate_entries_wins() {
        static MINE: StrategyEntry = StrategyEntry::new(Entry::new("FedAvg", "The first."));
        static THEIRS: StrategyEntry = StrategyEntry::new(Entry::new("FedAvg", "The second."));
        static OTHER: StrategyEntry = StrategyEntry::new(Entry::new("FedProx", "Another one."));
        let catalogues = Catalogues::new(Entries { strategies: vec![&MINE, &THEIRS, &OTHER], ..Entries::default() });
        assert_eq!(catalogues.strategies.get("FedAvg").map(|found| found.entry.doc), Some("The first."));
        assert_eq!(catalogues.strategies.names().collect::<Vec<_>>(), ["FedAvg", "FedProx"]);
        assert_eq!(catalogues.strategies.kind(), "strategy");
        assert!(catalogues.strategies.get("fedavg").is_none());
    }
}
