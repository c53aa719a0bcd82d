//! The catalogue of partitioners. A new one is a file beside this one, and a line here.

use super::{
    dirichlet, limit_labels, limit_labels_flex, n_labels, natural_id, partitioner::Partitioner, pathological, q_sampler, quantity_skew,
    shard, uniform,
};

/// The partitioners.
pub const CATALOGUE: &[&Partitioner] = &[
    &uniform::PARTITIONER,
    &q_sampler::PARTITIONER,
    &limit_labels::PARTITIONER,
    &limit_labels_flex::PARTITIONER,
    &n_labels::PARTITIONER,
    &dirichlet::PARTITIONER,
    &shard::PARTITIONER,
    &pathological::PARTITIONER,
    &quantity_skew::PARTITIONER,
    &natural_id::PARTITIONER,
];
