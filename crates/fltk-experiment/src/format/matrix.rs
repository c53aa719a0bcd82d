//! Sweeps, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Values of settings to combine: the task becomes one task for each combination.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "matrix")]
#[serde(deny_unknown_fields)]
pub(crate) struct MatrixFile {
    /// Settings of the task by their path, such as `train.batch_size`, with the values of each.
    pub factors: BTreeMap<String, Vec<serde_json::Value>>,
    /// The divisor of a regular fraction of the combinations: those are taken whose values' positions, from 0, add up to a multiple of it. With
    /// two-valued factors, 2 takes half.
    #[schemars(range(min = 2, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<u32>,
}
