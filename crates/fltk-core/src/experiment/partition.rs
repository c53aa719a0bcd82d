//! Partitions of a training set over federated clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to divide samples over clients. Every one is a pure function of (labels, number of clients, these parameters, seed).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "partition")]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PartitionConfig {
    /// Equal, independent and identically distributed parts: a permutation, dealt round-robin. Complete.
    Uniform {},
    /// KFLTK's `q sampler`: client `c` belongs to the group of class `c mod classes`; a sample of a class goes to its own group with
    /// probability `q`, else to another group chosen uniformly. Needs clients to be a multiple of classes. Complete.
    QSampler {
        /// In `0..=1`; `1/classes` is IID.
        #[schemars(range(min = 0.0, max = 1.0))]
        q: f64,
    },
    /// KFLTK's `limit labels`: every client holds exactly `limit` classes. Needs clients to be a multiple of classes. Complete.
    LimitLabels {
        /// Classes per client.
        #[schemars(range(min = 1))]
        limit: u32,
        /// How fractions of samples are rounded: [`PartitionVersion`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u8>", range(min = 1, max = 2), description = VERSION)]
        version: Option<PartitionVersion>,
    },
    /// KFLTK's `limit labels flex`: `floor(classes / clients)` classes per client, exclusively; samples of left-over classes are dealt
    /// round-robin. Needs clients <= classes. Complete.
    LimitLabelsFlex {},
    /// KFLTK's `n labels`: clients take `n` classes each from a repeated list of classes, in order. Complete.
    NLabels {
        /// Classes per client.
        #[schemars(range(min = 1))]
        n: u32,
        /// How fractions of samples are rounded: [`PartitionVersion`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u8>", range(min = 1, max = 2), description = VERSION)]
        version: Option<PartitionVersion>,
    },
    /// For each class, proportions over clients drawn from `Dir(alpha, ..., alpha)` (Yurochkin et al. 2019, arXiv:1905.12022). Complete.
    Dirichlet {
        /// Concentration: small is heterogeneous.
        #[schemars(range(min = 0.001, max = 1_000_000.0))]
        alpha: f64,
        /// Draw again until every client has at least this many samples.
        #[serde(default = "default_min_samples")]
        min_samples: u32,
        /// How fractions of samples are rounded: [`PartitionVersion`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u8>", range(min = 1, max = 2), description = VERSION)]
        version: Option<PartitionVersion>,
    },
    /// Sort by label, cut into `clients * shards_per_client` shards, deal them out (McMahan et al. 2017, arXiv:1602.05629). Complete.
    Shard {
        /// Shards per client.
        #[schemars(range(min = 1, max = 10_000))]
        shards_per_client: u32,
    },
    /// Every client holds exactly `classes_per_client` random classes, each class split equally over its holders (as in FedLab, Flower). Complete
    /// as long as every class has a holder.
    Pathological {
        /// Classes per client.
        #[schemars(range(min = 1))]
        classes_per_client: u32,
        /// How fractions of samples are rounded: [`PartitionVersion`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u8>", range(min = 1, max = 2), description = VERSION)]
        version: Option<PartitionVersion>,
    },
    /// IID parts whose sizes follow `skew`. Complete.
    QuantitySkew {
        /// The law of sizes.
        skew: QuantitySkew,
    },
    /// The data set's own clients (speakers, authors, writers). Complete when `clients` equals their number, else the first `clients` by a seeded shuffle.
    NaturalId {},
}

/// The schema's description of a partition's `version`.
const VERSION: &str = "How fractions of samples are rounded: `2` carries them over from class to class, `1` rounds each class on its own. In a person's file \
                       `2` where it's left out; in what fltk wrote before there was a choice, `1`.";

/// The way in which a partition that gives clients fractions of classes rounds them to whole samples. The meaning of a file that leaves it open
/// depends on who wrote the file: [`Experiment::with_defaults_of`](super::Experiment::with_defaults_of).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum PartitionVersion {
    /// Each class is rounded on its own, in the order of clients. If a class has few samples for each of many clients, the same clients get more of
    /// every class.
    One,
    /// The remainder of one class carries over to the next, so that each client's total is right, up to about one sample.
    Two,
}

impl PartitionVersion {
    /// The version of a user's file that states none.
    pub const NEWEST: Self = Self::Two;
}

impl TryFrom<u8> for PartitionVersion {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err(format!("a partition has the versions 1 and 2, not {number}")),
        }
    }
}

impl From<PartitionVersion> for u8 {
    fn from(version: PartitionVersion) -> Self {
        match version {
            PartitionVersion::One => 1,
            PartitionVersion::Two => 2,
        }
    }
}

impl PartitionConfig {
    /// Returns the `version` of a partition that has versions; `Some(None)` if it is left open.
    #[must_use]
    pub fn version(&self) -> Option<Option<PartitionVersion>> {
        match self {
            Self::LimitLabels { version, .. }
            | Self::NLabels { version, .. }
            | Self::Dirichlet { version, .. }
            | Self::Pathological { version, .. } => Some(*version),
            Self::Uniform {}
            | Self::QSampler { .. }
            | Self::LimitLabelsFlex {}
            | Self::Shard { .. }
            | Self::QuantitySkew { .. }
            | Self::NaturalId {} => None,
        }
    }

    pub(super) fn version_mut(&mut self) -> Option<&mut Option<PartitionVersion>> {
        match self {
            Self::LimitLabels { version, .. }
            | Self::NLabels { version, .. }
            | Self::Dirichlet { version, .. }
            | Self::Pathological { version, .. } => Some(version),
            _ => None,
        }
    }
}

/// How many samples client `k` (0-based) gets, relative to the others. Sizes are rounded so that they sum to the data set; a client that rounding
/// would leave without samples gets one, from the largest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "quantity_skew")]
#[serde(tag = "law", rename_all = "snake_case", deny_unknown_fields)]
pub enum QuantitySkew {
    /// Proportional to `k + 1`.
    Linear {},
    /// Proportional to `(k + 1)^2`.
    Square {},
    /// Proportional to `10^(k / (clients - 1))`: a geometric progression whose last client has ten times the samples of the first, however
    /// many clients there are. (An unscaled `exp(k)`, as some libraries have it, leaves all but the last few of many clients empty.)
    Exponential {},
    /// Proportional to `(k + 1)^-exponent`.
    PowerLaw {
        /// Above 0.
        #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 0.0))]
        exponent: f64,
    },
}

fn default_min_samples() -> u32 {
    1
}
