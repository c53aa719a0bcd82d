//! The entries of catalogues.

use std::fmt;

use super::{Choice, FilePath, Parameter, Whole, Wholes};

/// A thing that experiment files can name, as plain data.
#[derive(Debug)]
pub struct Entry {
    /// The name in experiment files.
    pub name: &'static str,
    /// The documentation: one or a few sentences.
    pub doc: &'static str,
    /// The publication that it follows; empty if there is none.
    pub paper: &'static str,
    /// The parameters, in the order in which they are written.
    pub parameters: &'static [Parameter],
    /// Checks what the ranges of single parameters don't say, such as a parameter that needs another.
    pub check: fn(&Choice) -> Result<(), Misfit>,
}

impl Entry {
    /// Creates an entry without parameters.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, paper: "", parameters: &[], check: |_| Ok(()) }
    }

    /// Returns the same entry with the publication that it follows.
    #[must_use]
    pub const fn paper(self, paper: &'static str) -> Self {
        Self { paper, ..self }
    }

    /// Returns the same entry with parameters.
    #[must_use]
    pub const fn parameters(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    /// Returns the same entry with a check of its parameters together.
    #[must_use]
    pub const fn check(self, check: fn(&Choice) -> Result<(), Misfit>) -> Self {
        Self { check, ..self }
    }
}

impl AsRef<Entry> for Entry {
    fn as_ref(&self) -> &Entry {
        self
    }
}

impl PartialEq for Entry {
    /// Compares all that a file can see: names, documentation and parameters.
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.doc, self.paper, self.parameters) == (other.name, other.doc, other.paper, other.parameters)
    }
}

/// The reason why parameters that are right one by one don't fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The parameter at which it is reported.
    pub parameter: &'static str,
    /// One sentence, lowercase, without a period.
    pub message: String,
    /// Advice on how to solve it.
    pub hint: String,
}

/// The kind of samples that a data set has, or that a net takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// Images with one label each.
    Images {
        /// The number of channels.
        channels: u32,
        /// The width and height in pixels.
        pixels: u32,
        /// The number of classes, which are numbered from 0.
        classes: u32,
    },
    /// Text, in which the next token is predicted.
    Text,
    /// Samples of which nothing is known before they are read: data of one's own.
    Unread,
}

impl SampleKind {
    /// Creates the kind of vectors of numbers: images with one pixel, and a channel for each number.
    #[must_use]
    pub const fn vectors(numbers: u32, classes: u32) -> Self {
        Self::images(numbers, 1, classes)
    }

    /// Creates the kind of square images.
    #[must_use]
    pub const fn images(channels: u32, pixels: u32, classes: u32) -> Self {
        Self::Images { channels, pixels, classes }
    }
}

impl fmt::Display for SampleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images { channels, pixels: 1, classes } => write!(f, "vectors of {channels} numbers in {classes} classes"),
            Self::Images { channels, pixels, classes } => write!(f, "images of {channels}x{pixels}x{pixels} in {classes} classes"),
            Self::Text => f.write_str("text"),
            Self::Unread => f.write_str("samples that aren't read yet"),
        }
    }
}

/// The kinds of samples that a net takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKinds {
    /// One kind, for which the net is made.
    One(SampleKind),
    /// Images with any number of channels and classes: the net has the size that fits them.
    Images {
        /// The smallest width and height in pixels.
        pixels_min: u32,
        /// The kind for which the net is described where there is no data set.
        typical: SampleKind,
    },
}

impl SampleKinds {
    /// Returns true if the net takes samples of this kind, or may take them when they are read.
    #[must_use]
    pub fn contains(self, kind: SampleKind) -> bool {
        match (self, kind) {
            (_, SampleKind::Unread) => true,
            (Self::One(own), given) => own == given,
            (Self::Images { pixels_min, .. }, SampleKind::Images { pixels, .. }) => pixels >= pixels_min,
            (Self::Images { .. }, SampleKind::Text) => false,
        }
    }

