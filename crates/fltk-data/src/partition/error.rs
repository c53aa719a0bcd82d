//! The errors of dividing a training set.

/// The reason why a training set can't be divided as requested.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PartitionError {
    /// The catalogue has no such entry.
    #[error("there is no {kind} `{name}`\nhint: the names are {}", known.join(", "))]
    Unknown {
        /// The kind of entry that is chosen by name, such as `partition`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names in the catalogue.
        known: Vec<&'static str>,
    },
    /// There are no clients.
    #[error("a partition needs at least 1 client")]
    NoClients,
    /// There are more clients than is sensible.
    #[error("{clients} clients are more than a partition may have ({max})")]
    TooManyClients {
        /// The number of clients requested.
        clients: u32,
        /// The largest number of clients.
        max: u32,
    },
    /// There are more samples than indices can count.
    #[error("{samples} samples are more than a partition can number (2^32 - 1)")]
    TooManySamples {
        /// The number of samples.
        samples: usize,
    },
    /// A label is not that of any class.
    #[error("sample {index} has label {label}, but there are {num_classes} classes")]
    Label {
        /// The sample.
        index: usize,
        /// Its label.
        label: u16,
        /// The number of classes; labels are below it.
        num_classes: usize,
    },
    /// Some part would get too few samples.
    #[error("{samples} samples can't give {parts} parts at least {each} each\nhint: use fewer clients{also}")]
    TooFewSamples {
        /// The number of samples to divide.
        samples: usize,
        /// The number of parts to make.
        parts: u64,
        /// The number of samples that each part must have.
        each: u32,
        /// Another hint, beginning with a comma; otherwise empty.
        also: &'static str,
    },
    /// A class has fewer samples than clients that should hold it.
    #[error(
        "class {class} has {samples} samples for {holders} clients that should hold it\nhint: use fewer clients, or fewer classes per client"
    )]
    ClassTooSmall {
        /// The class.
        class: usize,
        /// The number of its samples.
        samples: usize,
        /// The number of clients that should hold it.
        holders: usize,
    },
    /// The partition needs a multiple of the number of classes as the number of clients.
    #[error("`{partition}` needs the number of clients to be a multiple of the {num_classes} classes, not {clients}\nhint: use {}", multiples(*clients, *num_classes))]
    NotMultiple {
        /// The partition's name.
        partition: &'static str,
        /// The number of clients requested.
        clients: u32,
        /// The number of classes in the data set.
        num_classes: usize,
    },
    /// The partition gives every client classes of its own, and there are too few classes.
    #[error("`{partition}` gives every client classes of its own, so it needs at most {num_classes} clients, not {clients}")]
    MoreClientsThanClasses {
        /// The partition's name.
        partition: &'static str,
        /// The number of clients requested.
        clients: u32,
        /// The number of classes in the data set.
        num_classes: usize,
    },
    /// There are not that many different classes.
    #[error("`{partition}` asks for {asked} classes per client; it must be in 1..={num_classes}")]
    ClassesPerClient {
        /// The partition's name.
        partition: &'static str,
        /// The number of classes requested.
        asked: u32,
        /// The number of classes in the data set.
        num_classes: usize,
    },
    /// A parameter is outside its range.
    #[error("`{name}` is {value}; it must be {range}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range.
        range: &'static str,
    },
    /// No draw gave every client enough samples.
    #[error(
        "no draw out of {draws} gave each of {clients} clients {min_samples} samples\nhint: use a larger alpha, fewer clients, or a smaller min_samples (0 allows clients without samples)"
    )]
    NoLuck {
        /// The number of draws made.
        draws: u32,
        /// The number of clients requested.
        clients: u32,
        /// The number of samples that each client should have.
        min_samples: u32,
    },
    /// There are more or fewer sizes than clients.
    #[error("the length of `sizes` is {sizes}, and there are {clients} clients\nhint: give one for each client")]
    Sizes {
        /// The number of sizes given.
        sizes: usize,
        /// The number of clients requested.
        clients: u32,
    },
    /// A client would get no samples.
    #[error("`sizes` gives client {client} no samples; it must be at least 1")]
    SizeZero {
        /// The client.
        client: usize,
    },
    /// The sizes sum to more than there is.
    #[error("`sizes` sum to {sum}, and the training set has {samples} samples")]
    SizesSum {
        /// The sum of the sizes.
        sum: u64,
        /// The number of samples to divide.
        samples: usize,
    },
    /// The partition reads a file, and the caller has read none.
    #[error("the file of the partition `{partition}` wasn't read")]
    NoFile {
        /// The partition's name.
        partition: String,
    },
    /// The user's file is invalid, or doesn't fit the task.
    #[error("`{file}`: {place}: {problem}")]
    File {
        /// The name of the file.
        file: String,
        /// The place in the file: a line and column, or a path such as `clients[3][17]`.
        place: String,
        /// The problem, with a hint if there is one.
        problem: String,
    },
    /// There are fewer groups of natural clients than clients requested.
    #[error(
        "{clients} clients are requested, but the data set's {natural} own clients make {groups} groups\nhint: use fewer clients, or a smaller group_size"
    )]
    TooFewGroups {
        /// The number of clients requested.
        clients: u32,
        /// The number of groups.
        groups: usize,
        /// The number of natural clients.
        natural: usize,
    },
    /// Natural clients are left over, which the partition forbids.
    #[error(
        "the data set's {natural} own clients don't divide into groups of {size}: {rest} are left over\nhint: use another group_size, or `remainder: smaller`"
    )]
    Remainder {
        /// The number of natural clients.
        natural: usize,
        /// The size of a group.
        size: u32,
        /// The number that is left over.
        rest: usize,
    },
    /// The data set is made client by client, and the partition divides all of its samples.
    #[error(
        "`{partition}` divides all {samples} samples, and of those that are made when they are used it can divide at most {max}\nhint: use `natural_id`, or fewer `clients` of the data set"
    )]
    TooManyToMake {
        /// The partition.
        partition: String,
        /// The number of samples of the data set.
        samples: usize,
        /// The largest number that is divided.
        max: usize,
    },
    /// The data set has no natural clients.
    #[error("the partition needs a data set with clients of its own, such as `shakespeare`")]
    NoNaturalClients,
    /// The number of natural ids differs from the number of samples.
    #[error("there are {ids} ids of natural clients for {samples} samples")]
    NaturalIds {
        /// The number of ids given.
        ids: usize,
        /// The number of samples.
        samples: usize,
    },
    /// There are fewer natural clients than clients requested.
    #[error("{clients} clients are requested, but the data set has {natural} of its own\nhint: use at most {natural} clients")]
    TooFewNaturalClients {
        /// The number of clients requested.
        clients: u32,
        /// The number of natural clients.
        natural: usize,
    },
}

/// Returns the multiples of `num_classes` closest to `clients`, as a hint.
fn multiples(clients: u32, num_classes: usize) -> String {
    let below = clients as usize / num_classes * num_classes;
    let above = below + num_classes;
    if below == 0 { format!("{above} clients") } else { format!("{below} or {above} clients") }
}
