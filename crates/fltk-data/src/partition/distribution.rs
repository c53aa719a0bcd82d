//! Given distributions of the classes over the clients, as in Flower's `DistributionPartitioner`.

use fltk_core::catalogue::{DatasetEntry, Entry, FilePath, PartitionerEntry, Whole};
use fltk_core::seed::Purpose;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{
    bounded::AtMost,
    carry::Carry,
    classes::by_class_shuffled,
    error::PartitionError,
    partitioner::{CLIENTS_MAX, Partitioner, Parts, Request},
    user_file::UserFile,
};

const PATH: FilePath = FilePath::required(
    "path",
    "A JSON file with a row for each client, and in it a number for each class: either `{ \"shares\": [[9, 0.5], [1, 0.5]] }`, which divides each class in \
     proportion to its column, or `{ \"counts\": [[20, 0], [5, 25]] }`, numbers of samples.",
);
const MIN_PER_CLASS: Whole = Whole::new(
    "min_per_class",
    0,
    "The number of samples that a client gets of each class of which it has a share, before the rest of the class is divided by shares.",
);

/// The partitioner `distribution`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        file: Some(PATH),
        ..PartitionerEntry::by_label(
            Entry::new(
                "distribution",
                "The distribution of each class over the clients that a file gives, rounded to whole samples so that every client gets its share over all \
                 classes, up to about one sample (as Flower's `DistributionPartitioner`, whose table has the columns of the clients that hold a class \
                 only). With shares, every sample is used, unless a class has no shares; with counts, those that are counted.",
            )
            .paper("Li et al. 2020, arXiv:1812.06127")
            .parameters(&[PATH.parameter(), MIN_PER_CLASS.parameter()]),
        )
    },
    divide,
};

/// A row for each client, with a number for each class.
type Rows<T> = AtMost<Vec<T>, { CLIENTS_MAX as usize }>;

/// The content of the file: one of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    shares: Option<Rows<f64>>,
    counts: Option<Rows<u32>>,
}

fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, seed, .. } = *request;
    let file = request.file()?;
    let classes = by_class_shuffled(labels, num_classes, rng);
    let supply: Vec<usize> = classes.iter().map(Vec::len).collect();
    let columns = match file.json::<Table>()? {
        Table { shares: Some(AtMost(shares)), counts: None } => {
            check_shape(file, "shares", &shares, clients, num_classes)?;
            check_shares(file, &shares)?;
            let carry = Carry::new(clients as usize, &mut seed.stream(Purpose::Partition, &[1]));
            by_shares(file, &shares, &supply, MIN_PER_CLASS.of(settings) as usize, carry)?
        }
        Table { shares: None, counts: Some(AtMost(counts)) } => {
            check_shape(file, "counts", &counts, clients, num_classes)?;
            by_counts(file, &counts, &supply)?
        }
        _ => return Err(neither(file)),
    };
    let mut parts: Parts = vec![Vec::new(); clients as usize];
    for (class, column) in classes.iter().zip(columns) {
        let mut rest = class.as_slice();
        for (part, count) in parts.iter_mut().zip(column) {
            let (taken, others) = rest.split_at(count);
            part.extend_from_slice(taken);
            rest = others;
        }
    }
    Ok(parts)
}

/// Checks what is known without the data set itself: the table of `clients` clients and the classes of `dataset`.
pub(super) fn check(file: UserFile<'_>, clients: u32, dataset: &DatasetEntry) -> Result<(), PartitionError> {
    let table = file.json::<Table>()?;
    // A set without classes is refused elsewhere.
    let Some(num_classes) = dataset.num_classes().map(|num_classes| num_classes as usize) else { return Ok(()) };
    match table {
        Table { shares: Some(AtMost(shares)), counts: None } => {
            check_shape(file, "shares", &shares, clients, num_classes)?;
            check_shares(file, &shares)
        }
        Table { shares: None, counts: Some(AtMost(counts)) } => {
            check_shape(file, "counts", &counts, clients, num_classes)?;
            check_counts(file, &counts)
        }
        _ => Err(neither(file)),
    }
}