    /// Returns the kind for which the net is described where there is no data set.
    #[must_use]
    pub const fn typical(self) -> SampleKind {
        match self {
            Self::One(kind) | Self::Images { typical: kind, .. } => kind,
        }
    }
}

impl fmt::Display for SampleKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(kind) => kind.fmt(f),
            Self::Images { pixels_min: 0 | 1, .. } => f.write_str("images or vectors"),
            Self::Images { pixels_min, .. } => write!(f, "images of at least {pixels_min}x{pixels_min}"),
        }
    }
}

/// A net.
#[derive(Debug)]
pub struct NetEntry {
    /// The name and parameters.
    pub entry: Entry,
    /// The kinds of samples that it takes.
    pub takes: SampleKinds,
    /// The key of a block with its parameters, another form of `{ type: NAME, ... }`: `{ lstm: ... }`.
    pub block: Option<&'static str>,
    /// Returns the number of layers with parameters.
    pub num_layers: fn(&Choice) -> u32,
    /// True if it has batch norms.
    pub has_batch_norms: bool,
}

impl NetEntry {
    /// Creates the entry of a net that takes such samples only.
    #[must_use]
    pub const fn new(entry: Entry, takes: SampleKind) -> Self {
        Self { entry, takes: SampleKinds::One(takes), block: None, num_layers: |_| 1, has_batch_norms: false }
    }

    /// Creates the entry of a net that takes images of at least `pixels_min` x `pixels_min` pixels, and is described for the kind `typical`.
    #[must_use]
    pub const fn for_images(entry: Entry, pixels_min: u32, typical: SampleKind) -> Self {
        Self { takes: SampleKinds::Images { pixels_min, typical }, ..Self::new(entry, typical) }
    }

    /// Returns the same entry with this number of layers with parameters; 1 otherwise.
    #[must_use]
    pub const fn layers(self, num_layers: fn(&Choice) -> u32) -> Self {
        Self { num_layers, ..self }
    }

    /// Returns the same entry, of a net with batch norms.
    #[must_use]
    pub const fn batch_norms(self) -> Self {
        Self { has_batch_norms: true, ..self }
    }

    /// Returns what a strategy may need to know of the net with these settings.
    #[must_use]
    pub fn facts(&self, settings: &Choice) -> NetFacts {
        NetFacts { num_layers: Some((self.num_layers)(settings)), has_batch_norms: self.has_batch_norms, is_module: false }
    }
}

impl PartialEq for NetEntry {
    /// Compares everything but functions.
    fn eq(&self, other: &Self) -> bool {
        let Self { entry, takes, block, num_layers: _, has_batch_norms } = self;
        *entry == other.entry && *takes == other.takes && *block == other.block && *has_batch_norms == other.has_batch_norms
    }
}

/// The facts of a net that a strategy may need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetFacts {
    /// The number of layers with parameters: modules in the names of the state, such as `layer1.0.bn1`. `None` if it isn't known before the net
    /// is loaded.
    pub num_layers: Option<u32>,
    /// True if it has batch norms.
    pub has_batch_norms: bool,
    /// True if it is a TorchScript module, of which there can't be several at once, and whose layers can't be seen.
    pub is_module: bool,
}

impl AsRef<Entry> for NetEntry {
    fn as_ref(&self) -> &Entry {
        &self.entry
    }
}

/// A data set.
#[derive(Debug, PartialEq)]
pub struct DatasetEntry {
    /// The name.
    pub entry: Entry,
    /// The kind of its samples.
    pub gives: SampleKind,
    /// The number of samples in its training set; `None` for text, which is cut into windows when it's read, and for a data set that is made.
    pub num_train: Option<u32>,
    /// True if its samples belong to speakers, authors or writers, or are made for clients.
    pub has_natural_clients: bool,
    /// The setting with the number of its natural clients, if there is one.
    pub natural_clients: Option<Whole>,
    /// True if it is read from files, and false if it is made.
    pub has_files: bool,
}

