//! The settings of a stream's planner.

use fltk_core::experiment::{AdmissionConfig, OrchestratorType, PolicyName, StreamConfig};
use serde::{Deserialize, Serialize};

/// The settings of a stream's planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The order of the waiting jobs.
    pub policy: PolicyName,
    /// The rule for when a job may start.
    pub admission: AdmissionConfig,
    /// True if a job that fits may start before an earlier one that doesn't fit.
    pub backfill: bool,
}

impl Settings {
    /// The settings of `stream`. Jobs of a batch that isn't parallel run one after another.
    #[must_use]
    pub fn of(stream: Option<&StreamConfig>) -> Self {
        let Some(stream) = stream else {
            return Self { policy: PolicyName::Priority, admission: AdmissionConfig::Unlimited {}, backfill: false };
        };
        let one_by_one = stream.orchestrator == OrchestratorType::Batch && !stream.parallel;
        let admission = if one_by_one { AdmissionConfig::MaxConcurrent { jobs: 1 } } else { stream.admission };
        Self { policy: stream.policy, admission, backfill: stream.backfill }
    }
}
