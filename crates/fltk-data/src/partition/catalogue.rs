//! The catalogue of partitioners. A new one is a file beside this one, and a line here.

use super::{
    client_dirichlet, dirichlet, distribution, file, grouped_natural_id, inner_dirichlet, limit_labels, limit_labels_flex, n_labels,
    natural_id,
    partitioner::{CheckFile, Partitioner},
    pathological, q_sampler, quantity_skew, shard, sizes, uniform,
};

/// The partitioners.
pub const CATALOGUE: &[&Partitioner] = &[
    &uniform::PARTITIONER,
    &q_sampler::PARTITIONER,
    &limit_labels::PARTITIONER,
    &limit_labels_flex::PARTITIONER,
    &n_labels::PARTITIONER,
    &dirichlet::PARTITIONER,
    &client_dirichlet::PARTITIONER,
    &inner_dirichlet::PARTITIONER,
    &distribution::PARTITIONER,
    &shard::PARTITIONER,
    &pathological::PARTITIONER,
    &quantity_skew::PARTITIONER,
    &sizes::PARTITIONER,
    &natural_id::PARTITIONER,
    &grouped_natural_id::PARTITIONER,
    &file::PARTITIONER,
];

/// The checks of files that need no data set, by the partitioners that read such files. Without a line here, a file is checked when it's used.
pub(super) const FILE_CHECKS: &[(&Partitioner, CheckFile)] =
    &[(&distribution::PARTITIONER, distribution::check), (&file::PARTITIONER, file::check)];
