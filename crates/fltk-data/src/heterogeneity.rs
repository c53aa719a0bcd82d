//! Measures of how different the clients of a partition are: sizes, label entropy, distance from the global label distribution.

mod picture;

pub use picture::svg;

use serde::Serialize;

use crate::{Dataset, Division, Split};

/// The measures of one client's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientStats {
    /// The client, `0..clients`.
    pub client: usize,
    /// The number of its samples.
    pub size: u64,
    /// The number of samples of each class.
    pub histogram: Vec<u64>,
    /// The number of classes of which it has at least one sample.
    pub num_classes: usize,
    /// The Shannon entropy of its labels in **bits**: 0 for one class, `log2(classes)` for equally many of all. `None` without samples.
    pub entropy_bits: Option<f64>,
    /// The total variation distance between its label distribution and the global one, `1/2 * sum |p - q|`, in `0..=1`. This is the earth
    /// mover's distance if every two classes are 1 apart. `None` without samples.
    pub total_variation: Option<f64>,
    /// The L1 distance, `sum |p - q|`, in `0..=2`, which Zhao et al. (2018, arXiv:1806.00582) call EMD. `None` without samples.
    pub l1: Option<f64>,
}

/// The mean, minimum and maximum over clients (over those with samples, if the measure needs samples).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The arithmetic mean, with equal weight for every client.
    pub mean: f64,
    /// The minimum.
    pub min: f64,
    /// The maximum.
    pub max: f64,
}

/// The measures of a partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heterogeneity {
    /// The number of samples of each class in the whole training set.
    pub global: Vec<u64>,
    /// The entropy of the whole training set's labels, in bits.
    pub global_entropy_bits: f64,
    /// The number of samples that no client has.
    pub unassigned: u64,
    /// The measures of each client.
    pub clients: Vec<ClientStats>,
    /// The summary of `size`.
    pub size: Summary,
    /// The summary of `num_classes`.
    pub num_classes: Summary,
    /// The summary of `entropy_bits`.
    pub entropy_bits: Summary,
    /// The summary of `total_variation`.
    pub total_variation: Summary,
    /// The summary of `l1`.
    pub l1: Summary,
}

/// Measures the partition `parts` (sample indices of each client) of a training set with `labels` below `num_classes`. Indices and labels out
/// of range are not counted.
#[must_use]
pub fn measure(labels: &[u16], num_classes: usize, parts: &[Vec<u32>]) -> Heterogeneity {
    let global = histogram(labels.iter().copied(), num_classes);
    let clients: Vec<ClientStats> = parts.iter().enumerate().map(|(client, part)| stats(client, part, labels, &global)).collect();
    let summary = |figure: &dyn Fn(&ClientStats) -> Option<f64>| summarize(clients.iter().filter_map(figure));
    let assigned: u64 = clients.iter().map(|client| client.size).sum();
    Heterogeneity {
        global_entropy_bits: entropy_bits(&global).unwrap_or(0.0),
        unassigned: global.iter().sum::<u64>().saturating_sub(assigned),
        size: summary(&|client| Some(client.size as f64)),
        num_classes: summary(&|client| Some(client.num_classes as f64)),
        entropy_bits: summary(&|client| client.entropy_bits),
        total_variation: summary(&|client| client.total_variation),
        l1: summary(&|client| client.l1),
        global,
        clients,
    }
}

/// Returns the number of training samples of each class that the first clients of `parts` have, at most `clients_max` of them; `None` if the samples
/// have no classes, aren't here, or are made when they are used and too many to make now.
#[must_use]
pub fn class_counts(dataset: &Dataset, parts: &Division, clients_max: usize) -> Option<Vec<Vec<u64>>> {
    if matches!(dataset.train, Split::Text(_)) || dataset.train.is_empty() || dataset.is_too_large_to_make() {
        return None;
    }
    let labels = dataset.train.labels();
    let counts = |client| histogram(parts.of(client).iter().filter_map(|&index| labels.get(index as usize).copied()), dataset.num_labels());
    Some((0..parts.num_clients().min(clients_max)).map(counts).collect())
}

fn stats(client: usize, part: &[u32], labels: &[u16], global: &[u64]) -> ClientStats {
    let histogram = histogram(part.iter().filter_map(|&index| labels.get(index as usize).copied()), global.len());
    let l1 = l1(&histogram, global);
    ClientStats {
        client,
        size: histogram.iter().sum(),
        num_classes: histogram.iter().filter(|&&count| count > 0).count(),
        entropy_bits: entropy_bits(&histogram),
        total_variation: l1.map(|l1| l1 / 2.0),
        l1,
        histogram,
    }
}

fn histogram(labels: impl Iterator<Item = u16>, num_classes: usize) -> Vec<u64> {
    let mut counts = vec![0; num_classes];
    for label in labels {
        if let Some(count) = counts.get_mut(usize::from(label)) {
            *count += 1;
        }
    }
    counts
}

/// Returns the distribution; `None` if all counts are 0.
fn distribution(counts: &[u64]) -> Option<impl Iterator<Item = f64>> {
    let total: u64 = counts.iter().sum();
    (total > 0).then(|| counts.iter().map(move |&count| count as f64 / total as f64))
}

fn entropy_bits(counts: &[u64]) -> Option<f64> {
    // `+ 0.0` turns the -0 of a single class into 0.
    Some(distribution(counts)?.filter(|&p| p > 0.0).map(|p| -p * p.log2()).sum::<f64>() + 0.0)
}

fn l1(counts: &[u64], global: &[u64]) -> Option<f64> {
    Some(distribution(counts)?.zip(distribution(global)?).map(|(p, q)| (p - q).abs()).sum())
}

/// Summarizes the values; all fields are 0 if there are none.
fn summarize(values: impl Iterator<Item = f64>) -> Summary {
    let values: Vec<f64> = values.collect();
    if values.is_empty() {
        return Summary { mean: 0.0, min: 0.0, max: 0.0 };
    }
    Summary {
        mean: values.iter().sum::<f64>() / values.len() as f64,
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_partition_is_measured() {
        let labels = [0, 0, 0, 0, 1, 1, 1, 1];
        let measured = measure(&labels, 2, &[vec![0, 1], vec![2, 4], vec![]]);
        assert_eq!((measured.global, measured.global_entropy_bits, measured.unassigned), (vec![4, 4], 1.0, 4));
        let [one, two, none] = measured.clients.as_slice() else { panic!("three clients") };
        assert_eq!((one.size, one.entropy_bits, one.total_variation, one.l1), (2, Some(0.0), Some(0.5), Some(1.0)));
        assert_eq!((two.histogram.as_slice(), two.entropy_bits, two.l1), ([1, 1].as_slice(), Some(1.0), Some(0.0)));
        assert_eq!((none.size, none.num_classes, none.entropy_bits, none.l1), (0, 0, None, None));
        assert_eq!(measured.size, Summary { mean: 4.0 / 3.0, min: 0.0, max: 2.0 });
        assert_eq!(measured.total_variation, Summary { mean: 0.25, min: 0.0, max: 0.5 });
    }

    #[test]
    fn empty_partitions_are_measured_without_panic() {
        assert_eq!(measure(&[], 0, &[]).size, Summary { mean: 0.0, min: 0.0, max: 0.0 });
        assert_eq!(measure(&[0], 1, &[vec![7]]).clients[0].size, 0);
    }
}