impl DatasetEntry {
    /// Returns the number of class labels; `None` for text, and if it isn't known before the data is read.
    #[must_use]
    pub const fn num_classes(&self) -> Option<u32> {
        match self.gives {
            SampleKind::Images { classes, .. } => Some(classes),
            SampleKind::Text | SampleKind::Unread => None,
        }
    }

    /// Creates the entry of a format of data of one's own, of which everything else is known when it is read. It may have clients of its own.
    #[must_use]
    pub const fn format(entry: Entry, may_have_natural_clients: bool) -> Self {
        Self {
            entry,
            gives: SampleKind::Unread,
            num_train: None,
            has_natural_clients: may_have_natural_clients,
            natural_clients: None,
            has_files: true,
        }
    }
}

impl AsRef<Entry> for DatasetEntry {
    fn as_ref(&self) -> &Entry {
        &self.entry
    }
}

/// A partitioner, and what it needs of a data set and of the number of clients.
#[derive(Debug, PartialEq)]
pub struct PartitionerEntry {
    /// The name and parameters.
    pub entry: Entry,
    /// True if it divides by class labels.
    pub needs_labels: bool,
    /// True if it needs a data set with clients of its own.
    pub needs_natural_clients: bool,
    /// True if each of its clients is one of the data set's own.
    pub draws_natural_clients: bool,
    /// The numbers of clients that it accepts.
    pub clients: ClientCount,
    /// The parameter that counts the classes of a client, which can't exceed those of the data set.
    pub classes_per_client: Option<Whole>,
    /// The parameter that gives the minimum of samples of a client; 1 without it.
    pub samples_per_client: Option<Whole>,
    /// The parameter that lists the number of samples of each client, which files must give.
    pub client_sizes: Option<Wholes>,
    /// The parameter that names a file of the user's, which it reads.
    pub file: Option<FilePath>,
}

impl PartitionerEntry {
    /// Creates the entry of a partitioner that fits every data set and number of clients.
    #[must_use]
    pub const fn new(entry: Entry) -> Self {
        Self {
            entry,
            needs_labels: false,
            needs_natural_clients: false,
            draws_natural_clients: false,
            clients: ClientCount::Any,
            classes_per_client: None,
            samples_per_client: None,
            client_sizes: None,
            file: None,
        }
    }

    /// Creates the entry of a partitioner that divides by class labels.
    #[must_use]
    pub const fn by_label(entry: Entry) -> Self {
        Self { needs_labels: true, ..Self::new(entry) }
    }
}

impl AsRef<Entry> for PartitionerEntry {
    fn as_ref(&self) -> &Entry {
        &self.entry
    }
}

/// A federated strategy, and the rounds that it can aggregate.
#[derive(Debug)]
pub struct StrategyEntry {
    /// The name and parameters.
    pub entry: Entry,
    /// Checks that this many updates are enough for a round.
    pub cohort: fn(&Choice, u32) -> Result<(), Misfit>,
    /// True if the strategy withstands clients that send anything: a client that fails then costs its update, not the run.
    pub is_robust: bool,
    /// Checks that a net has what the strategy needs.
    pub net: fn(&Choice, &NetFacts) -> Result<(), Misfit>,
    /// The selection without which it has no meaning, unless a file gives the clients of each round; `None` if it works with any.
    pub selection: Option<&'static str>,
    /// Returns the number of updates after which an asynchronous strategy makes the next model; `None` for the others, whose clients all start from the
    /// same model.
    pub buffer: Option<fn(&Choice) -> u32>,
    /// Returns the number of malicious clients that its settings are for, of this many updates, and the parameter that says so; `None` if none does.
    pub withstands: fn(&Choice, u32) -> Option<Withstood>,
    /// True if its formula is about clients that take steps of plain SGD, without momentum.
    pub assumes_plain_sgd: bool,
}

