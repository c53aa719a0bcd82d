//! The stream of jobs made from tasks, on a cluster or on one machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Quantity, Task};

/// The stream of jobs that the tasks become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "stream")]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// The source of arrivals. `batch`: every task arrives once, at the beginning. `simulated`: tasks of each group arrive at random.
    /// `trace`: jobs arrive as a file says.
    pub orchestrator: OrchestratorType,
    /// True if jobs of a batch run in parallel, false if they run one after another.
    pub parallel: bool,
    /// The order in which waiting jobs start.
    pub policy: PolicyName,
    /// The rule by which jobs are admitted.
    pub admission: AdmissionConfig,
    /// True if a job that fits may start before one that is ahead of it and doesn't fit.
    pub backfill: bool,
    /// The time during which jobs arrive; required when `simulated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Path of the trace, relative to the experiment file; required when `trace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The number of jobs after which no more arrive, in each replication.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u32>,
    /// Kubernetes namespace of the jobs; in a cluster, the orchestrator's own takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Container image of the jobs; in a cluster, the orchestrator's own takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Groups of tasks with a common arrival process. A task in no group arrives only in a batch.
    #[schemars(length(max = 1000))]
    pub groups: Vec<ArrivalGroup>,
}

/// The source of arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrchestratorType {
    /// All jobs arrive at the beginning.
    Batch,
    /// Jobs arrive at random, for `duration`.
    Simulated,
    /// Jobs arrive at the times in a trace.
    Trace,
}

/// The order in which waiting jobs start. Among equals, the job that arrived first starts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "policy")]
#[serde(rename_all = "snake_case")]
pub enum PolicyName {
    /// The job that arrived first starts first.
    Fifo,
    /// The job with the smallest priority number starts first.
    Priority,
    /// The job whose class has the shortest mean run time recorded so far starts first; classes without any precede all others.
    ShortestFirst,
    /// The job whose class has the fewest jobs running starts first.
    FairShare,
}

/// The rule by which jobs are admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "admission")]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdmissionConfig {
    /// A job is admitted as soon as it arrives.
    Unlimited {},
    /// A job is admitted while fewer than `jobs` run.
    MaxConcurrent {
        /// The maximum number of jobs that run at once.
        #[schemars(range(min = 1, max = 1_000_000))]
        jobs: u32,
    },
    /// A job is admitted when all of its pods fit the nodes' free capacity.
    Capacity {},
}

/// The distribution of the gaps between the arrivals of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "gaps")]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Gaps {
    /// Exponential gaps, independent of each other: a Poisson process.
    Exponential {
        /// The mean gap.
        mean: Duration,
    },
    /// Gaps of constant length.
    Deterministic {
        /// The length of each gap.
        every: Duration,
    },
    /// Gaps drawn uniformly between two bounds.
    Uniform {
        /// The shortest gap.
        min: Duration,
        /// The longest gap.
        max: Duration,
    },
}

/// A group of tasks with a common arrival process: at each arrival, one of them is drawn by its `class_probability`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "group")]
#[serde(deny_unknown_fields)]
pub struct ArrivalGroup {
    /// The name, unique among groups, with the same alphabet as the experiment's name.
    pub name: String,
    /// Names of its tasks; a task may be in one group at most.
    #[schemars(length(min = 1, max = 1000))]
    pub tasks: Vec<String>,
    /// Gaps between its arrivals, and before the first one; required when `simulated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gaps: Option<Gaps>,
    /// True if its jobs may preempt jobs of lower priority.
    pub preempt: bool,
}

impl ArrivalGroup {
    /// Returns true if `task` is one of its tasks.
    #[must_use]
    pub fn has(&self, task: &Task) -> bool {
        self.tasks.iter().any(|name| task.name == *name)
    }
}

/// A priority that a job may draw, with its weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "priority")]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// The priority number; a smaller one goes first.
    pub priority: i32,
    /// The relative weight with which it is drawn.
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
