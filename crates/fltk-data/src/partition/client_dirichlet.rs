//! Dirichlet label skew by client (Hsu et al. 2019, arXiv:1909.06335): each client has as many samples as the others, with proportions over classes
//! of its own. The partition `dirichlet` draws proportions over clients for each class instead.

use fltk_core::catalogue::{Entry, Number, PartitionerEntry, Range};
use rand_chacha::ChaCha8Rng;

use super::{
    classes::by_class_shuffled,
    deal::check_one_each,
    deal_by_shares::{deal_by_shares, dirichlet},
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
};

/// The range of alpha: outside of it, proportions are all those of the training set, or all zeros and ones, to the last bit.
const ALPHA_RANGE: Range = Range::between(0.001, 1e6);

const ALPHA: Number = Number::required(
    "alpha",
    "The concentration, summed over the classes; a small value gives a client few classes. With `C` classes of equal size, each has `alpha / C`.",
)
.within(ALPHA_RANGE);

/// The partitioner `client_dirichlet`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry::by_label(
        Entry::new(
            "client_dirichlet",
            "For each client, proportions over classes drawn from `Dir(alpha p)`, where `p` are those of the training set, and as many samples as the \
             others have, up to one. Samples are dealt one by one: a client that isn't full is drawn, then one of its classes; classes that have \
             run out are left out of its proportions, so the last samples follow what is left. Every sample is used.",
        )
        .paper("Hsu et al. 2019, arXiv:1909.06335")
        .parameters(&[ALPHA.parameter()]),
    ),
    divide,
};

fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, .. } = *request;
    let alpha = ALPHA.of(settings);
    if !ALPHA_RANGE.contains(alpha) {
        return Err(PartitionError::Parameter { name: "alpha", value: alpha, range: "in 0.001..=1000000" });
    }
    check_one_each(labels.len(), clients)?;
    let classes = by_class_shuffled(labels, num_classes, rng);
    let concentrations: Vec<f64> = classes.iter().map(|class| alpha * class.len() as f64 / labels.len() as f64).collect();
    let shares = (0..clients).map(|_| dirichlet(&concentrations, rng)).collect::<Result<Vec<_>, _>>()?;
    Ok(deal_by_shares(classes, &shares, &equal_sizes(labels.len(), clients), rng))
}

/// Returns sizes that sum to `samples` and differ by at most 1: the first clients have one more.
fn equal_sizes(samples: usize, clients: u32) -> Vec<usize> {
    let clients = clients as usize;
    (0..clients).map(|client| samples / clients + usize::from(client < samples % clients)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sizes_differ_by_at_most_one() {
        assert_eq!(equal_sizes(10, 4), [3, 3, 2, 2]);
        assert_eq!(equal_sizes(8, 4), [2; 4]);
    }
}