fn neither(file: UserFile<'_>) -> PartitionError {
    let problem = "must have either `shares` or `counts`\nhint: a row for each client: `{ \"shares\": [[9, 0.5], [1, 0.5]] }`";
    file.refuse("the file".to_owned(), problem.to_owned())
}

/// Checks that there is a row for each client, and in it a number for each class.
fn check_shape<T>(file: UserFile<'_>, name: &str, rows: &[Vec<T>], clients: u32, num_classes: usize) -> Result<(), PartitionError> {
    if rows.len() != clients as usize {
        let problem = format!("its length is {}, and the task has {clients} clients", rows.len());
        return Err(file.refuse(name.to_owned(), problem));
    }
    match rows.iter().position(|row| row.len() != num_classes) {
        Some(client) => {
            let problem = format!("its length is {}, and the data set has {num_classes} classes", rows[client].len());
            Err(file.refuse(format!("{name}[{client}]"), problem))
        }
        None => Ok(()),
    }
}

fn check_shares(file: UserFile<'_>, shares: &[Vec<f64>]) -> Result<(), PartitionError> {
    for (client, row) in shares.iter().enumerate() {
        if let Some(class) = row.iter().position(|share| *share < 0.0 || !share.is_finite()) {
            return Err(file.refuse(format!("shares[{client}][{class}]"), format!("{} is not a share: it must be at least 0", row[class])));
        }
        if row.iter().all(|share| *share == 0.0) {
            return Err(file.refuse(format!("shares[{client}]"), "the client has no share of any class".to_owned()));
        }
    }
    Ok(())
}

/// Returns for each class the number of samples of each client. Fractions are carried from class to class.
fn by_shares(
    file: UserFile<'_>,
    shares: &[Vec<f64>],
    supply: &[usize],
    min_per_class: usize,
    mut carry: Carry,
) -> Result<Vec<Vec<usize>>, PartitionError> {
    let mut of_class = |(class, &supply): (usize, &usize)| {
        let held: Vec<(usize, f64)> =
            (0..).zip(shares).map(|(client, row)| (client, row[class])).filter(|(_, share)| *share > 0.0).collect();
        let sum: f64 = held.iter().map(|(_, share)| share).sum();
        if sum.is_infinite() {
            return Err(file.refuse("shares".to_owned(), format!("the sum of class {class} is too large")));
        }
        let first = min_per_class.saturating_mul(held.len());
        let Some(rest) = supply.checked_sub(first) else {
            let problem = format!(
                "class {class} has {supply} samples, and {} clients with a share of it get {min_per_class} of it first\nhint: a smaller min_per_class",
                held.len()
            );
            return Err(file.refuse("shares".to_owned(), problem));
        };
        let scaled: Vec<(usize, f64)> = held.iter().map(|&(client, share)| (client, share / sum)).collect();
        let mut column = vec![0; shares.len()];
        for (&(client, _), size) in scaled.iter().zip(carry.sizes(rest, &scaled)) {
            column[client] = min_per_class + size;
        }
        Ok(column)
    };
    supply.iter().enumerate().map(&mut of_class).collect()
}

fn check_counts(file: UserFile<'_>, counts: &[Vec<u32>]) -> Result<(), PartitionError> {
    match counts.iter().position(|row| row.iter().all(|count| *count == 0)) {
        Some(client) => Err(file.refuse(format!("counts[{client}]"), "the client has no samples".to_owned())),
        None => Ok(()),
    }
}

/// Returns for each class the number of samples of each client.
fn by_counts(file: UserFile<'_>, counts: &[Vec<u32>], supply: &[usize]) -> Result<Vec<Vec<usize>>, PartitionError> {
    check_counts(file, counts)?;
    let of_class = |(class, &supply): (usize, &usize)| {
        let sum: u64 = counts.iter().map(|row| u64::from(row[class])).sum();
        if sum > supply as u64 {
            return Err(file.refuse("counts".to_owned(), format!("class {class} has {supply} samples, and its counts sum to {sum}")));
        }
        Ok(counts.iter().map(|row| row[class] as usize).collect())
    };
    supply.iter().enumerate().map(of_class).collect()
}
