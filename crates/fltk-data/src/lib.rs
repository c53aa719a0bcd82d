//! Data sets as plain arrays: their sources, and how they are read, transformed, batched, and divided over clients.
//!
//! ```text
//! sources ── fetch ──> cache ─┐
//! a local folder or archive ──┼─ load ──> Arc<Dataset> ── batches(plan) ──> Batch, Batch, ...
//! embedded subset ────────────┤                  └─ partition ──> Division: the samples of every client ── heterogeneity, held_out
//! made from a seed ───────────┘
//! ```
//!
//! This crate has no tensors (a [`Batch`] is a `Vec<f32>` or `Vec<i64>` with a shape), and reads no environment variables or default
//! folders (the caller passes [`Locations`]). Only [`fetch`] touches the network, and [`load()`] never does.

pub mod arrays;
pub mod batches;
pub mod dataset;
pub mod digest;
mod embedded;
pub mod epoch;
pub mod error;
pub mod fetch;
mod files;
pub mod formats;
pub mod held_out;
pub mod heterogeneity;
pub mod load;
pub mod noise;
pub mod own;
pub mod partition;
pub mod samples;
pub mod shard;
pub mod sources;
pub mod transform;

pub use batches::{Batch, BatchPlan, Batches, Inputs, MadeSamples, Order, Part, batches};
pub use dataset::{Dataset, FileDigest, Origin, Provenance, SAMPLES_MADE_MAX};
pub use digest::labels_digest;
pub use epoch::EpochKey;
pub use error::{DataError, FormatError};
pub use held_out::ClientSamples;
pub use load::{Locations, inspect, load, locate, of_clients};
pub use noise::{FeatureNoise, NoiseLevels};
pub use partition::Division;
pub use samples::{ImageSet, Split, TextSet, VectorSet};
pub use shard::{Remainder, Sharding};
pub use transform::{Transform, TransformError};