/// The number of malicious clients that a strategy is set to withstand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withstood {
    /// The number of clients of a round.
    pub clients: u32,
    /// The parameter from which it follows.
    pub parameter: &'static str,
    /// The parameter with its value, and the number in words if the value isn't that number.
    pub says: String,
}

impl StrategyEntry {
    /// Creates the entry of a strategy that can aggregate any number of updates.
    #[must_use]
    pub const fn new(entry: Entry) -> Self {
        Self {
            entry,
            cohort: |_, _| Ok(()),
            is_robust: false,
            net: |_, _| Ok(()),
            selection: None,
            buffer: None,
            withstands: |_, _| None,
            assumes_plain_sgd: false,
        }
    }

    /// Returns the same entry with a check of the number of updates.
    #[must_use]
    pub const fn cohort(self, cohort: fn(&Choice, u32) -> Result<(), Misfit>) -> Self {
        Self { cohort, ..self }
    }

    /// Returns the same entry, of a strategy that withstands clients that send anything.
    #[must_use]
    pub const fn robust(self) -> Self {
        Self { is_robust: true, ..self }
    }

    /// Returns the same entry with a check of the net.
    #[must_use]
    pub const fn net(self, net: fn(&Choice, &NetFacts) -> Result<(), Misfit>) -> Self {
        Self { net, ..self }
    }

    /// Returns the same entry, of a strategy that makes the next model after so many updates, whenever their clients began.
    #[must_use]
    pub const fn asynchronous(self, buffer: fn(&Choice) -> u32) -> Self {
        Self { buffer: Some(buffer), ..self }
    }

    /// Returns the same entry with the selection that it needs.
    #[must_use]
    pub const fn selection(self, selection: &'static str) -> Self {
        Self { selection: Some(selection), ..self }
    }

    /// Returns the same entry with the number of malicious clients that its settings are for.
    #[must_use]
    pub const fn withstands(self, withstands: fn(&Choice, u32) -> Option<Withstood>) -> Self {
        Self { withstands, ..self }
    }

    /// Returns the same entry, of a strategy whose formula is about plain SGD at the clients.
    #[must_use]
    pub const fn plain_sgd(self) -> Self {
        Self { assumes_plain_sgd: true, ..self }
    }
}

impl AsRef<Entry> for StrategyEntry {
    fn as_ref(&self) -> &Entry {
        &self.entry
    }
}

/// A selection of clients, and the rounds that it can fill.
#[derive(Debug)]
pub struct SelectionEntry {
    /// The name and parameters.
    pub entry: Entry,
    /// Checks that it can select so many clients of so many.
    pub fits: fn(&Choice, SelectionSize) -> Result<(), Misfit>,
    /// True if it can select single clients at any time, as asynchronous strategies need it.
    pub is_one_by_one: bool,
    /// Returns the number of clients among which it wants to choose, given the number that it selects.
    pub pool: fn(&Choice, u64) -> u64,
    /// True if it has no meaning where clients come and go.
    pub needs_everybody: bool,
}

/// The numbers of clients that a selection has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectionSize {
    /// The number of clients that are selected for a round.
    pub selected: u64,
    /// The number of clients among which they are selected.
    pub clients: u64,
}

impl SelectionEntry {
    /// Creates the entry of a selection that can select any number of clients.
    #[must_use]
    pub const fn new(entry: Entry) -> Self {
        Self { entry, fits: |_, _| Ok(()), is_one_by_one: false, pool: |_, selected| selected, needs_everybody: false }
    }

    /// Returns the same entry, of a selection that has no meaning where clients come and go.
    #[must_use]
    pub const fn everybody(self) -> Self {
        Self { needs_everybody: true, ..self }
    }

    /// Returns the same entry, of a selection that chooses among more clients than it selects.
    #[must_use]
    pub const fn pool(self, pool: fn(&Choice, u64) -> u64) -> Self {
        Self { pool, ..self }
    }

    /// Returns the same entry, of a selection that can select single clients at any time.
    #[must_use]
    pub const fn one_by_one(self) -> Self {
        Self { is_one_by_one: true, ..self }
    }

