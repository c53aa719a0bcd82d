//! Partitions of a training set over federated clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to divide samples among clients. Each is a pure function of (labels, number of clients, these parameters, seed).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "partition")]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PartitionConfig {
    /// Equal, independent and identically distributed parts: a permutation, dealt round-robin. Every sample is used.
    Uniform {},
    /// KFLTK's `q sampler`: client `c` belongs to the group of class `c mod classes`; a sample of a class goes to its own group with
    /// probability `q`, otherwise to another group chosen uniformly. The number of clients must be a multiple of the number of classes.
    /// Every sample is used.
    QSampler {
        /// The probability that a sample goes to the group of its class, in `0..=1`; `1/classes` is IID.
        #[schemars(range(min = 0.0, max = 1.0))]
        q: f64,
    },
    /// KFLTK's `limit labels`: every client holds exactly `limit` classes. The number of clients must be a multiple of the number of
    /// classes. Every sample is used.
    LimitLabels {
        /// Classes per client.
        #[schemars(range(min = 1))]
        limit: u32,
        /// The rounding of fractions of samples: [`PartitionVersion`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u8>", range(min = 1, max = 2), description = VERSION)]
        version: Option<PartitionVersion>,
    },
    /// KFLTK's `limit labels flex`: `floor(classes / clients)` classes per client, exclusively; samples of left-over classes are dealt
    /// round-robin. There must be at most as many clients as classes. Every sample is used.
    LimitLabelsFlex {},
    /// KFLTK's `n labels`: clients take `n` classes each from a repeated list of classes, in order. Every sample is used.
    NLabels {
        /// Classes per client.
        #[schemars(range(min = 1))]
        n: u32,
        /// The rounding of fractions of samples: [`PartitionVersion`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u8>", range(min = 1, max = 2), description = VERSION)]
        version: Option<PartitionVersion>,
    },
    /// For each class, proportions over clients drawn from `Dir(alpha, ..., alpha)` (Yurochkin et al. 2019, arXiv:1905.12022). Every sample
    /// is used.
    Dirichlet {
        /// The concentration; a small value makes clients heterogeneous.
        #[schemars(range(min = 0.001, max = 1_000_000.0))]
        alpha: f64,
        /// The minimum number of samples per client; the partition is drawn again until every client has it.
        #[serde(default = "default_min_samples")]
        min_samples: u32,
        /// The rounding of fractions of samples: [`PartitionVersion`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u8>", range(min = 1, max = 2), description = VERSION)]
        version: Option<PartitionVersion>,
    },
    /// Samples sorted by label, cut into `clients * shards_per_client` shards and dealt out (McMahan et al. 2017, arXiv:1602.05629). Every
    /// sample is used.
    Shard {
        /// Shards per client.
        #[schemars(range(min = 1, max = 10_000))]
        shards_per_client: u32,
    },
    /// Exactly `classes_per_client` random classes for every client, with each class split equally over its holders (as in FedLab, Flower). Every
    /// sample is used if every class has a holder.
    Pathological {
        /// Classes per client.
        #[schemars(range(min = 1))]
        classes_per_client: u32,
        /// The rounding of fractions of samples: [`PartitionVersion`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<u8>", range(min = 1, max = 2), description = VERSION)]
        version: Option<PartitionVersion>,
    },
    /// IID parts whose sizes follow `skew`. Every sample is used.
    QuantitySkew {
        /// The law of the parts' sizes.
        skew: QuantitySkew,
    },
    /// The data set's own clients (speakers, authors, writers). Every sample is used if `clients` equals their number; otherwise only the
    /// samples of `clients` of them, drawn at random.
    NaturalId {},
}

/// The schema's description of a partition's `version`.
const VERSION: &str = "The rounding of fractions of samples: `2` carries remainders over from class to class, `1` rounds each class on its \
                       own. If left out, it is `2`; in records that fltk wrote before this setting existed, `1`.";

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

/// The relative number of samples that client `k` (0-based) gets. Sizes are rounded so that they sum to the data set's size; a client that would
/// have no samples after rounding gets one from the largest.
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
        /// The exponent, above 0.
        #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 0.0))]
        exponent: f64,
    },
}

fn default_min_samples() -> u32 {
    1
}
