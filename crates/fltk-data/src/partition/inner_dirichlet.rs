//! Dirichlet label skew by client with given sizes, as in Acar et al. 2021 (arXiv:2111.04263, FedDyn's experiments) and Flower's
//! `InnerDirichletPartitioner`.

use fltk_core::catalogue::{Entry, Number, PartitionerEntry, Range, Wholes};
use rand_chacha::ChaCha8Rng;

use super::{
    classes::by_class_shuffled,
    deal_by_shares::{deal_by_shares, dirichlet},
    error::PartitionError,
    partitioner::{CLIENTS_MAX, Partitioner, Parts, Request},
};

/// The range of alpha: outside of it, proportions are all equal, or all zeros and ones, to the last bit.
const ALPHA_RANGE: Range = Range::between(0.001, 1e6);

const ALPHA: Number =
    Number::required("alpha", "The concentration of every class; a small value gives a client few classes.").within(ALPHA_RANGE);
const SIZES: Wholes =
    Wholes::required("sizes", CLIENTS_MAX as usize, (1, u32::MAX), "The number of samples of each client, in the order of clients.");

/// The partitioner `inner_dirichlet`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        client_sizes: Some(SIZES),
        ..PartitionerEntry::by_label(
            Entry::new(
                "inner_dirichlet",
                "For each client, proportions over classes drawn from `Dir(alpha, ..., alpha)`, and a given number of samples (as Flower's \
                 `InnerDirichletPartitioner`). Samples are dealt one by one: a client that isn't full is drawn, then one of its classes; classes that \
                 have run out are left out of its proportions, so the last samples follow what is left. Every sample is used if the sizes sum to \
                 the training set's.",
            )
            .paper("Acar et al. 2021, arXiv:2111.04263")
            .parameters(&[ALPHA.parameter(), SIZES.parameter()]),
        )
    },
    divide,
};

fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, .. } = *request;
    let alpha = ALPHA.of(settings);
    if !ALPHA_RANGE.contains(alpha) {
        return Err(PartitionError::Parameter { name: "alpha", value: alpha, range: "in 0.001..=1000000" });
    }
    let sizes: Vec<usize> = SIZES.of(settings).into_iter().map(|size| size as usize).collect();
    let classes = by_class_shuffled(labels, num_classes, rng);
    let concentrations = vec![alpha; num_classes];
    let shares = (0..clients).map(|_| dirichlet(&concentrations, rng)).collect::<Result<Vec<_>, _>>()?;
    Ok(deal_by_shares(classes, &shares, &sizes, rng))
}