    /// Returns the same entry with a check of the numbers of clients.
    #[must_use]
    pub const fn fits(self, fits: fn(&Choice, SelectionSize) -> Result<(), Misfit>) -> Self {
        Self { fits, ..self }
    }
}

impl AsRef<Entry> for SelectionEntry {
    fn as_ref(&self) -> &Entry {
        &self.entry
    }
}

/// A form of compressed updates.
#[derive(Debug, PartialEq)]
pub struct CompressionEntry {
    /// The name and parameters.
    pub entry: Entry,
    /// True if a client keeps what it doesn't send, and adds it to its next difference.
    pub has_feedback: bool,
}

impl CompressionEntry {
    /// Creates the entry of a form of which clients keep nothing.
    #[must_use]
    pub const fn new(entry: Entry) -> Self {
        Self { entry, has_feedback: false }
    }

    /// Creates the entry of a form of which clients keep what they don't send.
    #[must_use]
    pub const fn with_feedback(entry: Entry) -> Self {
        Self { entry, has_feedback: true }
    }
}

impl AsRef<Entry> for CompressionEntry {
    fn as_ref(&self) -> &Entry {
        &self.entry
    }
}

/// An attack of malicious clients, and what it needs of a data set.
#[derive(Debug, PartialEq)]
pub struct AttackEntry {
    /// The name and parameters, of which the first is the fraction of malicious clients.
    pub entry: Entry,
    /// True if it changes class labels.
    pub needs_labels: bool,
    /// True if the malicious clients of a round have to know each other's models.
    pub is_concerted: bool,
}

impl AttackEntry {
    /// Creates the entry of an attack that fits every data set.
    #[must_use]
    pub const fn new(entry: Entry) -> Self {
        Self { entry, needs_labels: false, is_concerted: false }
    }

    /// Creates the entry of an attack whose malicious clients have to know each other's models of a round.
    #[must_use]
    pub const fn concerted(entry: Entry) -> Self {
        Self { is_concerted: true, ..Self::new(entry) }
    }

    /// Creates the entry of an attack that changes class labels.
    #[must_use]
    pub const fn on_labels(entry: Entry) -> Self {
        Self { entry, needs_labels: true, is_concerted: false }
    }
}

impl AsRef<Entry> for AttackEntry {
    fn as_ref(&self) -> &Entry {
        &self.entry
    }
}

/// The numbers of clients that a partitioner accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCount {
    /// Any number.
    Any,
    /// A multiple of the number of classes.
    MultipleOfClasses,
    /// At most the number of classes.
    AtMostClasses,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nets_take_the_samples_that_their_rule_names() {
        const GREY: SampleKind = SampleKind::images(1, 28, 10);
        const COLOR: SampleKind = SampleKind::images(3, 32, 100);
        let check = |takes: SampleKinds, expected: [bool; 3], shown: &str| {
            assert_eq!([GREY, COLOR, SampleKind::Text].map(|kind| takes.contains(kind)), expected, "{takes:?}");
            assert_eq!(takes.to_string(), shown);
            assert!(takes.contains(takes.typical()), "{takes:?}");
        };
        check(SampleKinds::One(GREY), [true, false, false], "images of 1x28x28 in 10 classes");
        check(SampleKinds::One(SampleKind::Text), [false, false, true], "text");
        assert!(SampleKinds::One(GREY).contains(SampleKind::Unread) && SampleKinds::One(SampleKind::Text).contains(SampleKind::Unread));
        check(SampleKinds::Images { pixels_min: 1, typical: GREY }, [true, true, false], "images or vectors");
        check(SampleKinds::Images { pixels_min: 32, typical: COLOR }, [false, true, false], "images of at least 32x32");
        for other in [SampleKind::images(3, 28, 10), SampleKind::images(1, 32, 10), SampleKind::images(1, 28, 62)] {
            assert!(!SampleKinds::One(GREY).contains(other), "{other}");
        }
    }
}
