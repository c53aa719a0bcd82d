//! IID parts of different sizes.

use fltk_core::catalogue::{Choice, Entry, Nested, Number, PartitionerEntry, Range, Tag};
use rand_chacha::ChaCha8Rng;

use super::{
    deal::{check_one_each, permutation},
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
};

/// A law of the parts' sizes.
struct Law {
    entry: Entry,
    /// Returns the relative number of samples that client `client` of `clients` gets, counted from 0.
    weight: fn(&Choice, client: u32, clients: u32) -> Result<f64, PartitionError>,
}

static LINEAR: Law = Law { entry: Entry::new("linear", "Proportional to `k + 1`."), weight: |_, client, _| Ok(place(client)) };

static SQUARE: Law =
    Law { entry: Entry::new("square", "Proportional to `(k + 1)^2`."), weight: |_, client, _| Ok(place(client) * place(client)) };

static EXPONENTIAL: Law = Law {
    entry: Entry::new(
        "exponential",
        "Proportional to `10^(k / (clients - 1))`: a geometric progression whose last client has ten times the samples of the first, however \
         many clients there are. (An unscaled `exp(k)`, as some libraries have it, leaves all but the last few of many clients empty.)",
    ),
    weight: |_, client, clients| Ok(10f64.powf(f64::from(client) / f64::from(clients.max(2) - 1))),
};

/// The range of the exponent: above 100, the second client's share is below 2^-100, which is less than a sample of any data set and close to
/// an overflow.
const EXPONENT_RANGE: Range = Range::positive_up_to(100.0);
const EXPONENT: Number = Number::required("exponent", "The exponent, above 0.").within(EXPONENT_RANGE);

static POWER_LAW: Law = Law {
    entry: Entry::new("power_law", "Proportional to `(k + 1)^-exponent`.").parameters(&[EXPONENT.parameter()]),
    weight: |law, client, _| match EXPONENT.of(law) {
        exponent if EXPONENT_RANGE.contains(exponent) => Ok(place(client).powf(-exponent)),
        value => Err(PartitionError::Parameter { name: "exponent", value, range: "above 0 and at most 100" }),
    },
};

const LAWS: [&Law; 4] = [&LINEAR, &SQUARE, &EXPONENTIAL, &POWER_LAW];
const LAW_ENTRIES: &[&Entry] = &[&LINEAR.entry, &SQUARE.entry, &EXPONENTIAL.entry, &POWER_LAW.entry];

const SKEW: Nested = Nested::required(
    "skew",
    Tag::Law,
    "quantity_skew",
    LAW_ENTRIES,
    "The law of the parts' sizes: the relative number of samples that client `k` (0-based) gets. Sizes are rounded so that they sum to the \
     data set's size; a client that would have no samples after rounding gets one from the largest.",
);

/// The partitioner `quantity_skew`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry::new(
        Entry::new("quantity_skew", "IID parts whose sizes follow `skew`. Every sample is used.").parameters(&[SKEW.parameter()]),
    ),
    divide,
};

fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let (samples, clients) = (request.labels.len(), request.clients);
    check_one_each(samples, clients)?;
    let weights = weights(&SKEW.of(request.settings), clients)?;
    let order = permutation(samples, rng);
    let mut rest = order.as_slice();
    let mut parts = Vec::with_capacity(clients as usize);
    for size in apportion(samples, &weights) {
        let (part, others) = rest.split_at(size);
        parts.push(part.to_vec());
        rest = others;
    }
    Ok(parts)
}

/// Returns the relative number of samples of each client.
fn weights(skew: &Choice, clients: u32) -> Result<Vec<f64>, PartitionError> {
    let law = LAWS.iter().find(|law| law.entry.name == skew.name()).ok_or_else(|| PartitionError::Unknown {
        kind: "law",
        name: skew.name().to_owned(),
        known: LAWS.map(|law| law.entry.name).to_vec(),
    })?;
    (0..clients).map(|client| (law.weight)(skew, client, clients)).collect()
}

/// Returns `k + 1` for client `k`.
fn place(client: u32) -> f64 {
    f64::from(client) + 1.0
}

/// Divides `total` in proportion to `weights` by largest remainders (ties: the lower index), then gives each empty part one from the
/// largest part. This needs `total >= weights.len()`.
fn apportion(total: usize, weights: &[f64]) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    let quotas: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum).collect();
    let mut sizes: Vec<usize> = quotas.iter().map(|quota| quota.floor() as usize).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by(|&a, &b| quotas[b].fract().total_cmp(&quotas[a].fract()).then(a.cmp(&b)));
    let missing = total - sizes.iter().sum::<usize>().min(total);
    for &part in by_remainder.iter().cycle().take(missing) {
        sizes[part] += 1;
    }
    // Rounding of the quotas themselves can assign one too many; the largest part gives it back.
    while sizes.iter().sum::<usize>() > total {
        take_from_largest(&mut sizes);
    }
    for part in 0..sizes.len() {
        if sizes[part] == 0 {
            take_from_largest(&mut sizes);
            sizes[part] = 1;
        }
    }
    sizes
}

fn take_from_largest(sizes: &mut [usize]) {
    if let Some(largest) = sizes.iter_mut().max() {
        *largest -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_power_law() {
        let sizes = |total, clients, skew: Choice| apportion(total, &weights(&skew, clients).expect("a law"));
        let power_law = |exponent: f64| Choice::law("power_law").with("exponent", exponent);
        assert_eq!(sizes(100, 4, Choice::law("linear")), [10, 20, 30, 40]);
        assert_eq!(sizes(300, 4, Choice::law("square")), [10, 40, 90, 160]);
        assert_eq!(sizes(111, 3, Choice::law("exponential")), [8, 25, 78]);
        assert_eq!(sizes(7, 1, Choice::law("exponential")), [7]);
        assert_eq!(sizes(175, 3, power_law(2.0)), [129, 32, 14]);
        assert_eq!(sizes(1000, 4, power_law(100.0)), [997, 1, 1, 1]);
        assert_eq!(sizes(5, 5, Choice::law("square")), [1; 5]);
    }
}
