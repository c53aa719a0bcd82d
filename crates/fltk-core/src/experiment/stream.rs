//! The stream of jobs made from tasks, on a cluster or on one machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Quantity};

/// The stream: when jobs arrive, and where they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "stream")]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// `batch`: every task arrives once, at the beginning. `simulated`: tasks of each group arrive at random. `trace`: as a file says.
    pub orchestrator: OrchestratorType,
    /// True if jobs of a batch run in parallel, false if they run one after another.
    pub parallel: bool,
    /// Which of the waiting jobs goes first.
    pub policy: PolicyName,
    /// When a job may start.
    pub admission: AdmissionConfig,
    /// True if a job that fits may start before one that is ahead of it and doesn't fit.
    pub backfill: bool,
    /// How long jobs arrive; required when `simulated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Path of the trace, relative to the experiment file; required when `trace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Jobs after which no more arrive, in each replication.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u32>,
    /// Kubernetes namespace of the jobs; in a cluster the orchestrator's own wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Container image of the jobs; in a cluster the orchestrator's own wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Tasks that share an arrival process. A task in no group arrives in a batch only.
    #[schemars(length(max = 1000))]
    pub groups: Vec<ArrivalGroup>,
}

/// When jobs arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrchestratorType {
    /// All at the beginning.
    Batch,
    /// At random, for a while.
    Simulated,
    /// When a trace says.
    Trace,
}

/// Which of the waiting jobs goes first. Of equals, the one that arrived first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "policy")]
#[serde(rename_all = "snake_case")]
pub enum PolicyName {
    /// The one that arrived first.
    Fifo,
    /// The one with the smallest priority number.
    Priority,
    /// The one whose class took the shortest, by the run times recorded so far; classes without any go first.
    ShortestFirst,
    /// The one whose class has the fewest jobs running.
    FairShare,
}

/// When a job may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "admission")]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdmissionConfig {
    /// As soon as it arrives.
    Unlimited {},
    /// While fewer than so many run.
    MaxConcurrent {
        /// The number of jobs.
        #[schemars(range(min = 1, max = 1_000_000))]
        jobs: u32,
    },
    /// When all of its pods fit what the nodes have left.
    Capacity {},
}

/// The law of the gaps between the arrivals of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "gaps")]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Gaps {
    /// Exponential gaps, independent of each other: a Poisson process.
    Exponential {
        /// The mean gap.
        mean: Duration,
    },
    /// All gaps are the same.
    Deterministic {
        /// The length of each gap.
        every: Duration,
    },
    /// Uniform between two bounds.
    Uniform {
        /// The shortest gap.
        min: Duration,
        /// The longest gap.
        max: Duration,
    },
}

/// Tasks of one arrival process: at each arrival one of them is drawn by its `class_probability`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "group")]
#[serde(deny_unknown_fields)]
pub struct ArrivalGroup {
    /// Unique among groups, same alphabet as the experiment's name.
    pub name: String,
    /// Names of its tasks; a task is in one group at most.
    #[schemars(length(min = 1, max = 1000))]
    pub tasks: Vec<String>,
    /// Gaps between its arrivals, and before the first; required when `simulated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gaps: Option<Gaps>,
    /// True if its jobs may preempt jobs of lower priority.
    pub preempt: bool,
}

/// A priority that a job may get, and how often it does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "priority")]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// Smaller goes first.
    pub priority: i32,
    /// Relative weight.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub probability: f64,
}

/// The resources that the pods of a job request; requests and limits are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "resources")]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// The resources of rank 0: the federator, or the first data-parallel rank.
    pub master: PodResources,
    /// The resources of every other rank; left out if there is none, as in a federated task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<PodResources>,
}

/// The resources that one pod requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "pod_resources")]
#[serde(deny_unknown_fields)]
pub struct PodResources {
    /// CPU cores, such as `500m`.
    pub cores: Quantity,
    /// Memory in bytes, such as `1Gi`.
    pub memory: Quantity,
}
